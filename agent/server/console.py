"""A server's output: bytes become numbered lines; the newest are kept; batches go to whoever listens.

Reading never waits for a listener: each has a bounded queue and is told what it lost. Ready detection and player tracking see every
line, before anything is dropped. Control characters stay in (viewers decide); line ends, invalid UTF-8 and endless lines do not.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from agent.history.escapes import ANSI
from agent.history.history import Book
from agent.history.records import Kind
from core.agent_settings import ThrottleSection
from core.clock import Clock
from core.fanout import Fanout, Listener
from core.patterns import BadPattern, Match, Pattern, compiled
from core.protocol.settings import PlayerPatterns, StartupRules

LONGEST_LINE = 64 * 1024
"""Bytes after which a line is cut and marked; its rest is dropped until the line's end."""
SLICE = 32 * 1024
"""Bytes that are split at once: short enough that hardly any line in them can be too long."""
NOTICE = "\x1b[33m\x1b[1m[Aerie Daemon]:\x1b[0m "
WATCHED = 4096
"""Characters of a line that ready and player patterns look at: patterns come from eggs, lines from games."""
CUT_MARK = " … [cut: the line is longer than 64 KiB]"
TAIL_LINES = 5
RING_LINES = 2000
RING_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive lines; `first_seq` numbers the first one."""

    first_seq: int
    lines: list[str]
    size: int = 0
    """Characters in all."""

    @property
    def weight(self) -> int:
        """What it takes of a listener's room: a line one, and one more for every 256 characters."""
        return len(self.lines) + (self.size >> 8)


