"""What consoles said outlives the agent: whole or not at all, numbered once, found by number, time and words."""

import asyncio
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent.history import history as history_module
from agent.history.history import History
from agent.history.numbers import Numbers
from agent.history.records import Kind, Run
from agent.history.search import Found, Line, Wanted, search
from agent.history.shelf import FILES, SMALLEST_FILE, Shelf
from agent.server.console import Console
from core.agent_settings import HistorySection, ThrottleSection
from core.clock import ManualClock
from core.patterns import compiled

UUID = "0f0e0d0c-0b0a-4909-8807-060504030201"
SECOND = 1000
DAY = 86_400_000


@asynccontextmanager
async def opened(folder: Path, clock: ManualClock | None = None, *, mb: int = 8) -> AsyncIterator[History]:
    history = History(folder, HistorySection(console_mb=mb, days=3), clock or ManualClock())
    await history.open()
    try:
        yield history
    finally:
        await history.close()


def console(history: History, clock: ManualClock) -> Console:
    made = Console(clock, ThrottleSection(enabled=False))
    made.begin(history.book(UUID))
    return made


def run(first: int, *lines: str, ms: int = 0, kind: Kind = Kind.OUTPUT) -> Run:
    return Run(first, ms, kind, len(lines), "\n".join(lines).encode())


def shelf(folder: Path, most: int = 8 << 20) -> Shelf:
    return Shelf(folder / UUID, most, 3 * DAY)


def never() -> bool:
    return False


def pages(found: Shelf, wanted: Callable[[Found | None], Wanted], out_of_time: Callable[[], bool] = never) -> list[Line]:
    """All pages, one after another."""
    lines: list[Line] = []
    page: Found | None = None
    while page is None or page.following is not None:
        page = search(found.segments(), wanted(page), out_of_time)
        lines += page.lines
    return lines


