"""A reader's place in a console: what it got and what it was told it lost is, together, everything."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.history.history import History
from agent.server.console import RING_LINES, Console
from agent.server.reading import MOST_MISSED, Reading
from core.agent_settings import HistorySection, ThrottleSection
from core.clock import ManualClock

UUID = "0f0e0d0c-0b0a-4909-8807-060504030201"


class Reader:
    """Counts what it gets; checks each line against its number."""

    def __init__(self, console: Console, history: History, backlog: int) -> None:
        self.console, self.history, self.backlog = console, history, backlog
        self.got = self.lost = 0
        self.connect()
        self.start = self.last = self.reading.last

    def connect(self) -> None:
        self.reading = Reading(UUID, self.console, self.history, self.backlog)

    async def read(self) -> None:
        async for batch in self.reading.missed():
            self.take(batch.first_seq, batch.lines, self.reading.lost_before(batch))
        for batch in self.reading.listener.take(1 << 40):
            self.take(batch.first_seq, batch.lines, self.reading.lost_before(batch))

    def take(self, first: int, lines: list[str], lost: int) -> None:
        assert first == self.last + lost + 1
        assert all(line == f"line {first + offset}" or "are being left out" in line for offset, line in enumerate(lines))
        self.last = first + len(lines) - 1
        self.got += len(lines)
        self.lost += lost

    async def reconnect(self) -> None:
        self.reading.listener.close()
        self.connect()
        assert self.reading.go_back(self.last, self.console.count)


def say(console: Console, count: int) -> None:
    console.add_output([f"line {console.last_seq + 1 + offset}" for offset in range(count)])


_STEPS = st.lists(
    st.one_of(st.tuples(st.just("say"), st.integers(1, 700)), st.tuples(st.sampled_from(["read", "reconnect", "flush"]), st.just(0))),
    max_size=25,
)


@given(steps=_STEPS, kept=st.booleans(), throttled=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_got_and_lost_are_together_what_was_said(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], kept: bool, throttled: bool
) -> None:
    async def play() -> None:
        history = History(tmp_path_factory.mktemp("history"), HistorySection(console_mb=1 if kept else 0), ManualClock())
        await history.open()
        console = Console(ManualClock(), ThrottleSection(enabled=throttled, lines=1000))
        console.begin(history.book(UUID))
        reader = Reader(console, history, backlog=500)
        for step, count in steps:
            match step:
                case "say":
                    say(console, count)
                case "read":
                    await reader.read()
                case "reconnect":
                    await reader.reconnect()
                case "flush":
                    await history.flush()
        await reader.read()
        await reader.reconnect()
        await reader.read()
        assert reader.got + reader.lost == console.last_seq - reader.start
        await history.close()

    asyncio.run(play())


async def test_what_fell_out_of_memory_comes_from_disk(tmp_path: Path) -> None:
    history = History(tmp_path, HistorySection(), ManualClock())
    await history.open()
    console = Console(ManualClock(), ThrottleSection(enabled=False))
    console.begin(history.book(UUID))
    reader = Reader(console, history, backlog=100)
    for _ in range(10):
        say(console, RING_LINES)
    await reader.reconnect()
    await reader.read()
    assert (reader.got, reader.lost) == (10 * RING_LINES, 0)
    await history.close()


async def test_of_what_is_too_much_to_make_up_for_the_number_is_told(tmp_path: Path) -> None:
    history = History(tmp_path, HistorySection(), ManualClock())
    await history.open()
    console = Console(ManualClock(), ThrottleSection(enabled=False))
    console.begin(history.book(UUID))
    reader = Reader(console, history, backlog=100)
    for _ in range(MOST_MISSED // 1000 + 3):
        say(console, 1000)
    await reader.reconnect()
    await reader.read()
    assert (reader.got, reader.lost) == (MOST_MISSED, 3000)
    await history.close()


async def test_a_number_of_another_count_or_from_the_future_says_nothing(tmp_path: Path) -> None:
    history = History(tmp_path, HistorySection(), ManualClock())
    await history.open()
    console = Console(ManualClock(), ThrottleSection(enabled=False))
    console.begin(history.book(UUID))
    say(console, 5)
    reading = Reading(UUID, console, history, 100)
    assert not reading.go_back(1, "another")
    assert not reading.go_back(6, console.count)
    assert reading.last == 5
    await history.close()
