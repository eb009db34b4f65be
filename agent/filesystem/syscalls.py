"""Calls of Linux that Python does not have: openat2, renameat2, syncfs, by ctypes.

All release the interpreter's lock while they wait. Sources: openat2(2), renameat2(2), syncfs(2).
"""

import ctypes
import errno
import os
from pathlib import Path

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_TRIES = 64
"""openat2 answers EAGAIN when a folder was renamed while it looked; so many times it is asked again."""

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_SIZE = ctypes.c_size_t(ctypes.sizeof(_OpenHow))


def openat2(folder: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open `path` below the descriptor `folder`; links are followed while they stay below it. Raises OSError (EXDEV when it leaves)."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    code = 0
    for _ in range(_TRIES):
        opened: int = _libc.syscall(_OPENAT2, folder, path, ctypes.byref(how), _HOW_SIZE)
        if opened >= 0:
            return opened
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code))


def has_openat2() -> bool:
    """Whether this kernel knows the call (Linux 5.6 and later; some sandboxes forbid it)."""
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(openat2(folder, b".", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(folder)
    return True


def rename_fresh(old_folder: int, old: bytes, new_folder: int, new: bytes) -> None:
    """Rename, but never over something that is there. Raises OSError (EEXIST then)."""
    if _libc.renameat2(old_folder, old, new_folder, new, _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code))
    # a file system without NOREPLACE: look first, which only a race with the game itself can get past
    try:
        os.lstat(new, dir_fd=new_folder)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def exchange(one: Path, other: Path) -> None:
    """Let two things on one file system change places, in one step. Raises OSError."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def sync_file_system(descriptor: int) -> None:
    """Write out what its file system holds back. Raises OSError."""
    if _libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
