"""One reader's place in a console: first what it missed, from memory or from disk, then what comes, without a gap and without doubles.

What is gone is known as an exact number, because lines are numbered: the first line that comes tells how many are missing before it.
Must never hold up the console: what comes meanwhile waits in a bounded queue.
"""

from collections.abc import AsyncIterator, Callable

from agent.history.history import History
from agent.history.search import Line, Wanted
from agent.server.console import Batch, Console
from core.errors import AerieError

MOST_MISSED = 50_000
"""Lines that are made up for; of what is older, the number is told."""
PAGE = 1_000


class Reading:
    """Opened, it hears what comes; `go_back` before the first line is taken makes up for what was missed."""

    def __init__(self, uuid: str, console: Console, history: History, lines: int, woken: Callable[[], None] | None = None) -> None:
        """`lines` it may fall behind; see `Console.listen`."""
        self._uuid = uuid
        self._console = console
        self._history = history
        self.listener = console.listen(lines, woken)
        self.last = self.began = console.last_seq
        """The number it has got to, and the one it was opened at."""
        self._missed: list[tuple[int, int]] = []

    def go_back(self, after: int, boot: str, shown: tuple[int, int] | None = None) -> bool:
        """Make up for the lines after a number of that count; False when that says nothing here. Lines between `shown` were told."""
        if boot != self._console.count or not 0 <= after <= self.began:
            return False
        self.last = after
        spans = [(after, self.began)] if shown is None else [(after, max(after, shown[0])), (max(after, shown[1]), self.began)]
        self._missed = [(first, last) for first, last in spans if last > first]
        return True

    def lost_before(self, batch: Batch) -> int:
        """How many lines are missing between what was taken last and this; it is taken from now on."""
        lost = max(0, batch.first_seq - self.last - 1)
        self.last = batch.first_seq + len(batch.lines) - 1
        return lost

    async def missed(self) -> AsyncIterator[Batch]:
        """What is still there of the lines to be made up for."""
        for after, until in self._missed:
            self.last = after
            place = max(after, until - MOST_MISSED)
            while place < until:
                batches = await self._page(place, until)
                for batch in batches:
                    place = batch.first_seq + len(batch.lines) - 1
                    yield batch
                if not batches:
                    break
        self._missed = []

    async def _page(self, after: int, until: int) -> list[Batch]:
        if (batch := self._console.remembered(after)) is not None:
            lines = batch.lines[: until - after]
            return [Batch(after + 1, lines, sum(map(len, lines)))]
        start = None
        while True:
            wanted = Wanted(after=after, before=until + 1, newest_first=False, limit=PAGE, start=start)
            try:
                found = await self._history.search(self._uuid, wanted)
            except AerieError:
                found = None
            if found is None or (not found.lines and not found.partial):
                return self._remembered_end(after, until)
            if found.lines:
                return batches_of(found.lines)
            start = found.following

    def _remembered_end(self, after: int, until: int) -> list[Batch]:
        """What memory has of lines that the disk does not have."""
        first = max(after, self._console.last_seq - self._console.held)
        batch = self._console.remembered(first) if first < until else None
        if batch is None:
            return []
        lines = batch.lines[: until - first]
        return [Batch(first + 1, lines, sum(map(len, lines)))]


def batches_of(lines: list[Line]) -> list[Batch]:
    """Numbered lines, oldest first, as batches without gaps."""
    made: list[Batch] = []
    for line in lines:
        if line.seq is None:
            continue
        if made and line.seq == made[-1].first_seq + len(made[-1].lines):
            made[-1].lines.append(line.text)
        else:
            made.append(Batch(line.seq, [line.text]))
    return [Batch(batch.first_seq, batch.lines, sum(map(len, batch.lines))) for batch in made]
