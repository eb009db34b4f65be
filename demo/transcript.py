"""The tour's transcript: who did what, what was seen, how long it took; and the end of the logs when something was not seen.

Must never call a step done that raised: only `step` prints a tick, after its work returned.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiohttp import ClientError
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from core.clock import Clock
from sandbox.person import NotSeen, Refused
from setup.debian import last_lines
from setup.engine_api import EngineError

LOG_LINES = 15


class TourFailed(Exception):
    """A step was not seen to happen; what was seen instead has been printed."""


class Transcript:
    """Prints steps as they happen and counts them."""

    def __init__(self, console: Console, clock: Clock, logs: Sequence[Path]) -> None:
        self.console = console
        self.clock = clock
        self.logs = logs
        self.done = 0
        self.skipped = 0
        self.started = clock.monotonic()

    def act(self, title: str) -> None:
        """The heading of the steps that follow."""
        self.console.rule(f"[bold]{escape(title)}", align="left", style="dim")

    def skip(self, who: str, act: str, why: str) -> None:
        """A step that cannot be shown here, and why; it is not counted as seen."""
        self.skipped += 1
        self.console.print(f" –  [dim]{escape(who)} {escape(act)} · skipped, {escape(why)}[/]", soft_wrap=True)

    async def step(self, who: str, act: str, work: Callable[[], Awaitable[str]]) -> None:
        """One step: says who does what, does it, and prints what `work` saw. Raises TourFailed when it did not."""
        self.done += 1
        self.console.print(f"[bold]{self.done:2}. {escape(who)}[/] {escape(act)}")
        began = self.clock.monotonic()
        try:
            seen = await work()
        except (NotSeen, Refused, TimeoutError, OSError, EngineError, ClientError) as error:
            took = self.clock.monotonic() - began
            self.console.print(f"    [red]✗ not seen after {took:.1f} s[/]")
            self.console.print(Padding(escape(str(error) or type(error).__name__), (0, 0, 0, 6)))
            self._show_logs()
            raise TourFailed(f"Step {self.done} ({who} {act}) was not seen to happen.") from error
        for place, line in enumerate(seen.strip().splitlines()):
            took_text = f" [dim]· {self.clock.monotonic() - began:.1f} s[/]" if place == 0 else ""
            self.console.print(f"    [green]{'✓' if place == 0 else ' '}[/] {escape(line)}{took_text}", soft_wrap=True)

    def end(self) -> None:
        """The closing line."""
        skipped = f"; {self.skipped} were skipped, for the reasons given" if self.skipped else ""
        took = f"{self.clock.monotonic() - self.started:.0f} s"
        self.console.print(f"\n[bold green]All {self.done} steps were seen to happen[/], in {took}{skipped}.", soft_wrap=True)

    def _show_logs(self) -> None:
        for log in self.logs:
            if lines := last_lines(log, LOG_LINES):
                self.console.rule(f"the end of {log.name}", align="left", style="dim")
                self.console.print(escape(lines), style="dim", soft_wrap=True)
