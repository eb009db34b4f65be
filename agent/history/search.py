"""Finding old lines: by number, by time, by their words, one page at a time, with a limit on the work of each.

Used in a thread. Reads the heads of blocks and opens only those that can hold what is wanted. A page that ran out of time says so and
where to go on; it never says that there is nothing where it has not looked.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agent.history import records
from agent.history.escapes import ANSI
from agent.history.records import HEAD_BYTES, Head, Kind
from agent.history.shelf import Segment, heads
from core.patterns import Pattern

MOST_CHARACTERS = 4096
"""Of a line that a pattern looks at, as for ready lines."""
PAGE_CHARACTERS = 1024 * 1024
"""Text on one page, whatever its number of lines."""
Place = tuple[int, int]
"""A line's file, and how many lines of it come before: that stays true when the file is packed anew."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `seq` is None for the installer's; `lost` counts the lines right before this one that were not kept."""

    seq: int | None
    ms: int
    kind: Kind
    text: str
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: numbers between `after` and `before`, without these; times from `since` to `until` (ms), with these."""

    after: int | None = None
    before: int | None = None
    since: int | None = None
    until: int | None = None
    text: str = ""
    """Part of the line, in any case, colours left out."""
    pattern: Pattern | None = None
    newest_first: bool = True
    limit: int = 100
    start: Place | None = None
    """The first line of this page, as the last page's `following` says."""

    def may_hold(self, thing: Segment | Head) -> bool:
        """Whether there can be something in a file or block."""
        if (self.since is not None and thing.last_ms < self.since) or (self.until is not None and thing.first_ms > self.until):
            return False
        if self.after is not None and thing.last_seq <= self.after:
            return False
        return self.before is None or 0 < thing.first_seq < self.before

    def says(self, text: str) -> bool:
        """Whether a line's words are wanted."""
        plain = ANSI.sub("", text) if "\x1b" in text or "\x9b" in text else text
        if self.text and self.text.casefold() not in plain.casefold():
            return False
        return self.pattern is None or self.pattern.search(plain[:MOST_CHARACTERS]) is not None


@dataclass(slots=True)
class Found:
    """A page. `following` is where the next one begins; None at the end. `partial`: time ran out before the page was full."""

    lines: list[Line] = field(default_factory=list)
    following: Place | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    at: int
    head: Head
    first: int
    """How many lines of its file come before."""
    gap: int
    """Lines missing between this block and the one before."""


def search(segments: list[Segment], wanted: Wanted, out_of_time: Callable[[], bool]) -> Found:
    """One page of a server's history; `segments` oldest first. Looks at one block at least, so that pages get on. Raises OSError."""
    page, room, looked = Found(), PAGE_CHARACTERS, False
    order = range(len(segments))
    for number in reversed(order) if wanted.newest_first else order:
        segment = segments[number]
        if not segment.size or not wanted.may_hold(segment) or _is_behind(segment.number, wanted):
            continue
        before = segments[number - 1].last_seq if number else 0
        try:
            with segment.path.open("rb", buffering=0) as file:
                for block in _blocks(file.fileno(), segment, before, wanted):
                    if looked and out_of_time():
                        place = block.first + block.head.lines - 1 if wanted.newest_first else block.first
                        page.partial, page.following = True, (segment.number, place)
                        return page
                    data = os.pread(file.fileno(), block.head.stored, block.at + HEAD_BYTES)
                    looked = True
                    if not records.is_whole(block.head, data):
                        continue
                    for index, line in _lines(block, data, wanted, segment.number):
                        if len(page.lines) >= wanted.limit or (room <= 0 and page.lines):
                            page.following = (segment.number, index)
                            return page
                        page.lines.append(line)
                        room -= len(line.text)
        except FileNotFoundError:
            continue  # thrown away meanwhile
    return page


def _is_behind(number: int, wanted: Wanted) -> bool:
    """Whether a file was on earlier pages."""
    if wanted.start is None:
        return False
    return number > wanted.start[0] if wanted.newest_first else number < wanted.start[0]


def _blocks(fd: int, segment: Segment, last_seq: int, wanted: Wanted) -> list[_Block]:
    """The blocks of a file that may hold something, in the order that is wanted."""
    found, lines = [], 0
    for at, head in heads(fd):
        if at >= segment.size:
            break
        gap = head.first_seq - last_seq - 1 if head.first_seq and last_seq else 0
        last_seq = head.last_seq or last_seq
        if wanted.may_hold(head):
            found.append(_Block(at, head, lines, max(0, gap)))
        lines += head.lines
    if wanted.newest_first:
        found.reverse()
    if wanted.start is not None and wanted.start[0] == segment.number:
        place = wanted.start[1]
        found = [block for block in found if (block.first <= place if wanted.newest_first else block.first + block.head.lines > place)]
    return found


def _lines(block: _Block, data: bytes, wanted: Wanted, number: int) -> Iterator[tuple[int, Line]]:
    """What is wanted of a block's lines, each with its place in the file."""
    found: list[tuple[int, Line]] = []
    index, gap, expected = block.first, block.gap, 0
    needle = wanted.text.casefold()
    first, last = block.first, block.first + block.head.lines - 1
    if wanted.start is not None and wanted.start[0] == number:
        first, last = (first, min(last, wanted.start[1])) if wanted.newest_first else (max(first, wanted.start[1]), last)
    for run in records.runs(block.head, data):
        begin, index = index, index + run.count
        if run.first_seq:
            gap = max(0, run.first_seq - expected) if expected else gap
            expected = run.first_seq + run.count
        if begin > last or index <= first or not _run_counts(run.first_seq, run.count, run.ms, wanted):
            continue
        whole = run.text.decode("utf-8", "replace")
        if needle and "\x1b" not in whole and "\x9b" not in whole and needle not in whole.casefold():
            continue
        for offset, text in enumerate(whole.split("\n")):
            seq = run.first_seq + offset if run.first_seq else None
            if not first <= begin + offset <= last or (seq is not None and not _number_counts(seq, wanted)) or not wanted.says(text):
                continue
            found.append((begin + offset, Line(seq, run.ms, run.kind, text, gap if run.first_seq and not offset else 0)))
    return reversed(found) if wanted.newest_first else iter(found)


def _run_counts(seq: int, count: int, ms: int, wanted: Wanted) -> bool:
    if (wanted.since is not None and ms < wanted.since) or (wanted.until is not None and ms > wanted.until):
        return False
    if wanted.after is not None and (not seq or seq + count - 1 <= wanted.after):
        return False
    return wanted.before is None or 0 < seq < wanted.before


def _number_counts(seq: int, wanted: Wanted) -> bool:
    return (wanted.after is None or seq > wanted.after) and (wanted.before is None or seq < wanted.before)
