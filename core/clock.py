"""The only reader of time. Everything else is handed a `Clock`, so that tests can turn its hands.

Instants are timezone-aware UTC datetimes; durations and `monotonic` are seconds.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where code gets its time from."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` moves it; sleepers wake in order of their deadlines."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + seconds, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own moment and letting it run before time goes on."""
        end = self._elapsed + seconds
        await self._settle()
        while due := [s for s in self._sleepers if s[0] <= end]:
            moment, woken = min(due, key=lambda s: s[0])
            self._sleepers.remove((moment, woken))
            self._elapsed = moment
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        self._elapsed = end
        await self._settle()

    @property
    def sleeping(self) -> int:
        """How many wait for this clock."""
        return len(self._sleepers)

    @staticmethod
    async def _settle() -> None:
        for _ in range(20):
            await asyncio.sleep(0)


def unix(moment: datetime) -> int:
    """Whole seconds since 1970, as JWTs and Discord's `<t:…>` want them."""
    return int(moment.timestamp())