class LineSplitter:
    """Chunks in, whole lines out. Keeps at most one unfinished line, and of that at most LONGEST_LINE bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[str]:
        if len(self._rest) + len(chunk) <= LONGEST_LINE and not self._skipping:
            return self._feed_short(chunk)
        if len(chunk) > SLICE:
            return [line for start in range(0, len(chunk), SLICE) for line in self.feed(chunk[start : start + SLICE])]
        parts = chunk.split(b"\n")
        if self._skipping:
            if len(parts) == 1:
                return []
            self._skipping = False
            parts = parts[1:]
        else:
            parts[0] = self._rest + parts[0]
        self._rest = parts.pop()
        lines = [self._line(part) for part in parts if part and part != b"\r"]
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._line(self._rest))
            self._rest, self._skipping = b"", True
        return lines

    def _feed_short(self, chunk: bytes) -> list[str]:
        """The same where no line can be too long, decoding all lines at once: a line end is never part of another character."""
        whole, end, rest = chunk.rpartition(b"\n")
        if not end:
            self._rest += chunk
            return []
        text = (self._rest + whole).decode("utf-8", "replace")
        self._rest = rest
        return [line for raw in text.split("\n") if (line := raw.rstrip("\r"))]

    def end(self) -> list[str]:
        """What is left when the process has ended."""
        rest, self._rest, self._skipping = self._rest, b"", False
        return [self._line(rest)] if rest.strip(b"\r") else []

    @staticmethod
    def _line(raw: bytes) -> str:
        text = raw[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
        return text + CUT_MARK if len(raw) > LONGEST_LINE else text


class ReadyDetector:
    """Knows when a starting server is up: a plain matcher is searched for, `regex:` begins a regular expression (Wings)."""

    def __init__(self, rules: StartupRules) -> None:
        self._strip = rules.strip_ansi
        self._plain: list[str] = []
        self._patterns: list[Pattern] = []
        for matcher in rules.done:
            if matcher.startswith("regex:"):
                try:
                    self._patterns.append(compiled(matcher.removeprefix("regex:")))
                    continue
                except BadPattern:
                    pass  # a bad pattern is searched for as plain text, prefix included, as Wings does
            self._plain.append(matcher)

    @property
    def knows(self) -> bool:
        """Whether any line could ever tell."""
        return bool(self._plain or self._patterns)

    def sees(self, line: str) -> bool:
        text = line[:WATCHED]
        text = ANSI.sub("", text) if self._strip else text
        return any(word in text for word in self._plain) or any(pattern.search(text) for pattern in self._patterns)


class Players:
    """Who is on the server, as far as its console tells."""

    def __init__(self, patterns: PlayerPatterns | None) -> None:
        self._join = self._compiled(patterns.join if patterns else "")
        self._leave = self._compiled(patterns.leave if patterns else "")
        self._names: dict[str, None] = {}

    @staticmethod
    def _compiled(pattern: str) -> Pattern | None:
        try:
            return compiled(pattern) if pattern else None
        except BadPattern:
            return None

    @property
    def names(self) -> list[str] | None:
        """None when the egg does not say how to know."""
        return list(self._names) if self._join is not None else None

    def see(self, line: str) -> None:
        if self._join is None:
            return
        line = line[:WATCHED]
        if found := self._join.search(line):
            self._names[self._name(found, self._join)] = None
        elif self._leave is not None and (found := self._leave.search(line)):
            self._names.pop(self._name(found, self._leave), None)

    @property
    def known(self) -> bool:
        """Whether the egg says how to know."""
        return self._join is not None

    def clear(self) -> None:
        self._names.clear()

    @staticmethod
    def _name(found: Match, pattern: Pattern) -> str:
        name = found.groupdict().get("name") or (found.group(1) if pattern.groups else None)
        return name or found.group(0) or ""


class Console:
    """One server's console: numbered lines, the newest kept, the rest handed on."""

    def __init__(self, clock: Clock, throttle: ThrottleSection, watch: Callable[[list[str]], None] | None = None) -> None:
        self.last_seq = 0
        self.outputs = 0
        """How many of all numbered lines were the process's own."""
        self._book: Book | None = None
        self._clock = clock
        self._throttle = throttle
        self._window = 0.0
        self._in_window = 0
        self.watch = watch
        """Sees all lines before anybody else; set by the server."""
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """The process's own newest lines, by which a later agent finds its place in the engine's log."""
        self._throttled = False
        self._splitter = LineSplitter()
        self._ring: deque[str] = deque(maxlen=RING_LINES)
        self._ring_bytes = 0
        self.fanout: Fanout[Batch] = Fanout(size_of=lambda batch: batch.weight)

    @property
    def count(self) -> str:
        """The name of the count that the numbers belong to; another one means that numbers of before say nothing."""
        return self._book.count if self._book is not None else ""

    def installing(self, line: str) -> None:
        """A line of the installer's, for the history alone: it has no number."""
        if self._book is not None:
            self._book.keep(0, [line], Kind.INSTALL)

    def begin(self, book: Book) -> None:
        """Go on counting where an earlier agent ended, and hand over each line from now on."""
        self._book = book
        self._ring.clear()  # its numbers count back from the last one
        self.last_seq, self.outputs = book.last_seq, book.outputs

    def resume(self, seq: int, outputs: int | None, tail: list[str]) -> int:
        """Take up what was remembered for us; answers how many of the process's lines got numbers after that was written down."""
        if seq > self.last_seq:
            self._ring.clear()
            self.last_seq = seq
        self.tail.extend(tail)
        if self._book is None or outputs is None or not self._book.gone_on:
            return 0
        return max(0, self.outputs - outputs)

    def recover(self, lines: list[str], saved_seq: int) -> None:
        """Lines that an earlier agent numbered after `saved_seq`, and may not have kept: kept now if nothing came between them."""
        if self._book is not None and self.last_seq - saved_seq == len(lines):
            self._book.keep(saved_seq + 1, lines, Kind.OUTPUT)

    def feed(self, chunk: bytes) -> None:
        if lines := self._splitter.feed(chunk):
            self.add_output(lines)

    def end(self) -> None:
        """The process has ended: an unfinished last line is a line too."""
        if lines := self._splitter.end():
            self.add_output(lines)

    def add_output(self, lines: list[str]) -> None:
        """Number and hand on whole lines of the process."""
        if self.watch is not None:
            self.watch(lines)
        self.tail.extend(lines[-TAIL_LINES:])
        first = self.last_seq + 1
        self.last_seq += len(lines)
        self.outputs += len(lines)
        if self._book is not None:
            self._book.add(first, lines, Kind.OUTPUT, self.outputs)
        self._keep(lines)
        allowed = self._allowance(len(lines))
        if shown := lines[:allowed]:
            self.fanout.publish(Batch(first, shown, sum(map(len, shown))))
        if allowed == len(lines):
            self._throttled = False
        elif not self._throttled:
            self._throttled = True
            self.add_notice("The server prints more than can be shown; lines are being left out.")

    def add_notice(self, words: str) -> None:
        """A line of the agent's own; never throttled."""
        line = NOTICE + " ".join(words.splitlines())
        self.last_seq += 1
        if self._book is not None:
            self._book.add(self.last_seq, [line], Kind.NOTICE, self.outputs)
        self._keep([line])
        self.fanout.publish(Batch(self.last_seq, [line], len(line)))

    def _allowance(self, count: int) -> int:
        """How many of `count` lines listeners get now, by Wings' fixed window; the gap in the numbers tells them of the rest."""
        if not self._throttle.enabled:
            return count
        now = self._clock.monotonic()
        if (now - self._window) * 1000 >= self._throttle.line_reset_interval:
            self._window, self._in_window = now, 0
        allowed = max(0, min(count, self._throttle.lines - self._in_window))
        self._in_window += count
        return allowed

    def _keep(self, lines: list[str]) -> None:
        kept = lines[-RING_LINES:]
        if len(kept) == RING_LINES:
            self._ring.clear()
            self._ring_bytes = 0
        if (over := len(self._ring) + len(kept) - RING_LINES) > 0:  # those that are about to fall out; no loop of ours, in a flood
            self._ring_bytes -= sum(map(len, islice(self._ring, over)))
        self._ring.extend(kept)
        self._ring_bytes += sum(map(len, kept))
        while self._ring_bytes > RING_BYTES and len(self._ring) > 1:
            self._ring_bytes -= len(self._ring.popleft())

    def history(self, count: int) -> list[str]:
        """The newest lines that are kept, oldest first."""
        return list(self._ring)[-count:] if count > 0 else []

    @property
    def held(self) -> int:
        """How many lines are kept in memory."""
        return len(self._ring)

    def remembered(self, after: int) -> Batch | None:
        """The lines after a number, when all of them are kept in memory."""
        count = self.last_seq - after
        if not 0 < count <= len(self._ring):
            return None
        lines = self.history(count)
        return Batch(after + 1, lines, sum(map(len, lines)))

    def listen(self, lines: int = 8000, woken: Callable[[], None] | None = None) -> Listener[Batch]:
        """Open a listener that may fall behind by about `lines` lines, fewer when they are long, before it loses its oldest batches."""
        return self.fanout.listen(capacity=lines, budget=lines, woken=woken)

    def close(self) -> None:
        self.fanout.close()
