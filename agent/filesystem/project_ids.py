"""Which project id belongs to which server: one each, kept in a file of ours, since a server's owner could change what its folder says.

Must never give an id twice while anything bears it.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path

FIRST = 0x41450000
"""Ids from here on are ours (65536 of them before any other ten-digit number a person would choose)."""
LAST = FIRST + 0xFFFF


class ProjectIds:
    """`unused` answers whether the file system knows nothing of an id."""

    def __init__(self, file: Path, unused: Callable[[int], bool]) -> None:
        self._file = file
        self._unused = unused
        self._lock = threading.Lock()
        self._ids = self._read()

    def get(self, uuid: str) -> int | None:
        return self._ids.get(uuid)

    def take(self, uuid: str) -> int:
        """A server's id; one that has none gets one, which is on the disk when this returns. Raises OSError."""
        with self._lock:
            known = self._ids.get(uuid)
            if known is not None:
                return known
            given = set(self._ids.values())
            for number in range(FIRST, LAST + 1):
                if number not in given and self._unused(number):
                    self._ids[uuid] = number
                    try:
                        self._write()
                    except OSError:
                        del self._ids[uuid]
                        raise
                    return number
            raise OSError("no project id is left")

    def give_back(self, gone: Callable[[str], bool]) -> None:
        """Ids of servers that are gone and of which nothing is left, which the file system may take a moment to notice."""
        with self._lock:
            free = [uuid for uuid, number in self._ids.items() if gone(uuid) and self._unused(number)]
            for uuid in free:
                del self._ids[uuid]
            if free:
                self._write()

    def _read(self) -> dict[str, int]:
        try:
            held = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {str(uuid): int(number) for uuid, number in held.items()}

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._ids, indent=0), encoding="utf-8")
        fresh.replace(self._file)
