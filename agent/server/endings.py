"""What follows when a server's process has ended: told and why, judged, recorded if it was a crash, started again if it should be.

An end that Docker brought about (it was stopped or restarted) is no crash, whatever came first, the end or the news of it.
"""

from agent.runtime.runtime import ENGINE_ENDS_WITHIN, Exit
from agent.server.console import Console
from agent.server.crash import CrashWatch
from agent.server.crash_record import LINES, crash_record
from agent.server.own_start import OwnStart
from agent.server.power import PowerQueue
from agent.server.standing import Standing
from core.agent_settings import CrashSection
from core.clock import Clock
from core.protocol.socket import CrashReport
from core.vocabulary import PowerSignal, ServerState

WITH_DOCKER = "Docker was stopped or restarted, and its process with it; starting it again."


class Endings:
    """One server's. `ended` is told of each end once."""

    def __init__(
        self, standing: Standing, queue: PowerQueue, own_start: OwnStart, console: Console, settings: CrashSection, clock: Clock
    ) -> None:
        self.crash: CrashReport | None = None
        """The newest crash."""
        self.crash_told = False
        """Whether a control plane of ours heard of it."""
        self._standing = standing
        self._queue = queue
        self._own_start = own_start
        self._console = console
        self._crashes = CrashWatch(settings)
        self._clock = clock
        self._fell_at: float | None = None
        """When it last ended without being asked to, unless somebody had it stopped since; monotonic seconds."""
        self._judged = False

    def stop_asked(self) -> None:
        """Somebody wants it off: whatever ended it before, it stays so."""
        self._fell_at = None

    def ended(self, ended: Exit, was: ServerState, why: str, code: str, *, known: bool) -> None:
        """It has ended, having been in state `was`. `why` is known when an order or the agent brought it about; `known` ends were told."""
        standing, order = self._standing, self._queue.current
        meant = self._queue.ending() or (order is not None and order.overtaken_by is not None)
        alone = was in (ServerState.STARTING, ServerState.RUNNING) and not known and not meant
        verdict = None
        if alone and not why:
            if ended.with_engine:
                why = WITH_DOCKER
                self._own_start.soon()
            else:
                verdict = self._crashes.judge(ended, self._clock.monotonic(), standing.configuration.settings)
        if alone:
            self._fell_at, self._judged = self._clock.monotonic(), verdict is not None
        asked = "It was killed." if order and order.signal is PowerSignal.KILL else "It stopped, as asked."
        told = why or (verdict.words if verdict else asked if meant or was is ServerState.STOPPING else "Its process ended.")
        if ended.reason:
            told = f"{told} ({ended.reason})"
        standing.become(ServerState.OFFLINE, told, code, order, ended)
        if verdict is None:
            return
        if verdict.crash:
            lines = self._console.history(LINES)
            self.crash = crash_record(ended, verdict, began=standing.began_at, now=self._clock.now(), lines=lines)
            self.crash_told = False
            standing.events.publish(self.crash)
        self._console.add_notice(verdict.words)
        if verdict.restart:
            self._own_start.soon(verdict.wait)
            standing.changed()

    def engine_lost(self) -> None:
        """An engine that is stopped ends its containers first, and before it says so each looks like a crash."""
        fell, self._fell_at = self._fell_at, None
        if fell is None or self._clock.monotonic() - fell > ENGINE_ENDS_WITHIN.total_seconds() or self._queue.ending():
            return
        if self._judged:
            self._crashes.pardon()
        self._standing.reason = WITH_DOCKER
        self._own_start.soon()
