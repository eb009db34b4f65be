"""What all consoles of the node said, kept on disk beyond their containers: taken in by the console, written by one thread in batches.

Taking in costs the console one joined string and never waits: what the disk cannot follow is left out, which shows as a gap in the
numbers. A full or broken disk loses history, never the console or the game; it is told in the log once, and once more when it is over.
"""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from agent.history.numbers import Numbers
from agent.history.records import Kind, Run
from agent.history.search import Found, Wanted, search
from agent.history.shelf import Shelf
from core.agent_settings import HistorySection
from core.clock import Clock
from core.errors import RuntimeFailure

log = logging.getLogger(__name__)

T = TypeVar("T")

FLUSH_SECONDS = 1.0
"""Between two writes while little is said: so much is lost when the agent is killed, unless Docker's log still has it."""
EARLY_BYTES = 512 * 1024
"""What waits is written at once when it is so much."""
HELD_BYTES = 4 * 1024 * 1024
"""Of one server that may wait for the disk."""
HELD_IN_ALL = 16 * 1024 * 1024
BLOCK_BYTES = 512 * 1024
"""About as much text is packed into one block; a search opens whole blocks."""
SEARCH_SECONDS = 1.0
"""For one page."""
SEARCHES = 4
"""Under way at once; others wait."""
PRUNE_SECONDS = 3600.0
_DAY = 86_400_000


class Book:
    """One server's place in the history: what its console hands over."""

    def __init__(self, history: "History", uuid: str, shelf: Shelf, numbers: tuple[int, int]) -> None:
        self.uuid = uuid
        self.shelf = shelf
        self.last_seq, self.outputs = numbers
        """As an earlier agent left them."""
        self.waiting: list[Run] = []
        self.waiting_bytes = 0
        self.left_out = 0
        """Lines that were not kept, since the agent's start."""
        self.failing = False
        self.closed = False
        """Whether the server was deleted."""
        self._history = history

    @property
    def count(self) -> str:
        """The name of the count that this server's numbers belong to."""
        return self._history.count

    @property
    def gone_on(self) -> bool:
        """Whether the count is the one that the last agent used."""
        return not self._history.numbers.fresh

    def add(self, first_seq: int, lines: Sequence[str], kind: Kind, outputs: int) -> None:
        """Take in numbered lines, before anybody sees them. `outputs`: how many of all numbered lines were the game's own."""
        if not self.closed:
            self._history.numbers.note(self.uuid, first_seq + len(lines) - 1, outputs)
        self.keep(first_seq, lines, kind)

    def keep(self, first_seq: int, lines: Sequence[str], kind: Kind) -> None:
        """Take in lines whose numbers were given before, or that have none (0)."""
        self._history.take(self, first_seq, lines, kind)


