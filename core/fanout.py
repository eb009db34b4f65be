"""Bounded broadcast: one source, many listeners, and a slow listener loses its oldest items, never stalls the source.

Every listener counts what it lost, so loss can be told ("812 lines skipped") instead of hidden.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Listener(Generic[T]):
    """One reader's bounded queue. Use as a context manager, or call `close`; iterate, or `drain` a batch."""

    def __init__(
        self,
        capacity: int,
        budget: int | None,
        size_of: Callable[[T], int],
        on_close: Callable[["Listener[T]"], None],
        woken: Callable[[], None] | None = None,
    ) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._budget = budget
        self._size_of = size_of
        self._size = 0
        self._wake = asyncio.Event()
        self._on_close = on_close
        self._woken = woken
        self.closed = False
        self.dropped = 0
        """Items lost since the listener was opened."""

    def push(self, item: T) -> None:
        if self.closed:
            return
        size = self._size_of(item)
        self._items.append(item)
        self._size += size
        while len(self._items) > self._capacity or (self._budget is not None and self._size > self._budget and len(self._items) > 1):
            self._size -= self._size_of(self._items.popleft())
            self.dropped += 1
        self._wake.set()
        if self._woken is not None:
            self._woken()

    async def drain(self, most: int = 1_000_000) -> list[T]:
        """Wait until there is something, then take up to `most` items at once. An empty list means closed."""
        while not self._items:
            if self.closed:
                return []
            self._wake.clear()
            await self._wake.wait()
        if len(self._items) <= most:
            taken = list(self._items)
            self._items.clear()
            self._size = 0
            return taken
        taken = [self._items.popleft() for _ in range(most)]
        self._size -= sum(map(self._size_of, taken))
        return taken

    def take(self, most: int) -> list[T]:
        """What is there now, oldest first: at least one item, and no more once they weigh `most` by the fanout's measure."""
        taken, weight = [], 0
        while self._items and weight < most:
            item = self._items.popleft()
            weight += self._size_of(item)
            taken.append(item)
        self._size -= weight
        return taken

    def __len__(self) -> int:
        return len(self._items)

    async def __aiter__(self) -> AsyncIterator[T]:
        while batch := await self.drain(1):
            yield batch[0]

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._wake.set()
            self._on_close(self)
            if self._woken is not None:
                self._woken()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Fanout(Generic[T]):
    """The source's end. `publish` never waits."""

    def __init__(self, size_of: Callable[[T], int] = lambda _: 1) -> None:
        self._size_of = size_of
        self._listeners: list[Listener[T]] = []

    def listen(self, capacity: int = 1000, budget: int | None = None, woken: Callable[[], None] | None = None) -> Listener[T]:
        """Open a listener that holds at most `capacity` items and, with `budget`, at most that much by `size_of`.

        `woken` is called when there is something, and when it closes: for whoever waits for many listeners at once.
        """
        listener = Listener(capacity, budget, self._size_of, self._listeners.remove, woken)
        self._listeners.append(listener)
        return listener

    def publish(self, item: T) -> None:
        for listener in self._listeners:
            listener.push(item)

    def close(self) -> None:
        """End every listener's iteration once it has read what it still holds."""
        for listener in self._listeners.copy():
            listener.close()

    def __len__(self) -> int:
        return len(self._listeners)
