"""The outbox's memory: a SQLite file that keeps each item until it was taken, through any crash. All its work is done in one thread.

Must never decide what is sent when; that is outbox.py's. A file that cannot be read is put aside, never deleted.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from core.errors import RuntimeFailure

log = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE = 500
"""Rows per DELETE: SQLite's count of parameters has a limit, and Wings ran into it (CVE-2026-21696)."""
_TABLE = """CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, path TEXT NOT NULL, body TEXT NOT NULL)"""


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be told. Items of one stream keep their order; `body` is JSON text."""

    id: int
    stream: str
    path: str
    body: str


class Journal:
    """`open` first, `close` last."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> list[Item]:
        """What was not taken yet, oldest first."""
        return await self._do(self._open)

    async def add(self, stream: str, path: str, body: str) -> Item:
        """Keep an item; it is on the disk when this returns. Raises RuntimeFailure when the disk does not take it."""

        def insert(connection: sqlite3.Connection) -> Item:
            with connection:
                made = connection.execute("INSERT INTO outbox (stream, path, body) VALUES (?, ?, ?)", (stream, path, body))
            return Item(int(made.lastrowid or 0), stream, path, body)

        return await self._do(lambda: insert(self._connected()))

    async def remove(self, items: Sequence[Item]) -> None:
        def delete(connection: sqlite3.Connection) -> None:
            with connection:
                for start in range(0, len(items), _AT_ONCE):
                    ids = [(item.id,) for item in items[start : start + _AT_ONCE]]
                    connection.executemany("DELETE FROM outbox WHERE id = ?", ids)

        await self._do(lambda: delete(self._connected()))

    async def close(self) -> None:
        def end() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        await self._do(end)
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise RuntimeFailure(f"The outbox {self._file} cannot be used: {error}.", hint="Look at the node's disk.") from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeFailure("The outbox is closed.")
        return self._connection

    def _open(self) -> list[Item]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._load()
        except sqlite3.DatabaseError as error:
            if self._connection is not None:
                self._connection.close()
            aside = self._file.with_suffix(".spoilt")
            log.error("the outbox %s cannot be read (%s); it is kept as %s and a new one begins", self._file, error, aside.name)
            self._file.replace(aside)
            return self._load()

    def _load(self) -> list[Item]:
        self._file.touch(mode=0o600)
        self._connection = sqlite3.connect(self._file, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(_TABLE)
        rows = self._connection.execute("SELECT id, stream, path, body FROM outbox ORDER BY id").fetchall()
        return [Item(*row) for row in rows]
