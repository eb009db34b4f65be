"""What a console said and what became of each line: the book behind one live message. Pure: no Discord, no clock, no tasks.

Every line ends in exactly one of four ways: shown in an edit, attached in a file, collapsed into an equal line before it, or skipped. At
rest `produced == shown + attached + collapsed + skipped + pending`. Must stay bounded whatever a game writes.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

from bot.ui import ansi
from bot.ui.ansi import Level
from core.protocol.socket import ConsoleBatch

SHOWN = 60
"""Lines a message shows at most."""
HELD_CHARACTERS = 16 * 1024 * 1024
"""Text kept for the next file; older lines are skipped, and counted."""
FLOOD_BACKLOG = 5 * 1850
"""Characters not yet shown that make a flood."""
FLOOD_RATE = 15
"""Lines in each of FLOOD_SECONDS seconds that make a flood."""
FLOOD_SECONDS = 5
CALM_RATE = 5
CALM_SECONDS = 30
NEW_COUNT = 10_000
"""A number this much smaller than the expected one is a new count of the source, not a repetition."""
_SPILL = 200
_PROBLEMS = 30


@dataclass
class Counts:
    """What became of the lines of one console, or of all."""

    produced: int = 0
    shown: int = 0
    attached: int = 0
    collapsed: int = 0
    skipped: int = 0

    def __iadd__(self, other: "Counts") -> "Counts":
        self.produced += other.produced
        self.shown += other.shown
        self.attached += other.attached
        self.collapsed += other.collapsed
        self.skipped += other.skipped
        return self

    @property
    def pending(self) -> int:
        """Lines whose end is still open."""
        return self.produced - self.shown - self.attached - self.collapsed - self.skipped


@dataclass(slots=True, eq=False)
class _Entry:
    """Equal consecutive lines. `fresh` lines of them are not accounted yet."""

    first: int
    last: int
    text: str
    count: int = 1
    fresh: int = 1
    seen: bool = False
    filed: bool = False
    gone: bool = False


@dataclass
class Shot:
    """One rendering: what an edit shows, and what it accounts for once Discord took it."""

    lines: list[str]
    first: int
    last: int
    new: int
    """Lines produced since the last edit that was taken."""
    told: int
    """Of these, the ones visible here, repeats included."""
    missing_from: int
    missing_to: int
    """The range of the lines that are new and not visible here (with several gaps: from the first to the last)."""
    lost: int
    flood: bool = False
    """Whether what is not visible comes in a file."""
    visible: list[tuple[_Entry, int]] = field(default_factory=list)


@dataclass
class LogFile:
    """A range of lines for an attachment."""

    first: int
    last: int
    parts: list[str]
    lines: int
    levels: Counter[Level]
    problems: list[str]
    kept: int
    repeats: int
    waits_from: int = 0
    """The first line of it that was shown nowhere yet."""

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))


class Transcript:
    """Takes batches, gives renderings and files. Times are monotonic seconds."""

    def __init__(self, *, colours: bool = True, held: int = HELD_CHARACTERS) -> None:
        self.counts = Counts()
        self.flood = False
        self._colours = colours
        self._held = held
        self._entries: deque[_Entry] = deque()
        self._sealed = True
        self._expected: int | None = None
        self.boot = ""
        """The count of the node's that numbers belong to; empty for a node whose numbers mean nothing later."""
        self._accounted_to = 0
        self._produced_at_shot = 0
        self._lost_since_shot = 0
        self._lost_span: tuple[int, int] | None = None
        """From the first to the last line that did not come, since the last shot."""
        self._in_flight: Shot | None = None
        self._fresh_characters = 0
        self._file = self._empty_file()
        self._unposted: LogFile | None = None
        self._text = 0
        self._rates: deque[tuple[int, int]] = deque()
        self._busy_at = float("-inf")
        self.rate = 0.0

    @property
    def last(self) -> int:
        """Number of the newest line; 0 before any."""
        return (self._expected or 1) - 1

    def take(self, batch: ConsoleBatch, now: float) -> int:
        """Take lines in; answers how many were new. Lines already seen are left out, gaps are counted as skipped."""
        lines, seq = batch.lines, batch.first_seq
        if batch.boot != self.boot:
            self.boot, self._expected = batch.boot, None
        expected = self._expected
        if expected is not None and seq < expected and (batch.boot or (expected - seq < NEW_COUNT and seq > 1)):
            lines = lines[expected - seq :]
            seq = expected
        gap = seq - expected if expected is not None and seq > expected else 0
        lost = gap if batch.boot and expected is not None else max(batch.dropped, gap)
        if lost:
            self._lose(lost, seq - lost)
        for line in lines:
            self._take_line(seq, line)
            seq += 1
        self._expected = seq
        self.counts.produced += len(lines)
        self._measure(len(lines) + lost, now)
        self._spill(2 * len(lines) + _SPILL)
        return len(lines)

    def prime(self, lines: list[str]) -> None:
        """Lines from before we listened, to be seen above the first new ones. They have no number and are not counted."""
        for line in lines[-SHOWN:]:
            line = ansi.last_state(line)
            self._entries.append(_Entry(0, 0, line, fresh=0, seen=True, filed=True))
            self._text += len(line) + 1
        self._sealed = True

    def resume(self, last: int, boot: str) -> None:
        """Go on after a line that an earlier transcript accounted for; call it before the first `take`."""
        self._expected, self.boot, self._accounted_to = last + 1, boot, last

    @property
    def settled(self) -> int:
        """The newest number up to which nothing is pending."""
        waiting = [file.waits_from - 1 for file in (self._file, self._unposted) if file is not None and file.kept + file.repeats]
        waiting += [entry.last - entry.fresh for entry in self._entries if entry.fresh and entry.first][:1]
        return min([self.last, *waiting])

    def _take_line(self, seq: int, line: str) -> None:
        if "\r" in line or len(line) > ansi.LONGEST_KEPT:
            line = ansi.last_state(line)
        if not self._sealed:
            tail = self._entries[-1]
            if tail.text == line:
                tail.count += 1
                tail.fresh += 1
                tail.last = seq
                return
        self._entries.append(_Entry(seq, seq, line))
        self._sealed = False
        self._text += len(line) + 1
        self._fresh_characters += len(line) + 1

    def _lose(self, lines: int, first: int) -> None:
        begin = min(first, self._lost_span[0]) if self._lost_span else first
        self._lost_span = (begin, first + lines - 1)
        self.counts.produced += lines
        self.counts.skipped += lines
        self._lost_since_shot += lines
        self._sealed = True

    # Floods

    def _measure(self, lines: int, now: float) -> None:
        second = int(now)
        if self._rates and self._rates[-1][0] == second:
            self._rates[-1] = (second, self._rates[-1][1] + lines)
        else:
            self._rates.append((second, lines))
        while self._rates[0][0] < second - CALM_SECONDS:
            self._rates.popleft()
        if self._rates[-1][1] >= CALM_RATE:
            self._busy_at = now

    def look(self, now: float) -> bool:
        """Whether this is a flood now; call it before rendering."""
        recent = [lines for second, lines in self._rates if int(now) - FLOOD_SECONDS <= second < int(now)]
        self.rate = sum(recent) / FLOOD_SECONDS
        if not self.flood:
            steady = len(recent) == FLOOD_SECONDS and min(recent) > FLOOD_RATE
            self.flood = steady or self._fresh_characters > FLOOD_BACKLOG
        elif now - self._busy_at >= CALM_SECONDS and not self.unposted:
            self.flood = False
            self._fresh_characters = 0
        return self.flood

    @property
    def crowded(self) -> bool:
        """Whether half of what may be held is held."""
        return self._text > self._held // 2

    # Renderings

    def shot(self, room: int) -> Shot:
        """The newest lines that fit into `room` characters. Must be followed by `taken` or `refused` before the next."""
        assert self._in_flight is None
        lines: list[str] = []
        visible: list[tuple[_Entry, int]] = []
        for entry in reversed(self._entries):
            times = f" (×{entry.count:,})" if entry.count > 1 else ""
            line = ansi.clean(entry.text, colours=self._colours, limit=min(ansi.LONGEST_SHOWN, max(room, 1))) + times
            if len(line) + 1 > room or len(lines) >= SHOWN:
                break
            room -= len(line) + 1
            lines.append(line)
            visible.append((entry, entry.fresh))
            entry.fresh = 0
        lines.reverse()
        visible.reverse()
        first = next((entry.first for entry, _ in visible if entry.first), self._expected or 1)
        self._fresh_characters = 0 if not self.flood else self._fresh_characters
        new = self.counts.produced - self._produced_at_shot
        told = sum(fresh for _, fresh in visible)
        newest = next((entry.last - fresh for entry, fresh in visible if fresh), self.last)
        spans = [(min(self._accounted_to + 1, newest), newest)] if newest > self._accounted_to or self._lost_span is None else []
        spans += [self._lost_span] if self._lost_span is not None else []
        missing_from, missing_to = min(span[0] for span in spans), max(span[1] for span in spans)
        shot = Shot(lines, first, self.last, new, told, missing_from, missing_to, self._lost_since_shot, self.flood, visible)
        self._in_flight = shot
        return shot

    def taken(self, shot: Shot) -> None:
        """Discord shows the rendering."""
        for entry, fresh in shot.visible:
            if not fresh:
                continue
            self.counts.shown += 0 if entry.seen else 1
            self.counts.collapsed += fresh if entry.seen else fresh - 1
            entry.seen = True
        self._in_flight = None
        self._accounted_to = shot.last
        self._produced_at_shot += shot.new
        self._lost_since_shot -= shot.lost
        if not self._lost_since_shot:
            self._lost_span = None
        if not self.flood and (not shot.visible or shot.visible[0][0].first):  # lines from before stay while they can be seen
            self._settle_before(shot.first)

    def refused(self, shot: Shot) -> None:
        """The rendering did not get there; its lines wait for the next."""
        self._in_flight = None
        for entry, fresh in shot.visible:
            if entry.gone:
                self.counts.skipped += fresh
            else:
                entry.fresh += fresh

    def _settle_before(self, first: int) -> None:
        """Nobody will see these any more."""
        while len(self._entries) > 1 and self._entries[0].last < first:
            self._drop(self._entries.popleft())
        if self._file.kept or self._file.repeats:
            self.counts.skipped += self._file.kept + self._file.repeats
        self._text -= self._file.size
        self._file = self._empty_file()

    def _drop(self, entry: _Entry) -> None:
        self.counts.skipped += entry.fresh
        entry.fresh = 0
        entry.gone = True
        self._text -= len(entry.text) + 1

    # Files

    @property
    def unposted(self) -> int:
        """Lines that wait for a file and are shown nowhere yet."""
        waiting = self._file.kept + self._file.repeats + sum(entry.fresh for entry in self._entries)
        return waiting + (self._unposted.kept + self._unposted.repeats if self._unposted else 0)

    def cut_file(self) -> LogFile | None:
        """Everything since the last file, for an attachment; None when nothing waits. Follow with `posted` or `not_posted`."""
        assert self._in_flight is None
        if self._unposted is not None:
            return self._unposted
        for entry in self._entries:
            if not entry.filed:
                self._write(entry)
                entry.filed = True
        file, self._file = self._file, self._empty_file()
        self._sealed = True
        self._fresh_characters = 0
        if not file.kept + file.repeats:
            self._text -= file.size
            return None
        self._unposted = file
        return file

    def posted(self, file: LogFile, missing: int = 0) -> None:
        """Discord has the file; `missing` of its lines did not fit into it."""
        missing = min(missing, file.kept)
        self.counts.attached += file.kept - missing
        self.counts.skipped += missing
        self.counts.collapsed += file.repeats
        self._text -= file.size
        self._unposted = None

    def not_posted(self, file: LogFile) -> None:
        """Given up: its lines are skipped. To try again, cut once more instead."""
        self.counts.skipped += file.kept + file.repeats
        self._text -= file.size
        self._unposted = None

    def give_up(self) -> None:
        """The view ends: whatever is pending is skipped."""
        if self._in_flight is not None:
            self.refused(self._in_flight)
        if self._unposted is not None:
            self.not_posted(self._unposted)
        while self._entries:
            self._drop(self._entries.popleft())
        self._settle_before(0)
        self._sealed = True

    def _spill(self, most: int) -> None:
        """Move lines too old for a message into the next file's text, a few at a time, and keep within bounds."""
        before = self._in_flight.first if self._in_flight is not None else None
        while most > 0 and len(self._entries) > SHOWN + _SPILL and (before is None or self._entries[0].last < before):
            entry = self._entries.popleft()
            self._text -= len(entry.text) + 1
            if not entry.filed:
                self._write(entry)
            most -= 1
        while self._text > self._held and (self._file.parts or len(self._entries) > SHOWN):
            self._shorten()

    def _write(self, entry: _Entry) -> None:
        file = self._file
        words = ansi.log_line(entry.text)
        level = ansi.level(words)
        file.levels[level] += entry.count
        if level in (Level.ERROR, Level.WARN):
            file.problems.append(words[: ansi.LONGEST_SHOWN])
            del file.problems[:-_PROBLEMS]
        part = f"{words}  (×{entry.count})\n" if entry.count > 1 else words + "\n"
        file.parts.append(part)
        file.first = min(file.first or entry.first, entry.first)
        file.last = max(file.last, entry.last)
        file.lines += entry.count
        if entry.fresh:
            file.waits_from = file.waits_from or entry.last - entry.fresh + 1
            file.kept += 0 if entry.seen else 1
            file.repeats += entry.fresh if entry.seen else entry.fresh - 1
            entry.fresh = 0
            entry.seen = True
        self._text += len(part)

    def _shorten(self) -> None:
        """Too much is held: forget the whole file text that waits, or the oldest lines, and count them."""
        file = self._file
        if file.parts:
            self.counts.skipped += file.kept + file.repeats
            self._lost_since_shot += file.kept + file.repeats
            self._text -= file.size
            self._file = self._empty_file()
        else:
            self._drop(self._entries.popleft())

    @staticmethod
    def _empty_file() -> LogFile:
        return LogFile(0, 0, [], 0, Counter(), [], 0, 0)
