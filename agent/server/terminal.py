"""One server's terminal: attached to its process, read without a gap, written to; attached anew when the connection alone was lost.

What was said while nobody was attached is read in the engine's log. Sees ready lines and players. Must never hold up the process: the
console drops for slow readers, this never waits for them.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from agent.runtime.runtime import Attachment, Exit, Inspection, Runtime
from agent.server.catchup import missing, unread
from agent.server.console import Console, LineSplitter, Players, ReadyDetector
from agent.server.standing import SavedState, Standing, end_of
from core.agent_settings import ThrottleSection
from core.clock import Clock
from core.errors import AerieError
from core.supervise import Supervisor
from core.vocabulary import ServerState

_LOG_LAG = 0.2
"""Seconds the engine's log may be behind a container's output."""
_LOG_MARGIN = timedelta(seconds=5)
_RETRY_SECONDS = 2.0


class Terminal:
    """Console and attachment. `began` is told when a process is held, `finish` when it turns out to have ended."""

    def __init__(
        self,
        standing: Standing,
        runtime: Runtime,
        throttles: ThrottleSection,
        clock: Clock,
        tasks: Supervisor,
        began: Callable[[], None],
        finish: Callable[[Exit], None],
    ) -> None:
        self.console = Console(clock, throttles, self._watch)
        self.last_output_at: datetime | None = None
        self.detector = ReadyDetector(standing.configuration.process_configuration.startup)
        self.players = Players(standing.configuration.settings.aerie_players)
        self._standing = standing
        self._runtime = runtime
        self._clock = clock
        self._tasks = tasks
        self._began = began
        self._finish = finish
        self._attachment: Attachment | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._catching: list[bytes] | None = None
        self._saved_seq = self._numbered = 0

    @property
    def attached(self) -> bool:
        return self._attachment is not None

    async def type(self, line: str) -> None:
        """Write one line; whoever calls made sure that something is attached."""
        if self._attachment is not None:
            await self._attachment.write(line.encode() + b"\n")

    def resume(self, saved: SavedState) -> None:
        """Take up what an earlier agent left. It may have gone on numbering lines after it wrote that down."""
        self._saved_seq = saved.seq
        self._numbered = self.console.resume(saved.seq, saved.outputs, saved.tail)
        self.last_output_at = saved.at

    def learn(self, *, keep_players: bool) -> None:
        """Take up the ready lines of new settings, and new player patterns too unless they are to be kept."""
        self.detector = ReadyDetector(self._standing.configuration.process_configuration.startup)
        if not keep_players:
            self.players = Players(self._standing.configuration.settings.aerie_players)

    async def attach_fresh(self) -> None:
        """Attach to a process that is about to start."""
        attachment = await self._runtime.attach(self._standing.uuid)
        self._standing.gone.clear()
        self._standing.ready.clear()
        self.players.clear()
        self.last_output_at = self._clock.now()
        self.console.tail.clear()
        self._hold(attachment)

    async def attach_running(self, became: Callable[[], None]) -> datetime:
        """Attach to a process that runs already; answers when that began, for `catch_up`, which must follow."""
        began = self._clock.now()
        attachment = await self._runtime.attach(self._standing.uuid)
        self._standing.gone.clear()
        self._standing.ready.set()
        became()
        self._catching = []
        self._hold(attachment)
        return began

    async def catch_up(self, attached: datetime, earliest: datetime) -> None:
        """Read in the engine's log what was said before the attachment, then go on with what came through it meanwhile."""
        try:
            await self._clock.sleep(_LOG_LAG)
            read_until = self.last_output_at
            since = max(earliest, read_until - _LOG_MARGIN) if read_until else earliest
            log_lines = await self._runtime.output_since(self._standing.uuid, since)
        except AerieError as error:
            self.console.add_notice(f"What it said while the agent was away could not be read: {error.message}")
            log_lines, read_until = [], None
        chunk, self._catching = b"".join(self._catching or ()), None
        fresh = unread(log_lines, self.console.tail, read_until)
        lines, torn = missing(fresh, attached, LineSplitter().feed(chunk))
        known, lines = lines[: self._numbered], lines[self._numbered :]  # shown to readers already, under numbers of their own
        self._numbered = 0
        self.console.recover(known, self._saved_seq)
        if lines:
            self.console.add_output(lines)
        if chunk := chunk.partition(b"\n")[2] if torn else chunk:
            self.console.feed(chunk)
        if lines or chunk:
            self.last_output_at = self._clock.now()
        self._standing.changed()

    async def last_words(self, limit: float) -> None:
        """Wait until all that an ended process said was read, at most `limit` seconds."""
        if self._pumping is not None:
            await asyncio.wait({self._pumping}, timeout=limit)

    def let_go(self) -> None:
        """The process has ended."""
        self._stop_pumping()
        if self._attachment is not None:
            self._tasks.spawn("let go", self._attachment.close())
        self._attachment = self._catching = None
        self.players.clear()

    async def close(self) -> None:
        """Let go of a process that runs on."""
        self._stop_pumping()
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            await attachment.close()
        self.console.close()

    def _stop_pumping(self) -> None:
        pumping, self._pumping = self._pumping, None
        if pumping is not None and pumping is not asyncio.current_task():
            pumping.cancel()

    def _hold(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._pumping = self._tasks.spawn("console", self._pump(attachment))
        self._began()

    async def _pump(self, attachment: Attachment) -> None:
        """Read the console for as long as it speaks; a broken attachment to a running process is made anew."""
        while True:
            async for chunk in attachment.chunks():
                if self._catching is not None:
                    self._catching.append(chunk)
                    continue
                self.console.feed(chunk)
                self.last_output_at = self._clock.now()
            await attachment.close()
            while (shown := await self._settled_inspection()) is None:
                await self._clock.sleep(_RETRY_SECONDS)
            while self._catching is not None:  # what was caught must be read in first
                await self._clock.sleep(0.05)
            if not shown.running:
                self.console.end()
                self._finish(end_of(shown))
                return
            began = self._clock.now()
            try:
                self._attachment = attachment = await self._runtime.attach(self._standing.uuid)
            except AerieError as error:
                self._standing.reason = f"Its console was lost: {error.message}"
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            self._catching = []
            self._tasks.spawn("catch up", self.catch_up(began, shown.started_at or began))

    async def _settled_inspection(self) -> Inspection | None:
        """The engine may still say `running` for a moment after the terminal closed. None when it does not answer."""
        shown = None
        for _ in range(20):
            try:
                shown = await self._runtime.inspect(self._standing.uuid)
            except AerieError as error:
                self._standing.reason = error.message
                return None
            if not shown.running:
                return shown
            await self._clock.sleep(0.05)
        return shown

    def _watch(self, lines: list[str]) -> None:
        if self.players.known:
            for line in lines:
                self.players.see(line)
        standing = self._standing
        if standing.state is ServerState.STARTING and not standing.ready.is_set() and any(map(self.detector.sees, lines)):
            standing.ready.set()
            standing.become(ServerState.RUNNING, "")  # as it should be: nothing to explain
