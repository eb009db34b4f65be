"""Was it a crash, and shall it be started again? Wings' rules, and a cap on restarts so that a crash every minute does not loop for ever.

A server's own rules (`aerie_crash`) go before the node's. Decides only; endings.py acts.
"""

from collections import deque
from dataclasses import dataclass

from agent.runtime.runtime import Exit
from core.agent_settings import CrashSection
from core.protocol.settings import CrashRules, ServerSettings

LONGEST_WAIT = 600.0
"""Seconds before a restart, at most."""


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

    def judge(self, ended: Exit, now: float, server: ServerSettings) -> Verdict:
        told, node, own = self._told(ended), self._settings, server.aerie_crash or CrashRules()
        window = node.window if own.window is None else own.window
        most = node.most_restarts if own.restarts is None else own.restarts
        backoff = node.backoff if own.backoff is None else own.backoff
        while self._restarts and now - self._restarts[0] > window:
            self._restarts.popleft()
        before = len(self._restarts)
        clean = not ended.oom_killed and (ended.code == 0 or ended.code in own.clean_codes)
        heeded = node.detect_clean_exit_as_crash and ended.code not in own.clean_codes
        if not (node.enabled if server.crash_detection_enabled is None else server.crash_detection_enabled):
            return Verdict(False, f"{told} Crash detection is off, so it stays offline.", restarts=before, crash=not clean)
        if clean and not heeded:
            return Verdict(False, f"{told} That is a clean end, so it stays offline.", restarts=before, crash=False)
        if own.restarts is None and self._last is not None and node.timeout and now - self._last < node.timeout:
            words = f"{told} It crashed less than {node.timeout:.0f} s ago as well, so it stays offline."
            return Verdict(False, words, restarts=before)
        if before >= most:
            words = f"{told} It was restarted {before} times in {window / 60:.0f} minutes, so it stays offline."
            return Verdict(False, words, restarts=before)
        self._last = now
        self._restarts.append(now)
        wait = min(backoff * 2 ** (before - 1), LONGEST_WAIT) if before else 0.0
        soon = f"Starting it again in {wait:.0f} s." if wait else "Starting it again."
        return Verdict(True, f"{told} {soon}", wait, before + 1)

    def pardon(self) -> None:
        """The last one was no crash after all."""
        self._last = None
        if self._restarts:
            self._restarts.pop()

    @staticmethod
    def _told(ended: Exit) -> str:
        code = "unknown" if ended.code is None else str(ended.code)
        if ended.oom_killed:
            return f"The server crashed: it ran out of memory (exit code {code})."
        return f"The server crashed: its process ended with exit code {code}."
