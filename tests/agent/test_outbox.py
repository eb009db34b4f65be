"""What must arrive arrives: once and in order, late when it must be, after any crash; what is refused for good is dropped aloud."""

import asyncio
import sqlite3
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent import outbox as module
from agent.journal import Journal
from agent.outbox import ACTIVITY_SECONDS, LONGEST_WAIT, Outbox
from agent.remote import ControlPlaneAway
from core.clock import ManualClock
from core.protocol.remote import ActivityEntry


class FakePlane:
    """A control plane's answers, in order; when they are used up, its mood."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Any]] = []
        self.asked: list[tuple[str, Any]] = []
        self.answers: deque[int] = deque()
        self.mood = 204
        self.moods: dict[str, int] = {}
        self.token_refused = False
        self.open = asyncio.Event()
        self.open.set()

    async def deliver(self, path: str, body: Any) -> int:
        self.asked.append((path, body))
        await self.open.wait()
        status = self.answers.popleft() if self.answers else self.moods.get(path, self.mood)
        if status == 0:
            raise ControlPlaneAway("The control plane is away.")
        if status < 300:
            self.taken.append((path, body))
        return status

    async def refused(self) -> bool:
        return self.token_refused


@asynccontextmanager
async def sending(folder: Path, plane: FakePlane, clock: ManualClock, *, begin: bool = True) -> AsyncIterator[Outbox]:
    box = Outbox(Journal(folder / "outbox.sqlite3"), plane.deliver, plane.refused, clock)
    await box.open()
    if begin:
        box.begin()
    try:
        yield box
    finally:
        await box.close()


async def until(holds: Callable[[], bool], clock: ManualClock | None = None, step: float = 0.0) -> None:
    """Wait for it; with a clock, time goes on by `step` seconds at each look."""
    async with asyncio.timeout(60):
        while not holds():
            if clock is not None:
                await clock.advance(step)
            await asyncio.sleep(0.005)


@pytest.fixture
def plane() -> FakePlane:
    return FakePlane()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def entry(number: int) -> ActivityEntry:
    return ActivityEntry(
        user="u", server="s", event="server:console.command", metadata={"n": number}, timestamp=datetime(2026, 1, 1, tzinfo=UTC)
    )


async def test_an_item_is_taken_once_and_forgotten(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/servers/a/install", {"successful": True}, stream="a")
        await until(lambda: box.waiting() == 0)
    async with sending(tmp_path, plane, clock) as box:
        assert box.waiting() == 0
    assert plane.taken == [("/servers/a/install", {"successful": True})]


@pytest.mark.parametrize("status", [0, 302, 401, 408, 425, 429, 500, 503])
async def test_what_may_pass_is_tried_again_until_it_is_taken(tmp_path: Path, plane: FakePlane, clock: ManualClock, status: int) -> None:
    plane.answers.extend([status] * 3)
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/x", 1, stream="a")
        await until(lambda: len(plane.asked) == 1)
        await until(lambda: box.waiting() == 0, clock, 0.2)
    assert len(plane.asked) == 4


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
async def test_what_is_refused_for_good_is_dropped_aloud(
    tmp_path: Path, plane: FakePlane, clock: ManualClock, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    plane.answers.append(status)
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/x", {"what": "first"}, stream="a")
        await box.put("/x", {"what": "second"}, stream="a")
        await until(lambda: box.waiting() == 0)
    assert plane.taken == [("/x", {"what": "second"})]
    assert "dropped" in caplog.text
    assert "first" in caplog.text


async def test_a_token_that_is_refused_drops_nothing(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    plane.mood, plane.token_refused = 403, True
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/x", 1, stream="a")
        await until(lambda: len(plane.asked) >= 3, clock, 1.0)
        assert box.waiting() == 1
        plane.mood = 204
        await until(lambda: box.waiting() == 0, clock, 1.0)


async def test_one_server_keeps_its_order_and_another_does_not_wait(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    plane.moods["/stuck"] = 500
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/stuck", 1, stream="a")
        await box.put("/later", 2, stream="a")
        await box.put("/other", 3, stream="b")
        await until(lambda: ("/other", 3) in plane.taken)
        await until(lambda: len(plane.asked) >= 5, clock, 1.0)
        assert ("/later", 2) not in plane.taken
        plane.moods.clear()
        await until(lambda: box.waiting() == 0, clock, 1.0)
    assert [path for path, _ in plane.taken] == ["/other", "/stuck", "/later"]


async def test_half_an_hour_away_is_a_try_a_minute_or_so(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    plane.mood = 0
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/x", 1, stream="a")
        await until(lambda: clock.monotonic() > 1800, clock, 20.0)
        assert 10 < len(plane.asked) < 80
        before = clock.monotonic()
        plane.mood = 204
        await until(lambda: box.waiting() == 0, clock, 5.0)
        assert clock.monotonic() - before < LONGEST_WAIT * 2


async def test_what_was_not_taken_outlives_us(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    plane.open.clear()
    async with sending(tmp_path, plane, clock) as box:
        for number in range(20):
            await box.put(f"/{number}", number, stream="a")
        await until(lambda: len(plane.asked) == 1)
    plane.open.set()
    async with sending(tmp_path, plane, clock) as box:
        await until(lambda: box.waiting() == 0)
    assert [body for _, body in plane.taken] == list(range(20))
    assert (tmp_path / "outbox.sqlite3").stat().st_mode & 0o077 == 0


async def test_what_was_put_outlives_sigkill(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    program = (
        "import asyncio, os, pathlib, signal, sys\n"
        "from agent.journal import Journal\n"
        "async def main():\n"
        "    journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "    await journal.open()\n"
        "    for number in range(5):\n"
        "        await journal.add('a', '/x', str(number))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path / "outbox.sqlite3"))
    assert await killed.wait() == -9
    async with sending(tmp_path, plane, clock) as box:
        await until(lambda: box.waiting() == 0)
    assert [body for _, body in plane.taken] == [0, 1, 2, 3, 4]


async def test_activity_travels_together_after_a_minute(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    async with sending(tmp_path, plane, clock) as box:
        for number in range(5):
            await box.activity(entry(number))
        await clock.advance(ACTIVITY_SECONDS / 2)
        assert plane.asked == []
        await until(lambda: box.waiting() == 0, clock, 5.0)
    (path, body), *others = plane.taken
    assert (path, others) == ("/activity", [])
    assert [one["metadata"]["n"] for one in body["data"]] == list(range(5))


async def test_a_hundred_entries_do_not_wait(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    async with sending(tmp_path, plane, clock) as box:
        for number in range(105):
            await box.activity(entry(number))
        await until(lambda: box.waiting() < 100)
        assert [len(body["data"]) for _, body in plane.taken] == [100]


async def test_one_bad_entry_does_not_hold_up_the_others(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    async def picky(path: str, body: Any) -> int:
        plane.mood = 422 if any(one["metadata"]["n"] == 6 for one in body["data"]) else 204
        return await plane.deliver(path, body)

    box = Outbox(Journal(tmp_path / "outbox.sqlite3"), picky, plane.refused, clock)
    await box.open()
    box.begin()
    for number in range(10):
        await box.activity(entry(number))
    await until(lambda: box.waiting() == 0, clock, 10.0)
    await box.close()
    assert [one["metadata"]["n"] for _, body in plane.taken for one in body["data"]] == [0, 1, 2, 3, 4, 5, 7, 8, 9]


async def test_a_full_outbox_loses_its_oldest_activity_first(
    tmp_path: Path, plane: FakePlane, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_ITEMS", 5)
    async with sending(tmp_path, plane, clock, begin=False) as box:
        await box.put("/install", 1, stream="a")
        for number in range(6):
            await box.activity(entry(number))
        assert box.waiting() == 5
        box.begin()
        await until(lambda: box.waiting() == 0, clock, 10.0)
    assert ("/install", 1) in plane.taken
    assert [one["metadata"]["n"] for path, body in plane.taken if path == "/activity" for one in body["data"]] == [2, 3, 4, 5]
    assert "full" in caplog.text


async def test_an_endless_message_is_refused_aloud(
    tmp_path: Path, plane: FakePlane, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/x", "x" * 300_000, stream="a")
        assert box.waiting() == 0
    assert "too long" in caplog.text


async def test_a_spoilt_file_is_put_aside(tmp_path: Path, plane: FakePlane, clock: ManualClock) -> None:
    (tmp_path / "outbox.sqlite3").write_bytes(b"this is no database, and long enough to be sure of it" * 100)
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/x", 1, stream="a")
        await until(lambda: box.waiting() == 0)
    assert (tmp_path / "outbox.spoilt").read_bytes().startswith(b"this is no database")


async def test_a_disk_that_does_not_forget_does_not_send_without_end(
    tmp_path: Path, plane: FakePlane, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sending(tmp_path, plane, clock) as box:
        await box.put("/x", 1, stream="a")
        await until(lambda: box.waiting() == 0)
        with sqlite3.connect(tmp_path / "outbox.sqlite3") as other:
            other.execute("CREATE TRIGGER keep BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END")
        other.close()
        await box.put("/y", 2, stream="a")
        await until(lambda: ("/y", 2) in plane.taken)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert plane.taken.count(("/y", 2)) == 1, "it waits before it tells again"
        assert box.waiting() == 1
