"""Whole trees and whole files: removed, made, copied, by descriptors below the root. Runs in threads.

Never follows a link and never leaves the file system on which a tree begins.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from agent.filesystem.quota import taken
from agent.filesystem.refusals import NotRegular, translated
from agent.filesystem.root import is_regular, normal
from agent.filesystem.rooted import FOLDER_MODE, Rooted
from core.errors import Conflict, Forbidden, NotFound

MOST_DEPTH = 100
"""Levels that are held open at once. What lies deeper is brought up first, so that any depth can be removed."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PORTION = 1024 * 1024
_COPIES = 50


def remove_tree(files: Rooted, path: bytes) -> None:
    """Remove a file, link or folder with all that is in it. What is not there is no error (Wings). Raises Denied, Forbidden."""
    try:
        with files.parent(path) as (folder, name):
            files.check_tree(folder, name)
            with translated():
                files.quota.release(_Removal(os.fstat(folder).st_dev).remove(folder, name))
    except NotFound:
        return


class _Removal:
    """One removal; `remove` answers the bytes it freed."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._deep: list[bytes] = []

    def remove(self, folder: int, name: bytes) -> int:
        freed = self._remove(folder, name, folder, 0)
        while self._deep:
            with suppress(FileNotFoundError):
                freed += self._remove(folder, self._deep.pop(), folder, 0)
        return freed

    def _remove(self, folder: int, name: bytes, top: int, depth: int) -> int:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(facts.st_mode):
            os.unlink(name, dir_fd=folder)
            return taken(facts) if is_regular(facts) and facts.st_nlink == 1 else 0
        if facts.st_dev != self._device:
            raise Forbidden("Another file system is mounted in there.", hint="An administrator has to unmount it first.")
        if depth >= MOST_DEPTH:
            self._deep.append(name_ := b".aerie-deep-" + secrets.token_hex(8).encode())
            os.rename(name, name_, src_dir_fd=folder, dst_dir_fd=top)
            return 0
        freed = 0
        opened = self._opened(folder, name)
        try:
            for inner in os.listdir(opened):  # noqa: PTH208 (a descriptor)
                with suppress(FileNotFoundError):  # the game removes things, too
                    freed += self._remove(opened, os.fsencode(inner), top, depth + 1)
        finally:
            os.close(opened)
        os.rmdir(name, dir_fd=folder)
        return freed

    @staticmethod
    def _opened(folder: int, name: bytes) -> int:
        """A folder to read. One that its owner may not read is made readable first."""
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except PermissionError:
            held = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                Path(f"/proc/self/fd/{held}").chmod(0o700)
                return os.open(name, _FOLDER, dir_fd=folder)
            finally:
                os.close(held)


def make_folders(files: Rooted, path: bytes, mode: int = FOLDER_MODE) -> None:
    """A folder and those above it; one that is there already is no error. Raises NotRegular when a file is in the way."""
    parts = normal(path).split(b"/")
    for count in range(1, len(parts) + 1):
        where = b"/".join(parts[:count])
        try:
            if where and not stat.S_ISDIR(files.facts(where).st_mode):
                raise NotRegular("A file with this name is in the way.")
        except NotFound:
            with suppress(Conflict):  # made meanwhile
                files.make_folder(where, mode)


def copy_file(files: Rooted, path: bytes) -> bytes:
    """A copy of a regular file beside it, named as Wings names it; answers its path. Raises NotFound for a folder (Wings)."""
    try:
        source = files.open_read(path)
    except NotRegular as error:
        raise NotFound("There is no such file.") from error
    try:
        facts = os.fstat(source)
        target, copied = _fresh(files, normal(path), stat.S_IMODE(facts.st_mode))
        try:
            at = 0
            while at < facts.st_size and (data := os.pread(source, min(_PORTION, facts.st_size - at), at)):
                files.write(copied, data, at)
                at += len(data)
        except BaseException:
            with suppress(NotFound):
                files.remove_file(target)
            raise
        finally:
            os.close(copied)
        return target
    finally:
        os.close(source)


def _fresh(files: Rooted, path: bytes, mode: int) -> tuple[bytes, int]:
    folder, _, name = path.rpartition(b"/")
    stem, ending = _parted(name)
    middles = [b" copy", *(b" copy %d" % number for number in range(1, _COPIES + 1)), b" copy " + secrets.token_hex(4).encode()]
    for middle in middles:
        target = b"/".join(filter(None, (folder, stem + middle + ending)))
        with suppress(Conflict):
            return target, files.create(target, os.O_WRONLY, mode)
    raise Conflict("There are too many copies of this file.", hint="Delete or rename some.")


def _parted(name: bytes) -> tuple[bytes, bytes]:
    """A name and its ending; `.tar.gz` and the like are one ending, a leading dot is none."""
    stem, dot, ending = name.rpartition(b".")
    if not stem:
        return name, b""
    if stem.endswith(b".tar") and stem != b".tar":
        return stem[:-4], b".tar" + dot + ending
    return stem, dot + ending
