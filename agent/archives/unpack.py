"""An archive of a server, unpacked into one of its folders. Only plain files and folders come out of it; links, devices and rights do not.

Each file is written aside and put in place whole, through `Rooted`: members cannot lead out, use links that lie there, touch denied files
or go past the disk limit. Runs in threads.
"""

import os
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, cast

from agent.archives.caps import MOST_AT_ONCE, ArchiveRefused, Caps, Meter, Metered, Readable
from agent.archives.formats import BEGINNING, BROKEN, Packing, decompressor, is_tar, packing_of
from agent.filesystem import trees
from agent.filesystem.refusals import Denied, NotRegular, OutsideRoot
from agent.filesystem.replacement import Replacement
from agent.filesystem.root import normal
from agent.filesystem.rooted import FILE_MODE, MODE_BITS, Rooted
from core.errors import AerieError

_PORTION = 1024 * 1024
USUAL = Caps()
_BROKEN: tuple[type[Exception], ...] = (
    *BROKEN, tarfile.TarError, zipfile.BadZipFile, RuntimeError, ValueError, NotImplementedError,
)  # fmt: skip


def unpack(files: Rooted, archive: bytes, into: bytes, seconds: Callable[[], float], caps: Caps = USUAL) -> int:
    """Unpack the file `archive` into the folder `into`; answers how many files came out. Denied members are left out (Wings).

    Raises ArchiveRefused, and what `Rooted` raises (QuotaExceeded …): what came out before stays.
    """
    descriptor = files.open_read(archive)
    with os.fdopen(descriptor, "rb", buffering=_PORTION) as source:
        return unpack_from(source, files, into, Meter(caps, os.fstat(descriptor).st_size, seconds), name=archive)


def unpack_from(
    source: IO[bytes], files: Rooted, into: bytes, meter: Meter, *, name: bytes = b"", links: bool = False
) -> int:
    """As `unpack`, from an open archive; `name` names the file that a lone compressed one becomes.

    With `links`, for backups, symbolic links are made, after all else, so that nothing is written through them.
    """
    beginning = source.read(BEGINNING)
    source.seek(0)
    packing = packing_of(beginning)
    target = _Target(files, into, meter)
    try:
        if packing is Packing.ZIP:
            _zip(source, target)
        else:
            _tar_or_one(source, packing, target, name)
    except _BROKEN as error:
        raise ArchiveRefused(f"The archive is broken or encrypted: {error}.", hint="Pack it again.") from error
    if links:
        target.make_links()
    return target.files_out


class _Target:
    """Where members go."""

    def __init__(self, files: Rooted, into: bytes, meter: Meter) -> None:
        self._files = files
        self._into = normal(into)
        self.meter = meter
        self._made: set[bytes] = set()
        self._links: list[tuple[bytes, bytes]] = []
        self.files_out = 0

    def _place(self, name: bytes) -> bytes | None:
        """Where a member goes; None when it is to be left out. A path that would rise above the folder is refused."""
        parts = [part for part in name.replace(b"\\", b"/").split(b"/") if part not in (b"", b".")]
        if b".." in parts or (parts and len(parts[0]) == 2 and parts[0][1:] == b":" and parts[0][:1].isalpha()):
            raise ArchiveRefused("The archive holds a path that leads out of its folder.")
        inner = b"/".join(parts)
        self.meter.member(inner)
        return b"/".join(filter(None, (self._into, inner))) if inner else None

    def folder(self, name: bytes) -> None:
        if (place := self._place(name)) is not None:
            with suppress(Denied):
                self._folders(place)

    def file(self, name: bytes, mode: int, modified: float | None, content: Readable, *, metered: bool) -> None:
        """Write one member. `metered`: its bytes are counted by whoever reads them already."""
        place = self._place(name)
        if place is None:
            return
        try:
            self._folders(place.rpartition(b"/")[0])
            replacement = Replacement(self._files, place)
        except Denied:
            return
        except (OutsideRoot, NotRegular) as error:
            raise ArchiveRefused(f"{os.fsdecode(name)[:200]}: {error.message}") from error
        try:
            while data := content.read(_PORTION):
                if not metered:
                    self.meter.count(len(data))
                replacement.write(data)
            replacement.commit()
        finally:
            replacement.abort()
        self.files_out += 1
        with suppress(AerieError):  # adornments
            self._files.set_mode(place, (mode & MODE_BITS) or FILE_MODE)
            if modified is not None and modified > 0:
                self._files.set_times(place, modified, modified)

    def link(self, name: bytes, to: bytes) -> None:
        """Remember a symbolic link for `make_links`."""
        if (place := self._place(name)) is not None and to:
            self._links.append((place, to))

    def make_links(self) -> None:
        """As they were, wherever they lead: nothing of ours follows one out. What stands in the way of one stays."""
        for place, to in self._links:
            with suppress(AerieError):
                self._folders(place.rpartition(b"/")[0])
                self._files.restore_link(to, place)

    def _folders(self, place: bytes) -> None:
        if place in self._made:
            return
        trees.make_folders(self._files, place)
        self._made.add(place)


def _tar_or_one(source: IO[bytes], packing: Packing, target: _Target, name: bytes) -> None:
    stream = _Ahead(Metered(decompressor(source, packing), target.meter))
    if is_tar(stream.peek(BEGINNING)):
        _tar(stream, target)
    elif packing is not Packing.NONE:
        base = name.rpartition(b"/")[2]
        stem = base.rpartition(b".")[0]
        target.file(stem or base + b".unpacked", FILE_MODE, None, stream, metered=True)
    else:
        raise ArchiveRefused("This is no archive that can be unpacked here.", hint="Use zip, tar.gz, tar.bz2, tar.xz or tar.zst.")


class _Ahead:
    """A stream whose first bytes were looked at."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._held = b""

    def peek(self, size: int) -> bytes:
        while len(self._held) < size and (data := self._source.read(size - len(self._held))):
            self._held += data
        return self._held

    def read(self, size: int = -1, /) -> bytes:
        if self._held:
            out, self._held = self._held[:size], self._held[size:]
            return out
        return self._source.read(size)


def _tar(stream: Readable, target: _Target) -> None:
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", bufsize=_PORTION, encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            name = os.fsencode(member.name)
            if member.isdir():
                target.folder(name)
            elif member.isreg() and (content := tar.extractfile(member)) is not None:
                target.file(name, member.mode, float(member.mtime), cast(Readable, content), metered=True)
            elif member.issym():
                target.link(name, os.fsencode(member.linkname))
            tar.members.clear()  # type: ignore[attr-defined]  # else all of them are kept in memory


class _Bounded:
    """A zip's file whose directory may not be longer than memory allows."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.seek, self.tell, self.seekable = source.seek, source.tell, source.seekable

    def read(self, size: int = -1, /) -> bytes:
        if size > MOST_AT_ONCE:
            raise ArchiveRefused("The archive's directory is too long.", hint="Use a tar.gz, or several archives.")
        return self._source.read(size)


def _zip(source: IO[bytes], target: _Target) -> None:
    with zipfile.ZipFile(cast(IO[bytes], _Bounded(source))) as archive:
        for member in archive.infolist():
            name = member.filename.encode("utf-8", "surrogateescape")
            kind = member.external_attr >> 28
            if member.is_dir():
                target.folder(name)
            elif kind in (0, 0o10):  # links and devices are left out
                with archive.open(member) as content:
                    target.file(name, member.external_attr >> 16 & 0o7777, _dos_time(member), cast(Readable, content), metered=False)


def _dos_time(member: zipfile.ZipInfo) -> float | None:
    try:
        return datetime(*member.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return None
