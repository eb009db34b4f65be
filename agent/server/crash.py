"""Was it a crash, and shall it be started again? Wings' rules, and a cap on restarts so that a crash every minute does not loop for ever.

Decides only; the server acts.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.runtime.runtime import Exit
from core.config import CrashSection
from core.protocol.socket import CrashReport

WINDOW = 600.0
"""Seconds over which restarts are counted."""
LAST_LINES, LAST_BYTES = 200, 16 * 1024
"""Of a crash report's last words."""


@dataclass(frozen=True)
class Verdict:
    """`words` is a sentence for the console."""

    restart: bool
    words: str


class CrashWatch:
    """Remembers when this server crashed. Times are monotonic seconds."""

    def __init__(self, settings: CrashSection) -> None:
        self._settings = settings
        self._last: float | None = None
        self._restarts: deque[float] = deque()

    def judge(self, ended: Exit, now: float, *, enabled: bool | None) -> Verdict:
        """`enabled` is the server's own wish; None follows the node's setting."""
        told = self._told(ended)
        if not (self._settings.enabled if enabled is None else enabled):
            return Verdict(False, f"{told} Crash detection is off, so it stays offline.")
        if ended.code == 0 and not ended.oom_killed and not self._settings.detect_clean_exit_as_crash:
            return Verdict(False, f"{told} That is a clean end, so it stays offline.")
        if self._last is not None and self._settings.timeout and now - self._last < self._settings.timeout:
            return Verdict(False, f"{told} It crashed less than {self._settings.timeout:.0f} s ago as well, so it stays offline.")
        while self._restarts and now - self._restarts[0] > WINDOW:
            self._restarts.popleft()
        if len(self._restarts) >= self._settings.most_restarts:
            return Verdict(False, f"{told} It was restarted {len(self._restarts)} times in ten minutes, so it stays offline.")
        self._last = now
        self._restarts.append(now)
        return Verdict(True, f"{told} Starting it again.")

    @staticmethod
    def _told(ended: Exit) -> str:
        code = "unknown" if ended.code is None else str(ended.code)
        if ended.oom_killed:
            return f"The server crashed: it ran out of memory (exit code {code})."
        return f"The server crashed: its process ended with exit code {code}."


def report(ended: Exit, verdict: Verdict, uptime: float, lines: Sequence[str], at: datetime) -> CrashReport:
    """What the control plane is told: how it ended, after how many seconds, and its newest lines that fit."""
    kept: list[str] = []
    room = LAST_BYTES
    for line in reversed(lines[-LAST_LINES:]):
        room -= len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        kept.append(line)
    return CrashReport(
        exit_code=ended.code, oom_killed=ended.oom_killed, uptime=round(uptime, 1), reason=verdict.words, lines=kept[::-1], at=at
    )