def words(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


async def test_lines_are_found_by_number_time_and_words(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as history:
        made = console(history, clock)
        made.add_output(["Server started", "\x1b[31mAda\x1b[0m joined"])
        await clock.advance(60)
        noon = int(clock.now().timestamp() * 1000)
        made.add_notice("a word of ours")
        made.installing("unpacking")
        made.add_output(["ADA left", "Bob joined"])
        everything = await history.search(UUID, Wanted(newest_first=False))
        assert [(line.seq, line.kind) for line in everything.lines] == [
            (1, Kind.OUTPUT),
            (2, Kind.OUTPUT),
            (3, Kind.NOTICE),
            (None, Kind.INSTALL),
            (4, Kind.OUTPUT),
            (5, Kind.OUTPUT),
        ]
        assert [line.seq for line in (await history.search(UUID, Wanted(after=1, before=5))).lines] == [4, 3, 2]
        assert [line.seq for line in (await history.search(UUID, Wanted(since=noon))).lines] == [5, 4, None, 3]
        assert [line.seq for line in (await history.search(UUID, Wanted(until=noon - 1))).lines] == [2, 1]
        assert [line.seq for line in (await history.search(UUID, Wanted(text="ada j"))).lines] == [2]
        assert [line.seq for line in (await history.search(UUID, Wanted(text="ada"))).lines] == [4, 2]
        assert [line.seq for line in (await history.search(UUID, Wanted(pattern=compiled(r"^(Ada|Bob) joined$")))).lines] == [5, 2]


async def test_files_are_for_the_agent_alone(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as history:
        console(history, clock).add_output(["secret"])
        await history.flush()
        (file,) = (tmp_path / UUID).iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "numbers").stat().st_mode) == 0o600


async def test_a_later_agent_goes_on_with_numbers_and_file(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as history:
        console(history, clock).add_output(["one", "two"])
        count = history.count
    async with opened(tmp_path, clock) as history:
        made = console(history, clock)
        made.add_output(["three"])
        assert (history.count, made.last_seq) == (count, 3)
        assert words((await history.search(UUID, Wanted(newest_first=False))).lines) == ["one", "two", "three"]
        assert len(list((tmp_path / UUID).iterdir())) == 1


@given(cut=st.integers(min_value=1, max_value=60))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_a_block_that_was_torn_is_left_out_and_all_others_stay(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("torn")
    first = shelf(folder)
    first.append([run(1, "one", "two")], 0)
    first.append([run(3, "three", "a longer line, so that there is something to tear off")], 0)
    (file,) = (folder / UUID).iterdir()
    os.truncate(file, file.stat().st_size - cut)
    second = shelf(folder)
    assert second.last_seq == 2
    second.append([run(3, "three again"), run(4, "four")], 0)
    found = pages(second, lambda page: Wanted(newest_first=False, start=page.following if page else None))
    assert words(found) == ["one", "two", "three again", "four"]


def test_a_block_whose_bytes_changed_is_left_out(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    made.append([run(1, "one")], 0)
    made.append([run(2, "two")], 0)
    (file,) = (tmp_path / UUID).iterdir()
    file.write_bytes(file.read_bytes().replace(b"one", b"eno"))
    assert words(pages(shelf(tmp_path), lambda page: Wanted(start=page.following if page else None))) == ["two"]


def test_the_oldest_goes_when_a_server_has_its_share(tmp_path: Path) -> None:
    most = FILES * SMALLEST_FILE
    made, noise = shelf(tmp_path, most), os.urandom(50_000).hex()
    for number in range(1, 41):
        made.append([run(number, noise[number:])], 0)
    size = sum(file.stat().st_size for file in (tmp_path / UUID).iterdir())
    assert most // 2 < size <= most
    found = pages(made, lambda page: Wanted(newest_first=False, start=page.following if page else None))
    assert 1 < (found[0].seq or 0) < 41
    assert found[-1].seq == 40


def test_small_blocks_are_packed_and_pages_that_were_begun_go_on(tmp_path: Path) -> None:
    made = shelf(tmp_path, FILES * SMALLEST_FILE)
    number, page, found = 0, None, []
    while len(list((tmp_path / UUID).iterdir()) if number else []) < 3:
        number += 1
        made.append([run(number, f"line {number}, as quiet servers say them now and then", ms=number)], 0)
        if number == 100:
            page = search(made.segments(), Wanted(newest_first=False, limit=50), never)
            found = page.lines
    assert made.segments()[0].size < SMALLEST_FILE // 4
    assert made.segments()[0].size == (tmp_path / UUID / "00000001.console").stat().st_size
    while page is not None and page.following is not None:
        page = search(made.segments(), Wanted(newest_first=False, limit=1000, start=page.following), never)
        found += page.lines
    assert [line.seq for line in found] == list(range(1, number + 1))
    assert [line.ms for line in found] == list(range(1, number + 1))
    assert shelf(tmp_path, FILES * SMALLEST_FILE).last_seq == number
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / UUID).iterdir()} == {0o600}


def test_whoever_clears_the_folder_by_hand_only_loses_what_was_in_it(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    made.append([run(1, "one")], 0)
    shutil.rmtree(tmp_path / UUID)
    made.append([run(2, "two")], 0)
    assert words(search(made.segments(), Wanted(), never).lines) == ["two"]


def test_what_is_old_goes_and_the_empty_folder_too(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    made.append([run(1, "old", ms=0)], 0)
    made.prune(2 * DAY)
    assert made.last_seq == 1
    made.prune(4 * DAY)
    assert not (tmp_path / UUID).exists()
    made.append([run(2, "new", ms=4 * DAY)], 4 * DAY)
    assert made.last_seq == 2


async def test_a_disk_that_takes_nothing_costs_history_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as history:
        made = console(history, clock)
        viewer = made.listen()
        made.add_output(["kept"])
        await history.flush()
        (file,) = (tmp_path / UUID).iterdir()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, hard))  # as a full disk, in the middle of a block
        try:
            for word in ("lost", "lost too"):
                made.add_output([word])
                await history.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        made.add_output(["kept again"])
        found = await history.search(UUID, Wanted(newest_first=False))
        assert [(line.seq, line.lost) for line in found.lines if line.text == "kept again"] == [(4, 2)]
        assert sum(len(batch.lines) for batch in await viewer.drain()) == 4
    told = [record.getMessage() for record in caplog.records if "history" in record.name]
    assert len(told) == 2
    assert "2 of its lines were not" in told[1]


async def test_what_the_disk_cannot_follow_is_left_out_and_counted(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as history:
        made = console(history, clock)
        line = "x" * 1000
        for _ in range(100):
            made.add_output([line] * 100)
        book = history.book(UUID)
        assert book.waiting_bytes <= history_module.HELD_BYTES
        assert book.left_out > 0
        made_it = 10_000 - book.left_out
        await history.flush()
        made.add_output(["the end"])
        found = await history.search(UUID, Wanted(limit=1))
        assert (found.lines[0].seq, found.lines[0].lost) == (10_001, book.left_out)
        assert made_it == book.shelf.segments()[0].last_seq - book.left_out - 1


@given(
    sizes=st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=12),
    limit=st.integers(min_value=1, max_value=7),
    newest_first=st.booleans(),
    hasty=st.booleans(),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_pages_together_are_everything_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int, newest_first: bool, hasty: bool
) -> None:
    made, number = shelf(tmp_path_factory.mktemp("pages")), 1
    for size in sizes:
        made.append([run(number + offset, f"line {number + offset}", ms=number) for offset in range(size)], 0)
        number += size
    found = pages(
        made,
        lambda page: Wanted(limit=limit, newest_first=newest_first, start=page.following if page else None),
        (lambda: True) if hasty else never,
    )
    expected = list(range(1, number))
    assert [line.seq for line in found] == (expected[::-1] if newest_first else expected)
    assert not any(line.lost for line in found)


async def test_a_search_that_runs_out_of_time_says_so(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    made.append([run(1, "one")], 0)
    made.append([run(2, "two")], 0)
    page = search(made.segments(), Wanted(text="one"), lambda: True)
    assert (page.lines, page.partial) == ([], True)
    rest = search(made.segments(), Wanted(text="one", start=page.following), never)
    assert (words(rest.lines), rest.partial) == (["one"], False)


async def test_a_search_by_time_opens_no_other_block(tmp_path: Path) -> None:
    """Blocks outside the time may be damaged: they are not even read."""
    made = shelf(tmp_path)
    for number in range(1, 6):
        made.append([run(number, f"line {number}", ms=number * SECOND)], 0)
    assert words(search(made.segments(), Wanted(since=3 * SECOND, until=3 * SECOND), lambda: True).lines) == ["line 3"]
    assert search(made.segments(), Wanted(since=9 * SECOND), lambda: True) == Found()


async def test_deleted_with_its_server(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as history:
        made = console(history, clock)
        made.add_output(["one"])
        await history.flush()
        await history.forget(UUID)
        made.add_output(["too late"])
        await history.flush()
        assert not (tmp_path / UUID).exists()
        assert history.numbers.of(UUID) == (0, 0)


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from agent.history.history import History
from agent.server.console import Console
from core.agent_settings import HistorySection, ThrottleSection
from core.clock import SystemClock

async def main():
    history = History(Path(sys.argv[1]), HistorySection(), SystemClock())
    await history.open()
    console = Console(SystemClock(), ThrottleSection(enabled=False))
    console.begin(history.book(sys.argv[2]))
    viewer = console.listen()
    while True:
        console.add_output([f"line {console.last_seq + 1 + offset}" for offset in range(50)])
        for batch in await viewer.drain():
            print(batch.first_seq + len(batch.lines) - 1, flush=True)
        if console.last_seq % 10_000 == 0:
            await history.flush()

asyncio.run(main())
"""


async def test_after_a_kill_no_number_comes_twice_and_no_kept_line_is_wrong(tmp_path: Path) -> None:
    shown = 0
    for _ in range(2):
        program = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(tmp_path), UUID], stdout=subprocess.PIPE, text=True)
        assert program.stdout is not None
        first, last = 0, 0
        while last - first < 25_000:
            last = int(await asyncio.to_thread(program.stdout.readline))
            first = first or last
        program.send_signal(signal.SIGKILL)
        assert first > shown
        seen = [int(line) for line in (await asyncio.to_thread(program.communicate))[0].splitlines() if line]
        shown = max([last, *seen[:-1]])
    async with opened(tmp_path) as history:
        assert history.book(UUID).last_seq >= shown
        found = await history.search(UUID, Wanted(limit=1000))
        assert len(found.lines) == 1000
        assert all(line.text == f"line {line.seq}" for line in found.lines)


def test_numbers_of_a_machine_that_went_down_are_of_another_count(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "numbers")
    numbers.open()
    numbers.note(UUID, 7, 7)
    data = bytearray((tmp_path / "numbers").read_bytes())
    data[24:60] = b"x" * 36  # as another start of the kernel would have written it
    (tmp_path / "numbers").write_bytes(data)
    later = Numbers(tmp_path / "numbers")
    later.open()
    assert later.fresh
    assert later.count != numbers.count
    assert later.of(UUID) == (7, 7)
    later.close()
    last = Numbers(tmp_path / "numbers")
    last.open()
    assert (last.fresh, last.count) == (False, later.count)
    last.close()
    numbers.close()


def test_a_place_among_the_numbers_is_used_again(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "numbers")
    numbers.open()
    for name in ("a", "b", "c"):
        numbers.note(name, 1, 1)
    numbers.forget("b")
    numbers.note("d", 4, 2)
    numbers.close()
    assert (tmp_path / "numbers").stat().st_size == 4 * 64
    again = Numbers(tmp_path / "numbers")
    again.open()
    assert [again.of(name) for name in "abcd"] == [(1, 1), (0, 0), (1, 1), (4, 2)]
    again.close()