class History:
    """`open` first, `run` as a worker, `close` last. `folder` is the agent's own, never a server's."""

    def __init__(self, folder: Path, settings: HistorySection, clock: Clock) -> None:
        self._folder = folder
        self._most = settings.console_mb * 1024 * 1024
        self._keep_ms = settings.days * _DAY
        self._clock = clock
        self.numbers = Numbers(folder / "numbers")
        self._books: dict[str, Book] = {}
        self._waiting: dict[str, Book] = {}
        self._bytes = 0
        self._some = asyncio.Event()
        self._much = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._searching = asyncio.Semaphore(SEARCHES)
        self._closed = False

    @property
    def count(self) -> str:
        return self.numbers.count

    async def open(self) -> None:
        """Learn the numbers. After a machine went down, what is on disk counts too."""
        await self._in_thread(self._open)

    def _open(self) -> None:
        self.numbers.open()
        if not self.numbers.fresh:
            return
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.is_dir():
                try:
                    seq = max(Shelf(folder, self._most, self._keep_ms).last_seq, self.numbers.of(folder.name)[0])
                except OSError as error:
                    log.warning("the console history in %s cannot be read: %s", folder, error.strerror)
                    continue
                self.numbers.recall(folder.name, seq)

    def book(self, uuid: str) -> Book:
        """A server's book, the same one each time."""
        if (book := self._books.get(uuid)) is None:
            shelf = Shelf(self._folder / uuid, self._most, self._keep_ms)
            book = self._books[uuid] = Book(self, uuid, shelf, self.numbers.of(uuid))
        return book

    def take(self, book: Book, first_seq: int, lines: Sequence[str], kind: Kind) -> None:
        """Have lines written soon, or leave them out when too much waits already."""
        if not self._most or not lines or book.closed or self._closed:
            return
        text = "\n".join(lines)
        if text.count("\n") >= len(lines):
            text = "\n".join(line.replace("\n", " ") for line in lines)
        data = text.encode("utf-8", "replace")
        size = len(data) + 64
        if book.waiting_bytes + size > HELD_BYTES or self._bytes + size > HELD_IN_ALL:
            book.left_out += len(lines)
            return
        book.waiting.append(Run(first_seq, int(self._clock.now().timestamp() * 1000), kind, len(lines), data))
        book.waiting_bytes += size
        self._bytes += size
        self._waiting[book.uuid] = book
        self._some.set()
        if self._bytes > EARLY_BYTES:
            self._much.set()

    async def run(self) -> None:
        """Worker: write what waits, soon when it is much; look for what is too old."""
        pruned = self._clock.monotonic()
        while True:
            if await self._within(PRUNE_SECONDS, self._some):
                await self._within(FLUSH_SECONDS, self._much)
                await self.flush()
            if self._clock.monotonic() - pruned >= PRUNE_SECONDS:
                pruned = self._clock.monotonic()
                await self._in_thread(lambda: self._prune(self._now_ms()))

    @staticmethod
    async def _within(seconds: float, event: asyncio.Event) -> bool:
        """Whether it happened in so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await event.wait()
        return False

    async def flush(self) -> None:
        """Have everything on disk that was taken in so far."""
        self._some.clear()
        self._much.clear()
        batches = [(book, book.waiting) for book in self._waiting.values()]
        taken = sum(book.waiting_bytes for book, _ in batches)
        self._waiting = {}
        for book, _ in batches:
            book.waiting, book.waiting_bytes = [], 0
        try:
            await self._in_thread(lambda: self._write(batches, self._now_ms()))
        finally:
            self._bytes -= taken

    def _write(self, batches: list[tuple[Book, list[Run]]], now_ms: int) -> None:
        for book, runs in batches:
            at = 0
            try:
                while at < len(runs):
                    end, size = at, 0
                    while end < len(runs) and (end == at or size + len(runs[end].text) <= BLOCK_BYTES):
                        size += len(runs[end].text) + 32
                        end += 1
                    book.shelf.append(runs[at:end], now_ms)
                    at = end
            except OSError as error:
                book.left_out += sum(run.count for run in runs[at:])
                if not book.failing:
                    book.failing = True
                    log.error("the console of server %s is not kept for now: %s", book.uuid, error.strerror)
            else:
                if book.failing:
                    book.failing = False
                    log.warning("the console of server %s is kept again; %d of its lines were not", book.uuid, book.left_out)

    def _prune(self, now_ms: int) -> None:
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.is_dir():
                book = self._books.get(folder.name)
                shelf = book.shelf if book is not None else Shelf(folder, self._most, self._keep_ms)
                try:
                    shelf.prune(now_ms)
                except OSError as error:
                    log.warning("old console history in %s cannot be thrown away: %s", folder, error.strerror)

    async def search(self, uuid: str, wanted: Wanted) -> Found:
        """One page of what a server said, up to this moment. Raises RuntimeFailure."""
        book = self.book(uuid)
        async with self._searching:
            if book.waiting or uuid in self._waiting:
                await self.flush()
            else:
                await self._in_thread(lambda: None)  # what is being written is to be found too
            end = self._clock.monotonic() + SEARCH_SECONDS
            try:
                return await asyncio.to_thread(lambda: search(book.shelf.segments(), wanted, lambda: self._clock.monotonic() > end))
            except OSError as error:
                raise RuntimeFailure(f"The console's history cannot be read: {error.strerror}.", hint="Look at the node's disk.") from error

    async def forget(self, uuid: str) -> None:
        """Throw away all that a server said."""
        if (book := self._books.pop(uuid, None)) is not None:
            self._waiting.pop(uuid, None)
            self._bytes -= book.waiting_bytes
            book.waiting, book.waiting_bytes, book.closed = [], 0, True
        self.numbers.forget(uuid)
        await self._in_thread(lambda: shutil.rmtree(self._folder / uuid, ignore_errors=True))

    async def close(self) -> None:
        """Write what waits, then no more."""
        await self.flush()
        self._closed = True
        await self._in_thread(self.numbers.close)
        self._thread.shutdown(wait=False)

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
