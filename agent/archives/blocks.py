"""A compressed stream made of independent blocks: any tool reads it as one gzip or zstd file, and we can begin to read at every block.

The blocks are packed by threads side by side, since each stands alone. Where the blocks begin is for the caller to keep.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from types import TracebackType
from typing import IO, Self

import zstandard
from isal import isal_zlib

BLOCK = 4 * 1024 * 1024
"""Bytes of the plain stream in each block but the last."""
WORKERS = 2
ZSTD_LEVEL, GZIP_LEVEL = 3, 2
_GZIP_HEADER = 31
"""zlib's word for "with a gzip header"."""
_BROKEN: tuple[type[Exception], ...] = (zstandard.ZstdError, isal_zlib.IsalError, EOFError)  # type: ignore[assignment]


class Codec(StrEnum):
    GZIP = "gz"
    ZSTD = "zst"

    def pack(self, data: bytes) -> bytes:
        """One block as a whole gzip member or zstd frame."""
        if self is Codec.ZSTD:
            return zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compress(data)
        return isal_zlib.compress(data, GZIP_LEVEL, _GZIP_HEADER)

    def unpack(self, data: bytes) -> bytes:
        """The reverse. Raises ValueError when it is broken or more than a block."""
        try:
            if self is Codec.ZSTD:
                return zstandard.ZstdDecompressor().decompress(data, max_output_size=BLOCK)
            inflater = isal_zlib.decompressobj(_GZIP_HEADER)
            plain = inflater.decompress(data, BLOCK + 1)
            if not inflater.eof or len(plain) > BLOCK:
                raise ValueError("a block is cut or too long")
            return plain
        except _BROKEN as error:
            raise ValueError(f"a block is broken: {error}") from error


class BlockWriter:
    """A file to write the plain stream to. Use as a context manager: what is left is written at its end, unless an error ended it."""

    def __init__(self, out: IO[bytes], codec: Codec) -> None:
        self._out = out
        self._codec = codec
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="pack")
        self._rest = bytearray()
        self._coming: deque[Future[bytes]] = deque()
        self.offsets: list[int] = []
        """Where in the packed stream each block begins."""
        self.size = 0
        """Bytes of the packed stream so far."""

    def write(self, data: bytes) -> int:
        self._rest += data
        while len(self._rest) >= BLOCK:
            self._submit(bytes(memoryview(self._rest)[:BLOCK]))
            del self._rest[:BLOCK]
        return len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                if self._rest or not (self.offsets or self._coming):
                    self._submit(bytes(self._rest))
                while self._coming:
                    self._write_one()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _submit(self, block: bytes) -> None:
        if len(self._coming) > WORKERS:
            self._write_one()
        self._coming.append(self._pool.submit(self._codec.pack, block))

    def _write_one(self) -> None:
        packed = self._coming.popleft().result()
        self.offsets.append(self.size)
        self.size += len(packed)
        self._out.write(packed)


ReadAt = Callable[[int, int], bytes]
"""`(offset, length)` of the packed stream; fewer bytes than asked for mean that it ends."""


class BlockReader:
    """The plain stream from any place on, reading no more blocks than it needs."""

    def __init__(self, read_at: ReadAt, offsets: Sequence[int], size: int, codec: Codec) -> None:
        self._read_at = read_at
        self._offsets = [*offsets, size]
        self._codec = codec
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")

    def seek(self, at: int) -> None:
        self._at = at

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, up to a block's end; empty at the stream's. Raises ValueError when the archive is broken."""
        number, inner = divmod(self._at, BLOCK)
        if number >= len(self._offsets) - 1:
            return b""
        data = self._block(number)[inner : inner + size if size >= 0 else None]
        self._at += len(data)
        return data

    def _block(self, number: int) -> bytes:
        if self._held[0] != number:
            at, length = self._offsets[number], self._offsets[number + 1] - self._offsets[number]
            packed = self._read_at(at, length)
            if len(packed) != length:
                raise ValueError("the archive is shorter than it was")
            self._held = number, self._codec.unpack(packed)
        return self._held[1]
