"""One game server on this node: its parts put together, and what others may ask of it.

What it is lives in its parts: how it stands (standing.py), its terminal (terminal.py), what it uses (stats.py), the steps of power
signals (steps.py), starts that nobody asked for (own_start.py). Must never know who asks; access was decided by the control plane.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from agent.filesystem.disks import Disks
from agent.runtime.runtime import Began, Died, EngineEvent, EngineLost, Exit, Runtime, Sample
from agent.server.changes import notice, waiting
from agent.server.disk import DiskWatch
from agent.server.endings import Endings
from agent.server.own_start import OwnStart
from agent.server.standing import DaemonNotice, SavedState, Standing
from agent.server.start_gate import StartGate
from agent.server.stats import Stats
from agent.server.steps import Steps
from agent.server.terminal import Terminal
from agent.server.wish import WishFile
from core.clock import Clock
from core.config import AgentConfig
from core.errors import AerieError, Invalid, ServerBusy, ServerOffline, ServerSuspended
from core.protocol.agent import LastExit, ServerDescription, ServerExtras
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import CrashReport, Outbound, StatsFrame
from core.supervise import Supervisor
from core.vocabulary import PowerSignal, ServerState, StopType

log = logging.getLogger(__name__)

QUICK_STOP_SECONDS = 60.0
"""What a suspended server, or one over its disk limit, is given before it is killed (Wings)."""


class Server:
    """A server that lives here. `power` accepts signals; `events` and `console` tell what happens."""

    def __init__(
        self,
        configuration: ServerConfiguration,
        runtime: Runtime,
        config: AgentConfig,
        clock: Clock,
        tasks: Supervisor,
        refresh: Callable[[str], Awaitable[ServerConfiguration]],
        changed: Callable[[], None] = lambda: None,
        gate: StartGate | None = None,
        disks: Disks | None = None,
    ) -> None:
        self.uuid = configuration.settings.uuid
        self.folder = config.system.data / self.uuid
        disks = disks or Disks(config.system, clock, tasks)
        self.volume = disks.volume(self.uuid, runtime.owner(self.uuid), lambda: self.configuration.settings)
        """Its files, for whoever works on them."""
        self._runtime = runtime
        self._patience = config.power.kill_timeout
        self._clock = clock
        self._tasks = tasks
        self._standing = Standing(configuration, self.folder, clock, changed)
        self._terminal = Terminal(self._standing, runtime, config.throttles, clock, tasks, self._began, self._finish)
        self.disk = DiskWatch(self.volume, self._terminal.console.add_notice, self._stop_for_disk)
        self._stats = Stats(self._standing, self._terminal, self.disk)
        self._wish = WishFile(config.system.root_directory / "power" / self.uuid, clock, tasks)
        self._steps = Steps(
            self._standing, self._terminal, self._stats, runtime, config, clock, tasks, refresh, self._finish, self._wish.hold
        )
        self._queue = self._steps.queue
        self._standing.current_order = lambda: self._queue.current
        self._own_start = OwnStart(
            self.power, self._queue, clock, tasks, gate or StartGate(), lambda: self.configuration.settings.aerie_priority
        )
        self.held = ""
        """What is being done to it that allows no power signal and no change of its files, as the end of "The server is …"."""
        self.end_installation: Callable[[str], None] | None = None
        """Ends the installation that is under way, if one is; given by whoever installs."""
        self.install_failed = False
        self.events = self._standing.events
        self.console = self._terminal.console
        self._endings = Endings(self._standing, self._queue, self._own_start, self.console, config.crash, clock)

    # What others ask

    @property
    def configuration(self) -> ServerConfiguration:
        return self._standing.configuration

    @configuration.setter
    def configuration(self, fresh: ServerConfiguration) -> None:
        self._standing.configuration = fresh

    @property
    def suspended(self) -> bool:
        return self._standing.suspended

    @property
    def state(self) -> ServerState:
        return self._standing.state

    @property
    def state_since(self) -> datetime:
        return self._standing.state_since

    @property
    def reason(self) -> str:
        return self._standing.reason

    @property
    def last_exit(self) -> LastExit | None:
        return self._standing.last_exit

    @property
    def last_output_at(self) -> datetime | None:
        return self._terminal.last_output_at

    @property
    def crash(self) -> CrashReport | None:
        """The newest crash."""
        return self._endings.crash

    @property
    def crash_told(self) -> bool:
        """Whether a control plane of ours heard of it."""
        return self._endings.crash_told

    @crash_told.setter
    def crash_told(self, told: bool) -> None:
        self._endings.crash_told = told

    def power(self, signal: PowerSignal) -> str:
        """Accept a signal and answer its id. Raises ServerSuspended, ServerBusy or Conflict now, never later.

        While it is being installed there is nothing to signal but that: a kill ends the installation.
        """
        if self.end_installation is not None:
            if signal is not PowerSignal.KILL:
                raise ServerBusy("The server is being installed.", hint="Wait until that is done, or end it with kill.")
            self.end_installation("Somebody ended it.")
        self.check_held()
        if self.suspended and signal in (PowerSignal.START, PowerSignal.RESTART):
            raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")
        self._own_start.forget()
        signal_id = self._queue.send(signal)
        if signal in (PowerSignal.STOP, PowerSignal.KILL):
            self._endings.stop_asked()
        return signal_id

    async def asked(self, signal: PowerSignal) -> str:
        """As `power`, and on the disk when this returns: should the agent be killed now, the next one goes on with it."""
        signal_id = self.power(signal)
        await self._wish.kept()
        return signal_id

    def check_held(self) -> None:
        """Raises ServerBusy while something holds it."""
        if self.held:
            raise ServerBusy(f"The server is {self.held}.", hint="Try again when that is done.")

    @property
    def power_busy(self) -> bool:
        return self._queue.busy()

    async def stopped_within(self, limit: float) -> bool:
        """Stop it, killed when the limit (seconds) passes; whether it is offline in the end."""
        if self._standing.offline:
            return True
        self._steps.stop_within(limit)
        return await self._steps.wait_gone(limit + self._patience)

    async def stopped_gently(self, limit: float) -> bool:
        """Ask it to stop and wait so many seconds, killing nothing; whether it is offline in the end."""
        if self._standing.offline:
            return True
        self._queue.send(PowerSignal.STOP)
        return await self._steps.wait_gone(limit)

    def check_command(self, text: str) -> None:
        """Whether this can be typed now. Raises Invalid or ServerOffline."""
        if any(letter in text for letter in "\r\n\0"):
            raise Invalid("A console command is one line.", hint="Send several commands one by one.")
        if not self._terminal.attached or self._standing.offline:
            raise ServerOffline("The server is offline, nobody reads its console.", hint="Start it first.")

    async def command(self, text: str) -> None:
        """Type one line into the console. Raises as `check_command`."""
        self.check_command(text)
        await self._terminal.type(text)
        stop = self.configuration.process_configuration.stop
        if stop.type == StopType.COMMAND and text == stop.value and self.state is not ServerState.STOPPING:
            self._steps.heed_typed_stop()

    def stats(self) -> StatsFrame:
        """The newest measurement; zero but for disk and limit while offline, as Wings shows it."""
        return self._stats.frame()

    @property
    def measured(self) -> bool:
        """Whether it has a process, so that the node's sampler measures it."""
        return self._stats.measured

    def take(self, sample: Sample | None) -> None:
        """What the sampler measured; None when it could not."""
        self._stats.take(sample)

    def description(self) -> ServerDescription:
        standing = self._standing
        extras = ServerExtras(
            state_since=standing.state_since,
            reason=standing.reason,
            last_exit=standing.last_exit,
            installing=self.end_installation is not None,
        )
        return ServerDescription(
            state=standing.state,
            is_suspended=self.suspended,
            utilization=self.stats(),
            configuration=self.configuration.settings,
            aerie=extras,
        )

    def notice(self, words: str) -> None:
        """A line of our own in the console."""
        self.console.add_notice(words)

    def explain(self, words: str) -> None:
        """Say why it stands as it does, in its console and wherever its state is shown."""
        self._standing.reason = words
        self.console.add_notice(words)

    async def sync(self, configuration: ServerConfiguration) -> None:
        """Take up new settings; a suspension stops a running server (killed after a minute).

        A running process is told its new limits; what it cannot take in is said in the console and holds from its next start.
        """
        before = self.configuration.settings
        same_players = configuration.settings.aerie_players == self.configuration.settings.aerie_players
        self.configuration = configuration
        self._terminal.learn(keep_players=same_players)
        if self._standing.offline:
            return
        if self.suspended:
            self._steps.stop_within(QUICK_STOP_SECONDS)
            return
        waits = waiting(before, configuration.settings)
        if before.build != configuration.settings.build:
            try:
                waits += await self._runtime.adjust(configuration)
            except AerieError as error:
                log.warning("%s could not be told its new limits: %s", self.uuid, error)
                waits.append("its limits")
        if waits:
            self.notice(notice(waits))

    def saved(self) -> SavedState:
        """What `restore` of a later agent needs."""
        return SavedState(
            state=self.state,
            seq=self.console.last_seq,
            outputs=self.console.outputs,
            at=self.last_output_at,
            tail=list(self.console.tail),
            install_failed=self.install_failed,
            crash=None if self.crash_told else self.crash,
            starting_again=self._own_start.pending,
        )

    async def restore(self, saved: SavedState | None = None) -> bool:
        """Find out how things stand after the agent started: attach to a running container, leave it running, miss no line of it.

        What was accepted before and not done is gone on with. Answers whether it should be started: it ran when the last agent ended, or
        was to be started, and does not run (Wings).
        """
        saved = saved or SavedState()
        self._terminal.resume(saved)
        self.install_failed, self._endings.crash = saved.install_failed, saved.crash
        wish = await asyncio.to_thread(self._wish.read)
        shown = await self._runtime.inspect(self.uuid)
        if not shown.running:
            if shown.exit is not None:
                self._standing.note_exit(shown.exit)
            wanted = saved.starting_again or saved.state in (ServerState.RUNNING, ServerState.STARTING)
            if wish is not None:
                wanted = wish.signal in (PowerSignal.START, PowerSignal.RESTART)
            if not wanted or self.suspended:
                self._wish.hold(None)
            return wanted and not self.suspended
        await self._steps.take_hold("It was running when the agent started.", shown)
        restarted = wish is not None and shown.started_at is not None and shown.started_at > wish.at
        if wish is None or wish.signal is PowerSignal.START or (wish.signal is PowerSignal.RESTART and restarted):
            self._wish.hold(None)
            if wish is None and saved.state is ServerState.STOPPING:
                self._steps.heed_typed_stop("It was stopping when the agent ended.")
            return False
        self.notice(f"The agent ended while it was asked to {wish.signal.value}; going on with that.")
        with contextlib.suppress(AerieError):
            self.power(wish.signal)
        return False

    def start_again(self) -> None:
        """Start it, in its turn, as it ran before the agent or the node went away."""
        self.notice("It ended while the agent was away; starting it again.")
        self._own_start.soon()
        self._standing.changed()

    def heed(self, event: EngineEvent) -> None:
        """The engine tells that its process ended or was started."""
        match event:
            case Died():
                self._tasks.spawn("died", self.died(event.exit))
            case Began():
                self._tasks.spawn("found running", self.found_running())
            case EngineLost():
                self._endings.engine_lost()

    async def found_running(self) -> None:
        """Its container was started; unless that was us, somebody did so on the node."""
        await self._queue.idle()
        with contextlib.suppress(AerieError):
            if not self._terminal.attached and (await self._runtime.inspect(self.uuid)).running and not self._queue.busy():
                await self._steps.take_hold("It was started on the node.")

    async def died(self, ended: Exit) -> None:
        """The engine tells that the process ended or its container was removed. Told twice, or late, it is harmless."""
        if await self._lives():
            return
        await self._terminal.last_words(1.0)
        if not await self._lives():
            self._finish(ended)

    async def _lives(self) -> bool:
        """Whether there is nothing to be told of an end: it was told, or it runs, or what ended was the process before."""
        if self._standing.gone.is_set():
            return True
        shown, began = await self._runtime.inspect(self.uuid), self._standing.began_at
        before = shown.exists and shown.started_at is not None and began is not None and shown.started_at < began
        return self._standing.gone.is_set() or shown.running or before

    async def close(self) -> None:
        """Let go without stopping: containers run on."""
        self._own_start.forget()
        self._steps.close()
        self._stats.end()
        await self._terminal.close()
        self.events.close()

    async def destroy(self) -> None:
        """Remove the container; the caller removes the files."""
        self.configuration.settings.suspended = True
        await self._runtime.destroy(self.uuid)
        await asyncio.to_thread(self._wish.forget)
        await self._runtime.forget(self.uuid)
        self.events.publish(DaemonNotice(Outbound.DELETED, "null"))
        await self.close()

    # What happens by itself

    def _began(self) -> None:
        self._standing.began_at = self._clock.now()
        self._stats.begin()

    def _stop_for_disk(self) -> bool:
        """Its files take too much: end what makes them grow. False while that is ending already."""
        if self.end_installation is not None:
            self.end_installation("Its files take more than its disk limit.")
            return True
        if self.state not in (ServerState.STARTING, ServerState.RUNNING):
            return False
        self._steps.stop_within(QUICK_STOP_SECONDS)
        return True

    def _finish(self, ended: Exit, why: str = "", code: str = "") -> None:
        """The process is gone. Comes from several sides; only the first counts."""
        standing = self._standing
        was, known = standing.state, standing.gone.is_set()
        if not why:
            why, code = standing.failure
        standing.gone.set()
        if was is ServerState.OFFLINE:
            return
        if not known:
            standing.note_exit(ended)
        self._stats.end()
        self._terminal.let_go()
        self._endings.ended(ended, was, why, code, known=known)
        self._stats.tell()
