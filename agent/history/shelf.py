"""One server's history on disk: files that are only ever added to, the oldest thrown away by size and by age.

Used in threads alone: one writes, several read. Never reads a file's content to find out whether a search needs it, once it was looked at.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from agent.history import records
from agent.history.records import HEAD_BYTES, Head, Run

FILES = 8
"""Into how many files a server's share is parted: that much of it goes at once."""
SMALLEST_FILE = 128 * 1024
SMALL_BLOCK = 32 * 1024
"""A full file whose blocks are smaller than this on average is packed anew."""
PACKED_BLOCK = 256 * 1024
"""Bytes of text and table in each block then; a search opens whole blocks."""


@dataclass(slots=True)
class Segment:
    """One file and what it holds. Times are milliseconds since 1970; numbers are 0 while none of its lines has one."""

    path: Path
    size: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_ms: int = 0
    last_ms: int = 0
    blocks: int = 0

    @property
    def number(self) -> int:
        """Files of one server are numbered from 1."""
        return int(self.path.stem)

    def take(self, found: Head) -> None:
        """Count a block in."""
        if found.first_seq:
            self.first_seq = self.first_seq or found.first_seq
            self.last_seq = found.last_seq
        self.first_ms = min(self.first_ms, found.first_ms) if self.size else found.first_ms
        self.last_ms = max(self.last_ms, found.last_ms)
        self.size += found.size
        self.blocks += 1


def heads(fd: int) -> Iterator[tuple[int, Head]]:
    """Where a file's blocks are and what they hold, up to the first that is torn. Raises OSError."""
    at, end = 0, os.fstat(fd).st_size
    while (found := records.head(os.pread(fd, HEAD_BYTES, at))) is not None and at + found.size <= end:
        yield at, found
        at += found.size


class Shelf:
    """A folder of segments. `most` bytes in all, `keep_ms` milliseconds of them."""

    def __init__(self, folder: Path, most: int, keep_ms: int) -> None:
        self.folder = folder
        self._most = most
        self._keep_ms = keep_ms
        self._file_bytes = max(SMALLEST_FILE, most // FILES)
        self._segments: list[Segment] | None = None
        self._lock = threading.Lock()
        self._torn = True

    def segments(self) -> list[Segment]:
        """What there is now, oldest first: a copy that does not move. Raises OSError."""
        with self._lock:
            return [replace(segment) for segment in self._loaded()]

    @property
    def last_seq(self) -> int:
        """The newest number kept; 0 for none. Raises OSError."""
        return max((segment.last_seq for segment in self.segments()), default=0)

    def append(self, runs: Sequence[Run], now_ms: int) -> None:
        """Keep runs, oldest first, but for lines that are here already. Raises OSError; then nothing of them is kept."""
        with self._lock:
            segments = self._loaded()
            if segments and not segments[-1].path.exists():  # somebody cleared up here
                self._segments = None
                segments = self._loaded()
            if not (runs := _beyond(runs, max((segment.last_seq for segment in segments), default=0))):
                return
            if not segments or self._torn or segments[-1].size >= self._file_bytes:
                self._begin(segments)
            self._put(segments[-1], records.block(runs))
            self._shorten(segments, now_ms)

    def prune(self, now_ms: int) -> None:
        """Throw away what is too old; the folder too when nothing is left. Raises OSError."""
        with self._lock:
            segments = self._loaded()
            self._shorten(segments, now_ms)
            if segments and segments[-1].last_ms < now_ms - self._keep_ms:
                segments.pop().path.unlink(missing_ok=True)
            if not segments:
                with contextlib.suppress(OSError):
                    self.folder.rmdir()

    def _loaded(self) -> list[Segment]:
        if self._segments is None:
            names = sorted(self.folder.glob("[0-9]*.console")) if self.folder.exists() else []
            segments = []
            for path in names:
                with path.open("rb", buffering=0) as file:
                    segment, last = Segment(path), None
                    for at, found in heads(file.fileno()):
                        segment.take(found)
                        last = at, found
                    segments.append(segment)
                    self._torn = not _is_sound(file.fileno(), segment.size, last)
            for left in self.folder.glob("*.packing"):
                left.unlink()
            self._segments = segments
        return self._segments

    def _begin(self, segments: list[Segment]) -> None:
        """A new file: the last one is long enough, or ends in half a block."""
        if segments and segments[-1].blocks > segments[-1].size // SMALL_BLOCK:
            with contextlib.suppress(OSError):  # it stays as it is
                self._pack(segments[-1])
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        following = segments[-1].number + 1 if segments else 1
        path = self.folder / f"{following:08}.console"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        segments.append(Segment(path))
        self._torn = False

    def _pack(self, segment: Segment) -> None:
        """Put the many small blocks of a quiet console together: a tenth of the bytes. The lines keep their order and their count."""
        packed, fresh = Segment(segment.path), segment.path.with_suffix(".packing")
        try:
            with (
                segment.path.open("rb", buffering=0) as file,
                os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "wb") as out,
            ):
                runs: list[Run] = []
                size = 0
                for at, found in heads(file.fileno()):
                    stored = os.pread(file.fileno(), found.stored, at + HEAD_BYTES)
                    if not records.is_whole(found, stored):
                        return
                    runs += records.runs(found, stored)
                    size += found.raw
                    if size >= PACKED_BLOCK:
                        _add(out, packed, runs)
                        runs, size = [], 0
                if runs:
                    _add(out, packed, runs)
            fresh.replace(segment.path)
        finally:
            fresh.unlink(missing_ok=True)
        segment.size, segment.blocks = packed.size, packed.blocks

    def _put(self, segment: Segment, data: bytes) -> None:
        """Write a block whole, or take back what of it was written."""
        fd = os.open(segment.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(fd, data[done:] if done else data, segment.size + done)
        except OSError:
            self._torn = True
            with contextlib.suppress(OSError):
                os.ftruncate(fd, segment.size)
                self._torn = False
            raise
        finally:
            os.close(fd)
        found = records.head(data)
        assert found is not None
        segment.take(found)

    def _shorten(self, segments: list[Segment], now_ms: int) -> None:
        total = sum(segment.size for segment in segments)
        while len(segments) > 1 and (total > self._most or segments[0].last_ms < now_ms - self._keep_ms):
            gone = segments.pop(0)
            total -= gone.size
            gone.path.unlink(missing_ok=True)


def _add(out: BinaryIO, packed: Segment, runs: Sequence[Run]) -> None:
    data = records.block(runs)
    out.write(data)
    found = records.head(data)
    assert found is not None
    packed.take(found)


def _is_sound(fd: int, size: int, last: tuple[int, Head] | None) -> bool:
    """Whether a file of so many good bytes ends in a whole block, so that more can be added."""
    if os.fstat(fd).st_size != size:
        return False
    return last is None or records.is_whole(last[1], os.pread(fd, last[1].stored, last[0] + HEAD_BYTES))


def _beyond(runs: Sequence[Run], last_seq: int) -> list[Run]:
    """What of them comes after a number."""
    kept = []
    for run in runs:
        if not run.first_seq or run.first_seq > last_seq:
            kept.append(run)
        elif (known := last_seq + 1 - run.first_seq) < run.count:
            text = run.text.split(b"\n", known)[-1]
            kept.append(replace(run, first_seq=run.first_seq + known, count=run.count - known, text=text))
    return kept
