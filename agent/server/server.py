"""One game server on this node: its settings, its state, its console, and the steps that power signals take.

The engine is the truth: whatever we waited for, in the end the state is read again from it. Every wait has a limit (`[power]`), every
change of state a reason. Must never know who asks; access was decided by the control plane.
"""

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from agent.runtime.runtime import Attachment, Exit, Inspection, Runtime, Sample
from agent.server.catchup import missing, unread
from agent.server.console import Console, LineSplitter, Players, ReadyDetector
from agent.server.crash import CrashWatch
from agent.server.disk import usage
from agent.server.power import Order, PowerQueue
from agent.server.signals import signal_name
from core.clock import Clock
from core.config import AgentConfig
from core.errors import AerieError, DiskFull, Invalid, ProcessGone, RuntimeFailure, ServerOffline, ServerSuspended
from core.fanout import Fanout
from core.protocol.agent import LastExit, ServerDescription, ServerExtras
from core.protocol.settings import ServerConfiguration, Wire
from core.protocol.socket import Network, Outbound, PowerProgress, StateChange, StatsFrame
from core.supervise import Supervisor
from core.vocabulary import PowerPhase, PowerSignal, ServerState, StopType

log = logging.getLogger(__name__)

T = TypeVar("T")

SAMPLE_SECONDS = 1.0
QUICK_STOP_SECONDS = 60.0
"""What a suspended server, or one over its disk limit, is given before it is killed (Wings)."""
DISK_SECONDS = 150.0
"""Wings' interval between two walks through a server's files."""
_LOG_LAG = 0.2
"""Seconds the engine's log may be behind a container's output."""
_LOG_MARGIN = timedelta(seconds=5)
_RECHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class DaemonNotice:
    """Something for a server's sockets that is neither state nor console."""

    event: Outbound
    text: str


class SavedState(Wire):
    """What an agent must remember to find its place again: kept in states.json by the manager."""

    state: ServerState = ServerState.OFFLINE
    seq: int = 0
    at: datetime | None = None
    """When the newest line was read."""
    tail: list[str] = Field(default_factory=list)


