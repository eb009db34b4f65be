"""A game that floods its console: lines without end, lines without number, bytes that are no text, patterns over all of it."""

import time
import tracemalloc

from agent.server.console import CUT_MARK, LONGEST_LINE, RING_BYTES, Console, LineSplitter, ReadyDetector
from core.agent_settings import ThrottleSection
from core.clock import ManualClock
from core.protocol.settings import StartupRules

MEBIBYTE = 1024 * 1024


def test_res_2_a_line_of_a_gigabyte_takes_no_memory() -> None:
    made, chunk = Console(ManualClock(), ThrottleSection()), b"x" * 65_536
    viewer = made.listen()
    tracemalloc.start()
    try:
        for _ in range(16_384):
            made.feed(chunk)
        made.feed(b"\nthe end\n")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MEBIBYTE
    assert made.history(10)[-1] == "the end"
    assert len(made.history(10)[0]) == LONGEST_LINE + len(CUT_MARK)
    viewer.close()


async def test_res_2_a_flood_of_lines_reaches_a_viewer_who_sleeps_within_its_bounds() -> None:
    """At once, as no clock's hand moves: the throttle lets its share pass and tells the rest; other consoles are other objects."""
    made = Console(ManualClock(), ThrottleSection())
    viewer = made.listen()
    tracemalloc.start()
    try:
        for _ in range(200):
            made.feed(b"spam\n" * 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MEBIBYTE
    assert made.last_seq >= 200_000
    assert sum(len(batch.lines) for batch in await viewer.drain()) <= 2001 + 1


async def test_res_2_bytes_that_are_no_text_become_some() -> None:
    made = Console(ManualClock(), ThrottleSection())
    made.feed(bytes(range(256)) * 100 + b"\n" + b"\0" * 5000 + b"\nplain\n")
    lines = made.history(1000)
    assert lines[-1] == "plain"
    for line in lines:
        line.encode()
    assert sum(len(line) for line in lines) <= RING_BYTES


def test_res_2_a_flood_in_single_bytes_is_still_lines() -> None:
    splitter = LineSplitter()
    found = [line for byte in b"ab\r\nc\n" * 500 for line in splitter.feed(bytes([byte]))]
    assert found == ["ab", "c"] * 500


def test_res_3_ready_patterns_over_huge_lines_are_bounded() -> None:
    detectors = [ReadyDetector(StartupRules(done=[f"regex:{pattern}"])) for pattern in (r"^(a+)+$", r"(.*)*x", r"(a|a)*b", r".*.*.*=")]
    line = "a" * LONGEST_LINE
    began = time.process_time()
    for detector in detectors:
        for _ in range(20):
            detector.sees(line)
    assert time.process_time() - began < 15
