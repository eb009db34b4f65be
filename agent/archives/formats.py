"""Which kind an archive is, told from its first bytes, and its decompressor with bounded memory."""

import bz2
import gzip
import io
import lzma
import zlib
from enum import StrEnum
from typing import IO, cast

import zstandard
from isal import igzip, isal_zlib

from agent.archives.caps import ArchiveRefused, Readable

MOST_MEMORY = 128 * 1024 * 1024
"""Bytes that a decompressor's window may take."""
_CHUNK = 256 * 1024
BEGINNING = 512


class Packing(StrEnum):
    NONE = ""
    GZIP = "gz"
    BZIP2 = "bz2"
    XZ = "xz"
    ZSTD = "zst"
    ZIP = "zip"


_MAGIC = {
    b"\x1f\x8b": Packing.GZIP,
    b"BZh": Packing.BZIP2,
    b"\xfd7zXZ\x00": Packing.XZ,
    b"\x28\xb5\x2f\xfd": Packing.ZSTD,
    b"PK\x03\x04": Packing.ZIP,
    b"PK\x05\x06": Packing.ZIP,
}
_UNSUPPORTED = {b"Rar!": "RAR", b"7z\xbc\xaf\x27\x1c": "7z"}


def packing_of(beginning: bytes) -> Packing:
    """Raises ArchiveRefused for kinds that are known but not read."""
    for magic, name in _UNSUPPORTED.items():
        if beginning.startswith(magic):
            raise ArchiveRefused(f"{name} archives cannot be unpacked here.", hint="Use zip, tar.gz, tar.bz2, tar.xz or tar.zst.")
    return next((packing for magic, packing in _MAGIC.items() if beginning.startswith(magic)), Packing.NONE)


def is_tar(beginning: bytes) -> bool:
    """Whether the (decompressed) bytes begin as a tar does."""
    return beginning[257:262] == b"ustar" or (len(beginning) >= BEGINNING and _old_tar(beginning))


def _old_tar(header: bytes) -> bool:
    """A tar from before POSIX has no magic, but a checksum."""
    try:
        told = int(header[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return bool(header[0]) and told == sum(header[:148]) + 8 * 32 + sum(header[156:512])


def decompressor(source: IO[bytes], packing: Packing) -> Readable:
    """A stream of what is packed in `source`. Raises ArchiveRefused or OSError while it is read, EOFError when it is cut."""
    match packing:
        case Packing.GZIP:
            return cast(Readable, igzip.IGzipFile(fileobj=source))  # type: ignore[no-untyped-call]
        case Packing.BZIP2:
            return bz2.BZ2File(source)
        case Packing.XZ:
            return _Xz(source)
        case Packing.ZSTD:
            reader = zstandard.ZstdDecompressor(max_window_size=MOST_MEMORY).stream_reader(source, read_across_frames=True)
            return cast(Readable, reader)
        case _:
            return source


class _Xz(io.RawIOBase):
    """lzma's own file takes as much memory as an archive asks for; this one has a limit."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._fresh()

    def _fresh(self) -> None:
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY)

    def read(self, size: int = -1, /) -> bytes:
        while True:
            if self._decompressor.eof:
                rest = self._decompressor.unused_data or self._source.read(_CHUNK)
                if not rest.strip(b"\0"):
                    return b""
                self._fresh()
                data = rest
            else:
                data = self._source.read(_CHUNK) if self._decompressor.needs_input else b""
                if not data and self._decompressor.needs_input:
                    raise EOFError("the archive is cut")
            if out := self._decompressor.decompress(data, size):
                return out


BROKEN: tuple[type[Exception], ...] = (
    EOFError, OSError, gzip.BadGzipFile, zlib.error, isal_zlib.IsalError, lzma.LZMAError, zstandard.ZstdError,  # type: ignore[assignment]
)  # fmt: skip
"""What decompressors raise over broken data."""