Event = StateChange | PowerProgress | StatsFrame | DaemonNotice


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
    ) -> None:
        self.configuration = configuration
        self.uuid = configuration.settings.uuid
        self.folder = config.system.data / self.uuid
        self.state = ServerState.OFFLINE
        self.state_since = clock.now()
        self.reason = ""
        self.last_exit: LastExit | None = None
        self.last_output_at: datetime | None = None
        self.events: Fanout[Event] = Fanout()
        self.console = Console(clock, config.throttles, self._watch)
        self._runtime = runtime
        self._config = config
        self._clock = clock
        self._tasks = tasks
        self._refresh = refresh
        self._changed = changed
        self._attachment: Attachment | None = None
        self._ready = asyncio.Event()
        self._gone = asyncio.Event()
        self._gone.set()
        self._detector = ReadyDetector(configuration.process_configuration.startup)
        self._players = Players(configuration.settings.aerie_players)
        self._crashes = CrashWatch(config.crash)
        self._life = 0
        """Counts processes, so that late news of an earlier one is not taken for news of this one."""
        self._failure = ("", "")
        """Why a start is being given up, and its code, while it is."""
        self._sample: Sample | None = None
        self._disk = 0
        self._watchers: list[asyncio.Task[None]] = []
        self._catching: list[bytes] | None = None
        self._rechecking: asyncio.Task[None] | None = None
        self._saved_seq = 0
        self._queue = PowerQueue(
            {
                PowerSignal.START: self._guarded(self._start),
                PowerSignal.STOP: self._guarded(self._stop),
                PowerSignal.RESTART: self._guarded(self._restart),
                PowerSignal.KILL: self._guarded(self._kill),
            },
            lambda: self.state,
            self.events.publish,
            clock,
            tasks,
        )

    # What others ask

    @property
    def suspended(self) -> bool:
        return self.configuration.settings.suspended

    def power(self, signal: PowerSignal) -> str:
        """Accept a signal and answer its id. Raises ServerSuspended or Conflict now, never later."""
        if self.suspended and signal in (PowerSignal.START, PowerSignal.RESTART):
            raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")
        return self._queue.send(signal)

    async def command(self, text: str) -> None:
        """Type one line into the console. Raises Invalid or ServerOffline."""
        if any(letter in text for letter in "\r\n\0"):
            raise Invalid("A console command is one line.", hint="Send several commands one by one.")
        if self._attachment is None or self.state is ServerState.OFFLINE:
            raise ServerOffline("The server is offline, nobody reads its console.", hint="Start it first.")
        await self._attachment.write(text.encode() + b"\n")
        stop = self.configuration.process_configuration.stop
        if stop.type == StopType.COMMAND and text == stop.value and self.state is not ServerState.STOPPING:
            self._become(ServerState.STOPPING, "Its stop command was typed at the console.")
            self._tasks.spawn("typed stop", self._heed_typed_stop())

    def stats(self) -> StatsFrame:
        """The newest measurement; zero but for disk and limit while offline, as Wings shows it."""
        sample = self._sample
        limit = self.configuration.settings.build.memory_limit * 1_000_000
        frame = StatsFrame(state=self.state, disk_bytes=self._disk, memory_limit_bytes=limit, aerie_players=self._players.names)
        if sample is None or self.state is ServerState.OFFLINE:
            return frame
        return frame.model_copy(
            update={
                "memory_bytes": sample.memory_bytes,
                "memory_limit_bytes": sample.memory_limit_bytes,
                "cpu_absolute": sample.cpu_absolute,
                "network": Network(rx_bytes=sample.rx_bytes, tx_bytes=sample.tx_bytes),
                "uptime": sample.uptime_ms,
            }
        )

    def description(self) -> ServerDescription:
        extras = ServerExtras(state_since=self.state_since, reason=self.reason, last_exit=self.last_exit)
        return ServerDescription(
            state=self.state, is_suspended=self.suspended, utilization=self.stats(), configuration=self.configuration.settings, aerie=extras
        )

    def notice(self, words: str) -> None:
        """A line of our own in the console."""
        self.console.add_notice(words)

    async def sync(self, configuration: ServerConfiguration) -> None:
        """Take up new settings; a suspension stops a running server (killed after a minute)."""
        patterns = configuration.settings.aerie_players
        if patterns != self.configuration.settings.aerie_players:
            self._players = Players(patterns)
        self.configuration = configuration
        self._detector = ReadyDetector(configuration.process_configuration.startup)
        if self.suspended and self.state is not ServerState.OFFLINE:
            self._stop_within(QUICK_STOP_SECONDS)

    def saved(self) -> SavedState:
        """What `restore` of a later agent needs."""
        self._saved_seq = self.console.last_seq
        return SavedState(state=self.state, seq=self.console.last_seq, at=self.last_output_at, tail=list(self.console.tail))

    async def restore(self, saved: SavedState | None = None) -> None:
        """Find out how things stand after the agent started: attach to a running container, leave it running, miss no line of it.

        A server that ran when the last agent ended and does not run any more is started (Wings).
        """
        saved = saved or SavedState()
        self.console.last_seq = max(self.console.last_seq, saved.seq)
        self.console.tail.extend(saved.tail)
        self.last_output_at = saved.at
        shown = await self._runtime.inspect(self.uuid)
        if not shown.running:
            if shown.exit is not None:
                self.last_exit = LastExit(code=shown.exit.code, oom_killed=shown.exit.oom_killed, at=self._clock.now())
            if saved.state in (ServerState.RUNNING, ServerState.STARTING) and not self.suspended:
                self.notice("It ended while the agent was away; starting it again.")
                self.power(PowerSignal.START)
            return
        began = self._clock.now()
        attachment = await self._runtime.attach(self.uuid)
        self._gone.clear()
        self._ready.set()
        self._become(ServerState.RUNNING, "It was running when the agent started.")
        self._catching = []
        self._hold(attachment)
        await self._catch_up(began, shown.started_at or began)

    async def _catch_up(self, attached: datetime, earliest: datetime) -> None:
        """Read in the engine's log what was said before the attachment, then go on with what came through it meanwhile."""
        try:
            await self._clock.sleep(_LOG_LAG)
            read_until = self.last_output_at
            since = max(earliest, read_until - _LOG_MARGIN) if read_until else earliest
            log_lines = await self._runtime.output_since(self.uuid, since)
        except AerieError as error:
            self.notice(f"What it said while the agent was away could not be read: {error.message}")
            log_lines, read_until = [], None
        chunk, self._catching = b"".join(self._catching or ()), None
        fresh = unread(log_lines, self.console.tail, read_until)
        lines, torn = missing(fresh, attached, LineSplitter().feed(chunk))
        if lines:
            self.console.add_output(lines)
        if chunk := chunk.partition(b"\n")[2] if torn else chunk:
            self.console.feed(chunk)
        if lines or chunk:
            self.last_output_at = self._clock.now()
        self._changed()

    async def died(self, ended: Exit) -> None:
        """The engine tells that the process ended or its container was removed. Told twice, it is harmless."""
        if self._gone.is_set() or (await self._runtime.inspect(self.uuid)).running:
            return
        if pump := self._watchers[:1]:
            await asyncio.wait(pump, timeout=1.0)  # let it read the last words
        if not self._gone.is_set() and not (await self._runtime.inspect(self.uuid)).running:
            self._finish(ended)

    async def close(self) -> None:
        """Let go without stopping: containers run on."""
        for task in (*self._watchers, self._rechecking):
            if task is not None:
                task.cancel()
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            await attachment.close()
        self.console.close()
        self.events.close()

    async def destroy(self) -> None:
        """Remove the container; the caller removes the files."""
        self.configuration.settings.suspended = True
        await self._runtime.destroy(self.uuid)
        self.events.publish(DaemonNotice(Outbound.DELETED, "null"))
        await self.close()

    # Steps of the signals; each answers what a person should know beside the new state, mostly nothing

    def _guarded(self, step: Callable[[Order], Awaitable[str]]) -> Callable[[Order], Awaitable[str]]:
        """Whatever a step ends with, a state between two others does not outlive it."""

        async def guarded(order: Order) -> str:
            try:
                return await step(order)
            except Exception:
                self._recheck_soon()
                raise

        return guarded

    def _recheck_soon(self) -> None:
        between = self.state in (ServerState.STARTING, ServerState.STOPPING)
        if between and (self._rechecking is None or self._rechecking.done()):
            self._rechecking = self._tasks.spawn("recheck", self._recheck())

    async def _recheck(self) -> None:
        """No signal is under way, yet the state says so: ask the engine until it answers, and believe it."""
        while self.state in (ServerState.STARTING, ServerState.STOPPING):
            await self._clock.sleep(_RECHECK_SECONDS)
            if self._queue.busy():
                continue
            try:
                shown = await self._runtime.inspect(self.uuid)
            except AerieError as error:
                self.reason = f"{error.message} The state will be read again."
                continue
            if self._queue.busy():
                continue
            if not shown.running:
                self._finish(_end_of(shown), "The engine says that it does not run.")
            else:
                self._become(ServerState.RUNNING, "The engine says that its process still runs.")

    async def _heed_typed_stop(self) -> None:
        if not await self._wait_gone(self._config.power.stop_timeout) and not self._queue.busy():
            self._become(ServerState.RUNNING, "Its stop command was typed, but its process still runs.")

    async def _start(self, order: Order) -> str:
        self._queue.progress(order, PowerPhase.STARTING)
        self._become(ServerState.STARTING, "A start was asked for.", order=order)
        try:
            await self._sync_before_start()
            await self._prepare_folder()
            await self._runtime.ensure_image(self.configuration, self._pull_progress)
            await self._uninterrupted(self._runtime.create(self.configuration, self.folder))
            await self._uninterrupted(self._attach_fresh())
            await self._uninterrupted(self._runtime.start(self.uuid))
        except AerieError as error:
            await self._abandon(str(error), error.code, order)
            raise
        return await self._await_ready()

    async def _attach_fresh(self) -> None:
        attachment = await self._runtime.attach(self.uuid)
        self._gone.clear()
        self._ready.clear()
        self._players.clear()
        self.last_output_at = self._clock.now()
        self.console.tail.clear()
        self._hold(attachment)

    async def _await_ready(self) -> str:
        limit = self._config.power.ready_timeout
        if not self._detector.knows:
            self._become(ServerState.RUNNING, "Its egg has no ready line, so it counts as running once it is started.")
            self._ready.set()
            return ""
        ready, gone = self._waiter(self._ready), self._waiter(self._gone)
        try:
            await asyncio.wait({ready, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            gone.cancel()
        if self._gone.is_set():
            code = self.last_exit.code if self.last_exit else None
            raise RuntimeFailure(f"Its process ended before it was ready (exit code {code}).", hint="The console's last lines say why.")
        if not self._ready.is_set():
            self._become(ServerState.RUNNING, f"It showed no ready line within {limit:.0f} s, but its process runs.")
            self._ready.set()
        return ""

    async def _stop(self, order: Order) -> str:
        if not (await self._runtime.inspect(self.uuid)).running:
            self._finish(Exit(None), "It was not running.")
            return ""
        self._queue.progress(order, PowerPhase.STOPPING)
        self._become(ServerState.STOPPING, "A stop was asked for.", order=order)
        try:
            await self._ask_to_stop()
        except ProcessGone:
            log.debug("%s was gone before it could be asked to stop", self.uuid)
        if await self._wait_gone(self._config.power.stop_timeout):
            return ""
        self.notice(f"It did not stop within {self._config.power.stop_timeout:.0f} s and is killed.")
        await self._kill(order)
        return f"It did not stop within {self._config.power.stop_timeout:.0f} s, so it was killed."

    async def _restart(self, order: Order) -> str:
        if self.state is not ServerState.OFFLINE:
            await self._stop(order)
        return await self._start(order)

    async def _kill(self, order: Order) -> str:
        if (await self._runtime.inspect(self.uuid)).running:
            self._become(ServerState.STOPPING, "It is being killed.", order=order)
            with contextlib.suppress(ProcessGone):
                await self._runtime.kill(self.uuid)
            await self._wait_gone(self._config.power.kill_timeout)
        shown = await self._runtime.inspect(self.uuid)
        if shown.running:
            self._become(ServerState.RUNNING, "It could not be killed: its process still runs.", order=order)
            raise RuntimeFailure("The process does not end, even when killed.", hint="Look at the node: its disk or its Docker may hang.")
        self._finish(_end_of(shown), "It was killed.")
        return ""

    async def _ask_to_stop(self) -> None:
        stop = self.configuration.process_configuration.stop
        if stop.type == StopType.COMMAND and stop.value and self._attachment is not None:
            await self._attachment.write(stop.value.encode() + b"\n")
        elif stop.type == StopType.SIGNAL or (stop.type == "" and stop.value):
            await self._runtime.signal(self.uuid, signal_name(stop.value))
        else:
            await self._runtime.stop(self.uuid)

    async def _sync_before_start(self) -> None:
        self.configuration = await self._refresh(self.uuid)
        settings = self.configuration.settings
        self._detector = ReadyDetector(self.configuration.process_configuration.startup)
        if settings.aerie_players is not None:
            self._players = Players(settings.aerie_players)
        if self.suspended:
            raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")

    async def _prepare_folder(self) -> None:
        system = self._config.system

        def prepare() -> int:
            self.folder.mkdir(parents=True, exist_ok=True)
            if system.check_permissions_on_boot and os.geteuid() == 0:
                _own(self.folder, system.uid, system.gid)
            return usage(self.folder) if limit else 0

        limit = self.configuration.settings.build.disk_space * 1024 * 1024
        try:
            used = await asyncio.to_thread(prepare)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull("The node's disk is full.", hint="Free space on the node, then try again.") from error
            raise RuntimeFailure(f"The server's folder cannot be prepared: {error.strerror}.", hint="Look at the node's disk.") from error
        if limit:
            self._disk = used
        if limit and used > limit:
            raise DiskFull(
                f"The server's files take {used // 1_048_576} MiB, more than its {limit // 1_048_576} MiB.", hint="Delete files first."
            )

    async def _abandon(self, why: str, code: str, order: Order) -> None:
        """A start failed: leave nothing half started behind, and say why. Never counts as a crash."""
        self._failure = (why, code)
        self._become(ServerState.STOPPING, why, code, order)
        with contextlib.suppress(AerieError):
            await self._runtime.kill(self.uuid)
        self._finish(Exit(None))
        self._failure = ("", "")

    # What happens by itself

    def _hold(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._watchers = [
            self._tasks.spawn("console", self._pump(attachment)),
            self._tasks.spawn("stats", self._measure()),
            self._tasks.spawn("exits", self._heed_exits()),
        ]

    async def _heed_exits(self) -> None:
        with self._runtime.exits().listen() as exits:
            async for death in exits:
                if death.uuid == self.uuid:
                    self._tasks.spawn("died", self.died(death.exit))

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
                await self._clock.sleep(_RECHECK_SECONDS)
            while self._catching is not None:  # what was caught must be read in first
                await self._clock.sleep(0.05)
            if not shown.running:
                self.console.end()
                self._finish(_end_of(shown))
                return
            began = self._clock.now()
            try:
                self._attachment = attachment = await self._runtime.attach(self.uuid)
            except AerieError as error:
                self.reason = f"Its console was lost: {error.message}"
                await self._clock.sleep(_RECHECK_SECONDS)
                continue
            self._catching = []
            self._tasks.spawn("catch up", self._catch_up(began, shown.started_at or began))

    async def _settled_inspection(self) -> Inspection | None:
        """The engine may still say `running` for a moment after the terminal closed. None when it does not answer."""
        shown = None
        for _ in range(20):
            try:
                shown = await self._runtime.inspect(self.uuid)
            except AerieError as error:
                self.reason = error.message
                return None
            if not shown.running:
                return shown
            await self._clock.sleep(0.05)
        return shown

    async def _measure(self) -> None:
        walked = -DISK_SECONDS
        while True:
            await self._clock.sleep(SAMPLE_SECONDS)
            with contextlib.suppress(AerieError):
                self._sample = await self._runtime.sample(self.uuid)
            if self._clock.monotonic() - walked >= DISK_SECONDS:
                walked = self._clock.monotonic()
                self._disk = await asyncio.to_thread(usage, self.folder)
                self._heed_disk_limit()
            if self.state is not ServerState.OFFLINE:
                self.events.publish(self.stats())
            if self.console.last_seq != self._saved_seq:
                self._changed()

    def _heed_disk_limit(self) -> None:
        limit = self.configuration.settings.build.disk_space * 1024 * 1024
        if limit and self._disk > limit and not self._queue.busy() and self.state is ServerState.RUNNING:
            self.notice("Its files take more than its disk limit; it is being stopped.")
            self._stop_within(QUICK_STOP_SECONDS)

    def _stop_within(self, limit: float) -> None:
        """Stop of the agent's own accord: asked first, killed when the limit (seconds) passes."""

        async def kill_late() -> None:
            if not await self._wait_gone(limit):
                with contextlib.suppress(AerieError):
                    self._queue.send(PowerSignal.KILL)

        with contextlib.suppress(AerieError):
            self._queue.send(PowerSignal.STOP)
            self._tasks.spawn("late kill", kill_late())

    def _watch(self, lines: list[str]) -> None:
        if self._players.known:
            for line in lines:
                self._players.see(line)
        if self.state is ServerState.STARTING and not self._ready.is_set() and any(map(self._detector.sees, lines)):
            self._ready.set()
            self._become(ServerState.RUNNING, "Its console showed the ready line.")

    def _finish(self, ended: Exit, why: str = "", code: str = "") -> None:
        """The process is gone. Comes from several sides; only the first counts."""
        was, order = self.state, self._queue.current
        if not why:
            why, code = self._failure
        already = self._gone.is_set()
        self._gone.set()
        if was is ServerState.OFFLINE:
            return
        if not already:
            self.last_exit = LastExit(code=ended.code, oom_killed=ended.oom_killed, at=self._clock.now())
        for task in self._watchers:
            if task is not asyncio.current_task():
                task.cancel()
        if self._attachment is not None:
            self._tasks.spawn("let go", self._attachment.close())
        self._watchers, self._attachment, self._sample, self._catching = [], None, None, None
        self._players.clear()
        crashed = was in (ServerState.STARTING, ServerState.RUNNING) and not already and (order is None or order.overtaken_by is None)
        verdict = (
            self._crashes.judge(ended, self._clock.monotonic(), enabled=self.configuration.settings.crash_detection_enabled)
            if crashed and not why
            else None
        )
        asked = "It was killed." if order and order.signal is PowerSignal.KILL else "It stopped, as asked."
        told = why or (verdict.words if verdict else asked if was is ServerState.STOPPING else "Its process ended.")
        if ended.reason:
            told = f"{told} ({ended.reason})"
        self._become(ServerState.OFFLINE, told, code, order, ended)
        self.events.publish(self.stats())
        if verdict is not None:
            self.notice(verdict.words)
            if verdict.restart:
                self._tasks.spawn("restart after crash", self._start_again())

    async def _start_again(self) -> None:
        await self._queue.idle()
        with contextlib.suppress(AerieError):
            self.power(PowerSignal.START)

    def _become(self, state: ServerState, reason: str, code: str = "", order: Order | None = None, ended: Exit | None = None) -> None:
        previous, self.state = self.state, state
        self.reason = reason
        if previous is state:
            return
        self.state_since = self._clock.now()
        order = order or self._queue.current
        self.events.publish(
            StateChange(
                state=state,
                previous=previous,
                reason=reason,
                code=code,
                at=self.state_since,
                signal_id=order.id if order else "",
                exit_code=ended.code if ended else None,
                oom_killed=ended.oom_killed if ended else False,
            )
        )
        self._changed()

    def _pull_progress(self, words: str) -> None:
        self.events.publish(DaemonNotice(Outbound.INSTALL_OUTPUT, words))

    def _waiter(self, event: asyncio.Event) -> "asyncio.Task[Any]":
        return self._tasks.spawn("wait", event.wait())

    async def _wait_gone(self, limit: float) -> bool:
        """Wait for the process's end; when the limit passes the engine has the last word."""
        try:
            async with asyncio.timeout(limit):
                await self._gone.wait()
                return True
        except TimeoutError:
            shown = await self._runtime.inspect(self.uuid)
            if not shown.running:
                self._finish(_end_of(shown))
            return not shown.running

    async def _uninterrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Let an engine call end before an overtaking signal takes over: a call cut in half could still start the game behind our back."""

        async def outcome() -> T | AerieError:
            try:
                return await work
            except AerieError as error:
                return error

        task = self._tasks.spawn("engine call", outcome())
        try:
            ended = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=self._config.power.start_timeout)
            raise
        if isinstance(ended, AerieError):
            raise ended
        return ended


def _end_of(shown: Inspection) -> Exit:
    return shown.exit or Exit(None, reason="" if shown.exists else "its container was removed")


def _own(folder: Path, uid: int, gid: int) -> None:
    """Give the whole folder to the game's user, following no links."""
    os.chown(folder, uid, gid, follow_symlinks=False)
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                os.chown(Path(where) / name, uid, gid, follow_symlinks=False)
