"""Files of a server as a tar: for the compress route, and the base of backups. Runs in threads.

Links are kept as links (never read); pipes, sockets and devices are left out. A file that changes while it is read is told as torn, and
what it is short of is filled up, since its length was written before.
"""

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO, cast

from agent.filesystem.refusals import NotRegular
from agent.filesystem.rooted import MODE_BITS
from agent.filesystem.walk import Found

_PORTION = 1024 * 1024


@dataclass
class Packed:
    """What went into a tar."""

    files: int = 0
    size: int = 0
    """Bytes of their contents."""
    torn: list[bytes] = field(default_factory=list)
    """Paths of files that changed, or became shorter, while they were read."""
    unreadable: list[bytes] = field(default_factory=list)


Each = Callable[[Found, int, int, str], None]
"""Told of each regular file: what it is, where in the tar its header begins, its size as packed, the sha256 of what was packed."""


def nobody(found: Found, at: int, size: int, digest: str) -> None:
    """For `each`: nobody is told."""


def pack(found: Iterable[Found], out: IO[bytes], *, below: bytes = b"", each: Each = nobody) -> Packed:
    """Write a tar of what `walk` found to `out`; names are taken from the folder `below`. Raises OSError of `out`."""
    packed = Packed()
    counted = _Counted(out)
    sink = cast(IO[bytes], counted)
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        tar.copybufsize = _PORTION  # type: ignore[attr-defined]
        for one in found:
            _add(tar, counted, one, _named(one.path, below), packed, each)
            tar.members.clear()  # type: ignore[attr-defined]  # else all of them are kept in memory
    return packed


class _Counted:
    """tarfile wants to know where it is; what we write to cannot always tell."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._at = 0

    def tell(self) -> int:
        return self._at

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self._at += len(data)
        return len(data)


def _named(path: bytes, below: bytes) -> bytes:
    return path[len(below) + 1 :] if below and path.startswith(below + b"/") else path


def _add(tar: tarfile.TarFile, out: _Counted, found: Found, name: bytes, packed: Packed, each: Each) -> None:
    info = tarfile.TarInfo(os.fsdecode(name))
    info.mode, info.mtime = stat.S_IMODE(found.facts.st_mode) & MODE_BITS, int(found.facts.st_mtime)
    info.uid, info.gid = found.facts.st_uid, found.facts.st_gid
    if found.is_folder:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif found.is_link:
        try:
            info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(found.target())
        except OSError:
            return
        tar.addfile(info)
    elif found.is_file:
        try:
            descriptor = found.open()
        except (OSError, NotRegular):
            packed.unreadable.append(found.path)
            return
        try:
            before, at = os.fstat(descriptor), out.tell()
            info.size = before.st_size
            content = Content(descriptor, before.st_size)
            tar.addfile(info, cast(IO[bytes], content))
            if content.short or _changed(before, os.fstat(descriptor)):
                packed.torn.append(found.path)
        finally:
            os.close(descriptor)
        packed.files += 1
        packed.size += info.size
        each(found, at, info.size, content.digest)


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


class Content:
    """Exactly `size` bytes of a file: what is missing is zeros, what came later is not looked at. Hashes what it hands out."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._left = size
        self._hash = hashlib.sha256()
        self.short = False

    @property
    def digest(self) -> str:
        """sha256 of what was read so far, in hex."""
        return self._hash.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        wanted = min(self._left, size if size >= 0 else self._left, _PORTION)
        if not wanted:
            return b""
        data = b"" if self.short else os.read(self._descriptor, wanted)
        while len(data) < wanted and not self.short:
            more = os.read(self._descriptor, wanted - len(data))
            self.short = not more
            data += more
        data += bytes(wanted - len(data))
        self._left -= len(data)
        self._hash.update(data)
        return data
