"""Was it a crash, and shall it be started again? Wings' rules, and a cap on restarts so that a crash every minute does not loop for ever.

Decides only; the server acts.
"""

from collections import deque
from dataclasses import dataclass

from agent.runtime.runtime import Exit
from core.agent_settings import CrashSection

WINDOW = 600.0
"""Seconds over which restarts are counted."""


@dataclass(frozen=True)
class Verdict:
    """`words` is a sentence for the console, `wait` the seconds before the restart, `restarts` how many there were in the window.

    An end is no `crash` when nobody asked for it but the node calls it clean.
    """

    restart: bool
    words: str
    wait: float = 0.0
    restarts: int = 0
    crash: bool = True


class CrashWatch:
    """Remembers when this server crashed. Times are monotonic seconds."""

    def __init__(self, settings: CrashSection) -> None:
        self._settings = settings
        self._last: float | None = None
        self._restarts: deque[float] = deque()

    def judge(self, ended: Exit, now: float, *, enabled: bool | None) -> Verdict:
        """`enabled` is the server's own wish; None follows the node's setting."""
        told, settings = self._told(ended), self._settings
        while self._restarts and now - self._restarts[0] > WINDOW:
            self._restarts.popleft()
        before = len(self._restarts)
        clean = ended.code == 0 and not ended.oom_killed
        if not (settings.enabled if enabled is None else enabled):
            return Verdict(False, f"{told} Crash detection is off, so it stays offline.", restarts=before, crash=not clean)
        if clean and not settings.detect_clean_exit_as_crash:
            return Verdict(False, f"{told} That is a clean end, so it stays offline.", restarts=before, crash=False)
        if self._last is not None and settings.timeout and now - self._last < settings.timeout:
            words = f"{told} It crashed less than {settings.timeout:.0f} s ago as well, so it stays offline."
            return Verdict(False, words, restarts=before)
        if before >= settings.most_restarts:
            return Verdict(False, f"{told} It was restarted {before} times in ten minutes, so it stays offline.", restarts=before)
        self._last = now
        self._restarts.append(now)
        wait = settings.backoff * 2 ** (before - 1) if before else 0.0
        soon = f"Starting it again in {wait:.0f} s." if wait else "Starting it again."
        return Verdict(True, f"{told} {soon}", wait, before + 1)

    @staticmethod
    def _told(ended: Exit) -> str:
        code = "unknown" if ended.code is None else str(ended.code)
        if ended.oom_killed:
            return f"The server crashed: it ran out of memory (exit code {code})."
        return f"The server crashed: its process ended with exit code {code}."
