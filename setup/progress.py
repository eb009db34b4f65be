"""What a person sees while set-up works: one line per step, with a bar where the length is known.

Knows terminals, and plain output for pipes and CI. Uses only the standard library, since it runs before anything is installed.
Must never hide a failure: a step that fails stays on the screen, marked.
"""

import shutil
import sys
import time
from types import TracebackType
from typing import Self, TextIO

WIDTH = 24
QUIET_SECONDS = 10.0  # on a pipe, one line of progress at most this often


class Step:
    """One step of set-up, as a context manager: `with Step("Installing packages") as step: step.at(0.5, "aiohttp")`."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title = title
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.started = time.monotonic()
        self.last_print = self.started
        self.outcome = ""

    def __enter__(self) -> Self:
        if self.live:
            self._paint(None, "")
        else:
            self._line(f"  {self.title} ...")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        mark = "✓" if kind is None else "✗"
        note = f" · {self.outcome}" if self.outcome else ""
        text = f"{mark} {self.title}{note} · {self.seconds():.1f} s"
        if self.live:
            self.stream.write(f"\r\x1b[K{text}\n")
            self.stream.flush()
        else:
            self._line(text)

    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.started

    def at(self, fraction: float | None, detail: str = "") -> None:
        """Show progress: a fraction of 0 to 1 (None when unknown) and a few words."""
        if self.live:
            self._paint(fraction, detail)
        elif time.monotonic() - self.last_print >= QUIET_SECONDS:
            self.last_print = time.monotonic()
            percent = "" if fraction is None else f" {fraction:.0%}"
            self._line(f"  {self.title}{percent} {detail}")

    def done(self, outcome: str) -> None:
        """Words to stand behind the step once it has ended."""
        self.outcome = outcome

    def _paint(self, fraction: float | None, detail: str) -> None:
        if fraction is None:
            bar = f"{self.seconds():4.0f} s"
        else:
            full = round(max(0.0, min(1.0, fraction)) * WIDTH)
            bar = "━" * full + "╌" * (WIDTH - full) + f" {max(0.0, min(1.0, fraction)):4.0%}"
        text = f"  {self.title} {bar} {detail}"
        self.stream.write(f"\r\x1b[K{text[: columns() - 1]}")
        self.stream.flush()

    def _line(self, text: str) -> None:
        self.stream.write(text.rstrip() + "\n")
        self.stream.flush()


def columns() -> int:
    """Width of the terminal in characters."""
    return shutil.get_terminal_size((100, 24)).columns


def say(text: str) -> None:
    """One plain line for the person."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
