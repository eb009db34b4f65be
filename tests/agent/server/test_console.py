"""What becomes of a game's bytes: lines, numbers, loss that is counted, and signs of readiness."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.history.history import History
from agent.history.search import Wanted
from agent.server.console import CUT_MARK, LONGEST_LINE, RING_BYTES, RING_LINES, Console, LineSplitter, Players, ReadyDetector
from core.agent_settings import HistorySection, ThrottleSection
from core.clock import ManualClock
from core.protocol.settings import PlayerPatterns, StartupRules

FREE = ThrottleSection(enabled=False)


def console(throttle: ThrottleSection = FREE) -> Console:
    return Console(ManualClock(), throttle)


@given(st.lists(st.text(alphabet="abcäß☃", min_size=1), max_size=20), st.integers(min_value=1, max_value=9))
def test_lines_come_out_whole_however_they_are_chopped(lines: list[str], size: int) -> None:
    stream = "".join(f"{line}\r\n" for line in lines).encode()
    splitter = LineSplitter()
    found = [line for start in range(0, len(stream), size) for line in splitter.feed(stream[start : start + size])]
    assert found == lines


def test_empty_lines_are_dropped_and_the_unfinished_one_is_kept_for_the_end() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"\r\n\r\none\r\n\r\ntw") == ["one"]
    assert splitter.feed(b"o") == []
    assert splitter.end() == ["two"]


def test_a_line_of_a_megabyte_is_cut_and_marked_and_the_next_one_is_whole() -> None:
    splitter = LineSplitter()
    found = [line for _ in range(1024) for line in splitter.feed(b"x" * 1024)] + splitter.feed(b"\nnext\n")
    assert found == ["x" * LONGEST_LINE + CUT_MARK, "next"]


def test_invalid_utf_8_is_replaced_and_loses_no_neighbour() -> None:
    assert LineSplitter().feed(b"a\xff\xfeb\n\xc3\n") == ["a\ufffd\ufffdb", "\ufffd"]


def test_lines_are_numbered_and_the_newest_are_kept() -> None:
    made = console()
    made.add_output([str(number) for number in range(RING_LINES + 10)])
    assert made.last_seq == RING_LINES + 10
    assert made.history(5000)[0] == "10"
    assert made.history(2) == [str(RING_LINES + 8), str(RING_LINES + 9)]
    assert made.history(0) == []


def test_what_is_kept_stays_within_its_bytes() -> None:
    made = console()
    for _ in range(10):
        made.feed(b"y" * 60_000 + b"\n")
    assert sum(map(len, made.history(100))) <= RING_BYTES


async def test_a_viewer_who_sleeps_loses_the_oldest_and_can_tell() -> None:
    made = console()
    viewer = made.listen(lines=10)
    for number in range(100):
        made.add_output([f"line {number}"])
    batches = await viewer.drain()
    assert viewer.dropped == 90
    assert batches[0].first_seq == 91


async def test_the_throttle_spares_viewers_but_not_the_memory() -> None:
    made = console(ThrottleSection(enabled=True, lines=10, line_reset_interval=100))
    viewer = made.listen()
    seen: list[str] = []
    made.watch = seen.extend
    made.add_output([str(number) for number in range(50)])
    made.add_output(["one more"])
    batches = await viewer.drain()
    assert batches[0].lines == [str(number) for number in range(10)]
    assert sum("left out" in line for batch in batches for line in batch.lines) == 1
    assert len(seen) == 51
    assert "49" in made.history(100)


async def test_the_throttle_opens_again_after_its_interval() -> None:
    clock = ManualClock()
    made = Console(clock, ThrottleSection(enabled=True, lines=1, line_reset_interval=100))
    viewer = made.listen()
    made.add_output(["a", "b"])
    await clock.advance(0.2)
    made.add_output(["c"])
    assert [line for batch in await viewer.drain() for line in batch.lines if "left out" not in line] == ["a", "c"]


def test_ready_lines_are_found_as_text_as_pattern_and_under_colour() -> None:
    assert ReadyDetector(StartupRules(done=[")! For help"])).sees("Done (3.1s)! For help, type help")
    assert ReadyDetector(StartupRules(done=[r"regex:^Done \(\d+s\)"])).sees("Done (3s)")
    assert not ReadyDetector(StartupRules(done=["Done now"])).sees("\x1b[32mDone\x1b[0m now")
    assert ReadyDetector(StartupRules(done=["Done now"], strip_ansi=True)).sees("\x1b[32mDone\x1b[0m now")


def test_a_broken_pattern_harms_nobody() -> None:
    assert not ReadyDetector(StartupRules(done=["regex:("])).sees("anything")
    assert Players(PlayerPatterns(join="(", leave="(")).names is None


def test_players_come_and_go() -> None:
    players = Players(PlayerPatterns(join=r"^(?P<name>\w+) joined", leave=r"^(?P<name>\w+) left"))
    for line in ("Ada joined", "Bob joined", "Ada left", "Nobody left"):
        players.see(line)
    assert players.names == ["Bob"]


async def test_closing_ends_every_viewer() -> None:
    made = console()
    viewer = made.listen()
    made.close()
    async with asyncio.timeout(1):
        assert await viewer.drain() == []


async def test_lines_that_a_killed_agent_had_numbered_are_not_told_again(tmp_path: Path) -> None:
    """States were written down at line 2; lines 3 and 4 were shown before the kill, line 5 was said while no agent was there."""
    clock = ManualClock()
    for killed in (True, False):
        history = History(tmp_path, HistorySection(), clock)
        await history.open()
        made = console()
        made.begin(history.book("one"))
        if killed:
            made.add_output(["a", "b"])
            await history.flush()
            made.add_output(["c", "d"])
        else:
            assert made.resume(2, 2, ["a", "b"]) == 2
            made.recover(["c", "d"], 2)
            made.add_output(["e"])
            found = await history.search("one", Wanted(newest_first=False))
            assert [(line.seq, line.text, line.lost) for line in found.lines] == [(n, "abcde"[n - 1], 0) for n in range(1, 6)]
            await history.close()


async def test_lines_between_which_the_agent_spoke_are_told_as_lost_rather_than_guessed(tmp_path: Path) -> None:
    history = History(tmp_path, HistorySection(), ManualClock())
    await history.open()
    made = console()
    made.begin(history.book("one"))
    made.add_output(["a", "b"])
    await history.flush()
    history.book("one").waiting.clear()
    made.last_seq, made.outputs = 5, 4  # c, a notice and d: numbered by one that was killed
    made.recover(["c", "d"], 2)
    made.add_output(["e"])
    found = await history.search("one", Wanted(newest_first=False))
    assert [(line.seq, line.lost) for line in found.lines] == [(1, 0), (2, 0), (6, 3)]
    await history.close()


@given(st.lists(st.binary(max_size=12), max_size=20), st.integers(min_value=1, max_value=7))
def test_res_2_bytes_that_are_no_text_stay_lines_however_they_are_chopped(lines: list[bytes], size: int) -> None:
    """Invalid UTF-8 and NUL, torn anywhere: the same lines as when they come in one piece."""
    stream = b"".join(line.replace(b"\n", b"").rstrip(b"\r") + b"\n" for line in lines)
    whole = [line.decode("utf-8", "replace") for line in stream.split(b"\n") if line]
    splitter = LineSplitter()
    assert [line for start in range(0, len(stream), size) for line in splitter.feed(stream[start : start + size])] == whole




def test_res_3_ready_patterns_are_bounded_on_huge_lines() -> None:
    """A pattern that would take a back-tracking engine for ever, on the longest line there is."""
    line = "a" * LONGEST_LINE + "!"
    assert not ReadyDetector(StartupRules(done=["regex:^(a+)+b", "regex:(.*)*b"])).sees(line)
    assert not ReadyDetector(StartupRules(done=["!"])).sees(line)
    assert not ReadyDetector(StartupRules(done=["regex:x"], strip_ansi=True)).sees("\x1b[" * 30_000)
