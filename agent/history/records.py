"""What a console's history looks like on disk: blocks of runs, each block whole or not there at all.

A run is consecutive lines that came at one moment; a block is some runs, packed, behind a head that tells its numbers and times, so that a
search reads heads and leaves the rest alone. A block that was torn by a crash fails its checksum and ends its file. Knows no files.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import zstandard

_HEAD = struct.Struct("<4sIIIIIQQqq")
_RUN = struct.Struct("<QqIIB")
_MAGIC = b"ACB1"
HEAD_BYTES = _HEAD.size
LARGEST_BLOCK = 16 * 1024 * 1024
"""Bytes of a block, unpacked; a head that claims more is no head."""
_PACKED_FROM = 200
"""Bytes below which packing gains nothing."""


class Kind(IntEnum):
    """Who said a line."""

    OUTPUT = 0
    """The game."""
    NOTICE = 1
    """The agent."""
    INSTALL = 2
    """The install script; such lines have no number."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines. `text` is UTF-8, parted by LF; `ms` counts from 1970; `first_seq` is 0 for lines without a number."""

    first_seq: int
    ms: int
    kind: Kind
    count: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What a block holds, without reading it. Numbers are 0 when none of its lines has one."""

    crc: int
    stored: int
    raw: int
    runs: int
    lines: int
    first_seq: int
    last_seq: int
    first_ms: int
    last_ms: int

    @property
    def size(self) -> int:
        """Bytes of the block in its file."""
        return HEAD_BYTES + self.stored


def block(runs: Sequence[Run]) -> bytes:
    """Runs, oldest first, as one block."""
    raw = b"".join([_RUN.pack(run.first_seq, run.ms, run.count, len(run.text), run.kind) for run in runs] + [run.text for run in runs])
    stored = zstandard.ZstdCompressor(level=1).compress(raw) if len(raw) >= _PACKED_FROM else raw
    if len(stored) >= len(raw):
        stored = raw
    numbered = [run for run in runs if run.first_seq]
    first = numbered[0].first_seq if numbered else 0
    last = numbered[-1].first_seq + numbered[-1].count - 1 if numbered else 0
    times = [run.ms for run in runs]
    fields = (len(stored), len(raw), len(runs), sum(run.count for run in runs), first, last, min(times), max(times))
    crc = zlib.crc32(stored, zlib.crc32(repr(fields).encode()))
    return _HEAD.pack(_MAGIC, crc, *fields) + stored


def head(data: bytes) -> Head | None:
    """The head at the beginning of `data`; None when there is none."""
    if len(data) < HEAD_BYTES:
        return None
    magic, crc, stored, raw, runs, lines, first, last, first_ms, last_ms = _HEAD.unpack_from(data)
    if magic != _MAGIC or raw > LARGEST_BLOCK or stored > raw or runs * _RUN.size > raw or lines < runs:
        return None
    return Head(crc, stored, raw, runs, lines, first, last, first_ms, last_ms)


def is_whole(found: Head, stored: bytes) -> bool:
    """Whether these are the bytes that were written under that head."""
    fields = (found.stored, found.raw, found.runs, found.lines, found.first_seq, found.last_seq, found.first_ms, found.last_ms)
    return len(stored) == found.stored and zlib.crc32(stored, zlib.crc32(repr(fields).encode())) == found.crc


def runs(found: Head, stored: bytes) -> Iterator[Run]:
    """A whole block's runs, oldest first."""
    raw = stored if found.stored == found.raw else zstandard.ZstdDecompressor().decompress(stored, max_output_size=found.raw)
    at = found.runs * _RUN.size
    for number in range(found.runs):
        first_seq, ms, count, size, kind = _RUN.unpack_from(raw, number * _RUN.size)
        yield Run(first_seq, ms, Kind(kind), count, raw[at : at + size])
        at += size
