"""A server's folder as a descriptor, and the two ways of opening something below it.

`Openat2` lets the kernel refuse whatever leads out. `Walk`, for kernels without that call, opens component by component with O_NOFOLLOW
and follows links itself, on descriptors alone. Neither ever judges a path by its text and then opens it: that escapes when the path is
changed in between.
"""

import errno
import os
import stat
from functools import cache
from pathlib import Path
from typing import Protocol

from agent.filesystem.refusals import OutsideRoot, translated
from agent.filesystem.syscalls import has_openat2, openat2
from core.errors import Invalid, NotFound

MOST_LINKS = 40
LONGEST_NAME = 255
LONGEST_PATH = 4095
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Resolver(Protocol):
    """Opens paths below a folder's descriptor."""

    def open(self, root: int, path: bytes, flags: int, mode: int = 0) -> int:
        """A descriptor of `path` (relative, without `..`; `.` is the root). Raises OSError: EXDEV or ELOOP when it leads out."""
        ...


class Openat2:
    """By the kernel: RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS."""

    def open(self, root: int, path: bytes, flags: int, mode: int = 0) -> int:
        return openat2(root, path, flags, mode)


class Walk:
    """Component by component. A link's target is walked from the folder that holds it; `..` goes back to the descriptor we came from."""

    def open(self, root: int, path: bytes, flags: int, mode: int = 0) -> int:
        held: list[int] = []
        try:
            return self._walk(root, held, path, flags, mode)
        finally:
            for descriptor in held:
                os.close(descriptor)

    def _walk(self, root: int, held: list[int], path: bytes, flags: int, mode: int) -> int:
        pending, links = [part for part in path.split(b"/") if part not in (b"", b".")][::-1], 0
        while pending:
            part, here = pending.pop(), held[-1] if held else root
            if part == b"..":
                if not held:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                os.close(held.pop())
                continue
            target = self._target(here, part) if pending or not flags & os.O_NOFOLLOW else None
            if target is not None:
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith(b"/"):
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                pending += [piece for piece in target.split(b"/") if piece not in (b"", b".")][::-1]
            elif pending:
                held.append(os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=here))
            else:
                return os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=here)
        return os.open(b".", flags & ~os.O_CREAT | os.O_CLOEXEC, dir_fd=held[-1] if held else root)

    @staticmethod
    def _target(folder: int, name: bytes) -> bytes | None:
        """Where a link points; None when it is none. What becomes a link after this look is refused by O_NOFOLLOW."""
        try:
            return os.readlink(name, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise


@cache
def best_resolver() -> Resolver:
    """What this machine's kernel allows."""
    return Openat2() if has_openat2() else Walk()


class Root:
    """An open folder. `close` it; descriptors opened through it live on."""

    def __init__(self, folder: Path, resolver: Resolver | None = None) -> None:
        """Raises NotFound while the server has no folder."""
        self._resolver = resolver or best_resolver()
        try:
            self.descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound("The server has no files yet.", hint="Install or start it first.") from error
        self._prefix = os.readlink(f"/proc/self/fd/{self.descriptor}".encode())  # noqa: PTH115 (bytes)
        facts = os.fstat(self.descriptor)
        self.owner = facts.st_uid, facts.st_gid
        """Whose folder it is: uid and gid."""

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def open(self, path: bytes, flags: int, mode: int = 0) -> int:
        """Raises OSError."""
        return self._resolver.open(self.descriptor, path or b".", flags, mode)

    def open_folder(self, path: bytes) -> int:
        """A folder to act in; may be used with `dir_fd`, not read. Raises OSError."""
        return self.open(path, _FOLDER)

    def inside(self, descriptor: int) -> bytes:
        """Where a descriptor really is, from the root, links resolved; `b""` is the root. Raises OutsideRoot."""
        with translated():
            place = os.readlink(f"/proc/self/fd/{descriptor}".encode())  # noqa: PTH115 (bytes)
        if place == self._prefix:
            return b""
        if not place.startswith(self._prefix.rstrip(b"/") + b"/"):
            raise OutsideRoot("The path leads out of the server's folder.")
        return place[len(self._prefix.rstrip(b"/")) + 1 :]


def normal(path: bytes) -> bytes:
    """A client's path as one from the root: absolute ones mean the same, `..` never rises above it; `b""` is the root. Raises Invalid."""
    if b"\0" in path:
        raise Invalid("A path cannot hold a zero byte.")
    if len(path) > LONGEST_PATH:
        raise Invalid("The path is too long.")
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
        elif part not in (b"", b"."):
            if len(part) > LONGEST_NAME:
                raise Invalid("A name in the path is too long.")
            parts.append(part)
    return b"/".join(parts)


def is_regular(facts: os.stat_result) -> bool:
    return stat.S_ISREG(facts.st_mode)
