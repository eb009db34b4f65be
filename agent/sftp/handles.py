"""What a session has open: files and listings, by the handle its client was given. Must never outlive the session: `close_all`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import AerieError, LimitReached

MOST_HANDLES = 256


class NoSuchHandle(AerieError):
    """The client names something it has not open."""

    code = "no_such_handle"


@dataclass(slots=True)
class OpenFile:
    """A regular file; `path` is the client's."""

    descriptor: int
    path: bytes
    reads: bool
    writes: bool
    appends: bool

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(slots=True)
class Listing:
    """A folder being listed, in portions."""

    descriptor: int
    entries: "Iterator[os.DirEntry[str]]"

    def close(self) -> None:
        self.entries.close()  # type: ignore[attr-defined]
        os.close(self.descriptor)


class Handles:
    """Handles are numbers that are never used twice in a session, so that a late request cannot meet another file."""

    def __init__(self) -> None:
        self._open: dict[bytes, OpenFile | Listing] = {}
        self._next = 0

    def add(self, opened: OpenFile | Listing) -> bytes:
        """Raises LimitReached, and closes what was to be added."""
        if len(self._open) >= MOST_HANDLES:
            opened.close()
            raise LimitReached(f"{MOST_HANDLES} files are open in this session, which is the most.", hint="Close some first.")
        self._next += 1
        handle = self._next.to_bytes(8, "big")
        self._open[handle] = opened
        return handle

    def file(self, handle: bytes) -> OpenFile:
        """Raises NoSuchHandle."""
        opened = self._open.get(handle)
        if not isinstance(opened, OpenFile):
            raise NoSuchHandle("No file is open under this handle.")
        return opened

    def listing(self, handle: bytes) -> Listing:
        """Raises NoSuchHandle."""
        opened = self._open.get(handle)
        if not isinstance(opened, Listing):
            raise NoSuchHandle("No folder is open under this handle.")
        return opened

    def close(self, handle: bytes) -> None:
        """Raises NoSuchHandle."""
        opened = self._open.pop(handle, None)
        if opened is None:
            raise NoSuchHandle("Nothing is open under this handle.")
        opened.close()

    def close_all(self) -> None:
        while self._open:
            self._open.popitem()[1].close()
