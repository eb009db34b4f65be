"""Linux's calls for project quotas, the same for ext4 and xfs: which project a file is of, what a project takes and may take.

Sources: quotactl(2), ioctl_xfs_fssetxattr(2), linux/fs.h, linux/quota.h. Runs in threads. Raises OSError.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_FSGETXATTR, _FSSETXATTR = 0x801C581F, 0x401C5820
_PROJINHERIT = 0x200
_ATTRIBUTES = struct.Struct("=IIIII8x")
"""xflags, extsize, nextents, projid, cowextsize."""
_QUOTACTL_FD = 443  # the same number on every architecture (Linux 5.14)
_PRJQUOTA = 2
_GETQUOTA, _SETQUOTA = 0x800007, 0x800008
_LIMITS_VALID = 1 | 4
_KIBIBYTE = 1024
_CAP_SYS_RESOURCE = 24
_CAP_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Quota(ctypes.Structure):
    _fields_ = (
        ("hard", ctypes.c_uint64), ("soft", ctypes.c_uint64), ("space", ctypes.c_uint64),
        ("inode_hard", ctypes.c_uint64), ("inode_soft", ctypes.c_uint64), ("inodes", ctypes.c_uint64),
        ("time", ctypes.c_uint64), ("inode_time", ctypes.c_uint64), ("valid", ctypes.c_uint32),
    )  # fmt: skip


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True, slots=True)
class Project:
    """What a project takes and may take; limits of 0 are none."""

    space: int = 0
    """Bytes."""
    inodes: int = 0
    limit: int = 0
    """Bytes."""
    inode_limit: int = 0


def project_of(descriptor: int) -> int:
    """A file's project; 0 is none."""
    return int(_ATTRIBUTES.unpack(fcntl.ioctl(descriptor, _FSGETXATTR, bytes(_ATTRIBUTES.size)))[3])


def set_project(descriptor: int, project: int, *, folder: bool) -> None:
    """Make it the project's; what is made in a folder follows it from then on."""
    flags, size, extents, known, cow = _ATTRIBUTES.unpack(fcntl.ioctl(descriptor, _FSGETXATTR, bytes(_ATTRIBUTES.size)))
    wanted = flags | _PROJINHERIT if folder else flags
    if (known, flags) != (project, wanted):
        fcntl.ioctl(descriptor, _FSSETXATTR, _ATTRIBUTES.pack(wanted, size, extents, project, cow))


def read_project(descriptor: int, project: int) -> Project:
    """What the file system that is open knows of it. Raises OSError (ESRCH where project quotas are off)."""
    got = _Quota()
    try:
        _call(descriptor, _GETQUOTA, project, got)
    except FileNotFoundError:
        return Project()  # xfs, of one that never had a file or limit
    return Project(got.space, got.inodes, got.hard * _KIBIBYTE, got.inode_hard)


def limit_project(descriptor: int, project: int, size: int, inodes: int) -> None:
    """`size` bytes, rounded down to a KiB; 0 is no limit."""
    wanted = _Quota(hard=size // _KIBIBYTE, soft=0, inode_hard=inodes, inode_soft=0, valid=_LIMITS_VALID)
    _call(descriptor, _SETQUOTA, project, wanted)


def _call(descriptor: int, command: int, project: int, data: _Quota) -> None:
    whole = command << 8 | _PRJQUOTA
    if _libc.syscall(_QUOTACTL_FD, descriptor, ctypes.c_uint(whole), ctypes.c_uint(project), ctypes.byref(data)) == 0:
        return
    code = ctypes.get_errno()
    if code == errno.ENOSYS:
        device = device_of(os.fstat(descriptor).st_dev)
        if _libc.quotactl(ctypes.c_int(whole), device, ctypes.c_int(project), ctypes.byref(data)) == 0:
            return
        code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


def device_of(number: int) -> bytes:
    """The device file of a mounted file system, for kernels before quotactl_fd. Raises OSError."""
    wanted = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
        for line in mounts:
            before, _, after = line.partition(" - ")
            if before.split()[2] == wanted:
                return os.fsencode(after.split()[1])
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


@contextmanager
def without_privilege() -> Iterator[None]:
    """Without CAP_SYS_RESOURCE, in this thread: who has it may go over a limit of ext4. Games have it not, and we do not for the block."""
    header, data = _CapHeader(_CAP_VERSION_3, 0), (_CapData * 2)()
    if _libc.capget(ctypes.byref(header), data) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    before = data[0].effective
    data[0].effective = before & ~(1 << _CAP_SYS_RESOURCE)
    _set(header, data)
    try:
        yield
    finally:
        data[0].effective = before
        _set(header, data)


def _set(header: _CapHeader, data: "ctypes.Array[_CapData]") -> None:
    if _libc.capset(ctypes.byref(header), data) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
