"""How much an archive may ask of us: bytes, their ratio to the archive's own, members, depth, time. Counted on real bytes.

Must never trust a size that an archive tells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.errors import BadRequest


class ArchiveRefused(BadRequest):
    """The archive is broken, of an unknown kind, or asks too much."""

    code = "archive_refused"


@dataclass(frozen=True)
class Caps:
    """Limits for one archive."""

    most_bytes: int = 256 * 1024**3
    """Of all contents together; a server's disk limit usually comes first."""
    ratio: int = 250
    """Bytes out for one byte in; game worlds reach 20, logs 60."""
    free_bytes: int = 64 * 1024**2
    """Below so much the ratio does not count."""
    members: int = 500_000
    depth: int = 100
    seconds: float = 840.0
    """Callers wait 15 minutes for packing and unpacking (Wings' panel)."""


class Meter:
    """One archive against its caps. `seconds` is a monotonic clock."""

    def __init__(self, caps: Caps, packed: int, seconds: Callable[[], float]) -> None:
        self._caps = caps
        self._most = min(caps.most_bytes, max(caps.free_bytes, packed * caps.ratio))
        self._seconds = seconds
        self._until = seconds() + caps.seconds
        self.bytes = 0
        self.members = 0

    def count(self, size: int) -> None:
        """So many bytes came out. Raises ArchiveRefused."""
        self.bytes += size
        if self.bytes > self._most:
            raise ArchiveRefused("The archive unpacks to far more than its size allows, so it is not trusted.")
        if self._seconds() > self._until:
            raise ArchiveRefused("The archive takes too long.", hint="Use SFTP, or smaller archives.")

    def member(self, path: bytes) -> None:
        """Another member. Raises ArchiveRefused."""
        self.members += 1
        if self.members > self._caps.members:
            raise ArchiveRefused("The archive holds too many files.")
        if path.count(b"/") >= self._caps.depth:
            raise ArchiveRefused("The archive's folders are nested too deeply.")
        self.count(0)


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


MOST_AT_ONCE = 16 * 1024 * 1024
"""What a reader of ours ever asks for at once; a header that claims to be longer is refused before memory is taken for it."""


class Metered:
    """What comes out of a decompressor, counted; for streaming readers."""

    def __init__(self, source: Readable, meter: Meter) -> None:
        self._source = source
        self._meter = meter

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= MOST_AT_ONCE:
            raise ArchiveRefused("The archive holds a header that is too long.")
        data = self._source.read(size)
        self._meter.count(len(data))
        return data
