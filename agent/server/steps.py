"""The steps that power signals take: start, stop, restart, kill. Each answers what people should know beside the new state, mostly nothing.

The engine is the truth: whatever a step waited for, in the end the state is read again from it. Every wait has a limit (`[power]`).
Must never refuse a signal: that was done when it was accepted.
"""

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from agent.config_files.rewrite import rewrite_below
from agent.filesystem.ownership import hand_over
from agent.remote import ControlPlaneAway
from agent.runtime.runtime import Exit, Inspection, Runtime
from agent.server.power import Order, PowerQueue
from agent.server.pulling import PullTold
from agent.server.signals import signal_name
from agent.server.standing import Standing, end_of
from agent.server.stats import Stats
from agent.server.terminal import Terminal
from core.clock import Clock
from core.config import AgentConfig
from core.errors import AerieError, DiskFull, EngineUnreachable, ProcessGone, RuntimeFailure, ServerSuspended
from core.protocol.settings import ServerConfiguration
from core.supervise import Supervisor
from core.vocabulary import PowerPhase, PowerSignal, ServerState, StopType

log = logging.getLogger(__name__)

T = TypeVar("T")

_RECHECK_SECONDS = 2.0
REWRITE_SECONDS = 60.0
"""Most that configuration files may hold up a start."""


class Finish(Protocol):
    """What to do once the process has ended; only the first call for one process counts."""

    def __call__(self, ended: Exit, why: str = "", code: str = "") -> None: ...


class Steps:
    """What one server does when asked. `queue` takes the signals."""

    def __init__(
        self,
        standing: Standing,
        terminal: Terminal,
        stats: Stats,
        runtime: Runtime,
        config: AgentConfig,
        clock: Clock,
        tasks: Supervisor,
        refresh: Callable[[str], Awaitable[ServerConfiguration]],
        finish: Finish,
        wished: Callable[[PowerSignal | None], None] = lambda _: None,
    ) -> None:
        self._standing = standing
        self._terminal = terminal
        self._stats = stats
        self._runtime = runtime
        self._config = config
        self._clock = clock
        self._tasks = tasks
        self._refresh = refresh
        self._finish = finish
        self._pull_told = PullTold(standing.events.publish, terminal.console.add_notice)
        self._rechecking: asyncio.Task[None] | None = None
        self.queue = PowerQueue(
            {
                PowerSignal.START: self._guarded(self._start),
                PowerSignal.STOP: self._guarded(self._stop),
                PowerSignal.RESTART: self._guarded(self._restart),
                PowerSignal.KILL: self._guarded(self._kill),
            },
            lambda: standing.state,
            standing.events.publish,
            clock,
            tasks,
            wished,
        )

    def close(self) -> None:
        self.queue.close()
        if self._rechecking is not None:
            self._rechecking.cancel()

    async def wait_gone(self, limit: float) -> bool:
        """Wait for the process's end; when the limit (seconds) passes the engine has the last word."""
        try:
            async with asyncio.timeout(limit):
                await self._standing.gone.wait()
                return True
        except TimeoutError:
            shown = await self._runtime.inspect(self._standing.uuid)
            if not shown.running:
                self._finish(end_of(shown))
            return not shown.running

    async def take_hold(self, why: str, shown: Inspection | None = None) -> None:
        """Take hold of a process that runs already, and read what it said before. `shown` is how it was found, just now."""
        shown = shown or await self._runtime.inspect(self._standing.uuid)
        began = await self._terminal.attach_running(lambda: self._standing.become(ServerState.RUNNING, why))
        self._standing.began_at = shown.started_at or began
        await self._terminal.catch_up(began, shown.started_at or began)

    def stop_within(self, limit: float) -> None:
        """Stop of the agent's own accord: asked first, killed when the limit (seconds) passes."""

        async def kill_late() -> None:
            if not await self.wait_gone(limit):
                with contextlib.suppress(AerieError):
                    self.queue.send(PowerSignal.KILL)

        with contextlib.suppress(AerieError):
            self.queue.send(PowerSignal.STOP)
            self._tasks.spawn("late kill", kill_late())

    def heed_typed_stop(self, why: str = "Its stop command was typed at the console.") -> None:
        """Somebody typed the stop command: stopping, unless the process still runs when a stop's limit has passed."""

        async def heed() -> None:
            if not await self.wait_gone(self._config.power.stop_timeout) and not self.queue.busy():
                self._standing.become(ServerState.RUNNING, "Its stop command was typed, but its process still runs.")

        self._standing.become(ServerState.STOPPING, why)
        self._tasks.spawn("typed stop", heed())

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
        if self._standing.between and (self._rechecking is None or self._rechecking.done()):
            self._rechecking = self._tasks.spawn("recheck", self._recheck())

    async def _recheck(self) -> None:
        """No signal is under way, yet the state says so: ask the engine until it answers, and believe it."""
        while self._standing.between:
            await self._clock.sleep(_RECHECK_SECONDS)
            if self.queue.busy():
                continue
            try:
                shown = await self._runtime.inspect(self._standing.uuid)
            except AerieError as error:
                self._standing.reason = f"{error.message} The state will be read again."
                continue
            if self.queue.busy():
                continue
            if not shown.running:
                self._finish(end_of(shown), "The engine says that it does not run.")
            elif self._terminal.attached:
                self._standing.become(ServerState.RUNNING, "The engine says that its process still runs.")
            else:
                with contextlib.suppress(AerieError):
                    await self.take_hold("The engine says that its process still runs.")

    async def _start(self, order: Order) -> str:
        if (await self._runtime.inspect(self._standing.uuid)).running:  # never start it twice, nor end what runs (Wings)
            if not self._terminal.attached:
                await self.take_hold("It ran already.")
            return "It ran already."
        self.queue.progress(order, PowerPhase.STARTING)
        self._standing.become(ServerState.STARTING, "A start was asked for.", order=order)
        try:
            await self._sync_before_start()
            await self._prepare_folder()
            await self._rewrite_files()
            await self._runtime.ensure_image(self._standing.configuration, self._pull_told)
            await self._launch()
        except AerieError as error:
            await self._abandon(str(error), error.code, order)
            raise
        return await self._await_ready()

    async def _launch(self) -> None:
        """From the container to the process. One that served before and does not start any more is made anew, once."""
        standing, runtime = self._standing, self._runtime
        for anew in (False, True):
            made = await self._uninterrupted(runtime.create(standing.configuration, standing.folder, anew=anew))
            for note in made.notes:
                log.warning("%s: %s", standing.uuid, note)
                self._terminal.console.add_notice(note)
            await self._uninterrupted(self._terminal.attach_fresh())
            try:
                await self._uninterrupted(runtime.start(standing.uuid))
                return
            except EngineUnreachable:
                raise
            except RuntimeFailure as error:
                if not made.kept:
                    raise
                log.warning("%s: its container is made anew: %s", standing.uuid, error)
                self._terminal.let_go()

    async def _await_ready(self) -> str:
        standing, limit = self._standing, self._config.power.ready_timeout
        if not self._terminal.detector.knows:
            standing.become(ServerState.RUNNING, "Its egg has no ready line, so it counts as running once it is started.")
            standing.ready.set()
            return ""
        ready, gone = self._waiter(standing.ready), self._waiter(standing.gone)
        try:
            await asyncio.wait({ready, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            gone.cancel()
        if standing.gone.is_set():
            code = standing.last_exit.code if standing.last_exit else None
            raise RuntimeFailure(f"Its process ended before it was ready (exit code {code}).", hint="The console's last lines say why.")
        if not standing.ready.is_set():
            standing.become(ServerState.RUNNING, f"It showed no ready line within {limit:.0f} s, but its process runs.")
            standing.ready.set()
        return ""

    async def _stop(self, order: Order) -> str:
        if not (await self._runtime.inspect(self._standing.uuid)).running:
            self._finish(Exit(None), "It was not running.")
            return ""
        self.queue.progress(order, PowerPhase.STOPPING)
        self._standing.become(ServerState.STOPPING, "A stop was asked for.", order=order)
        try:
            await self._ask_to_stop()
        except ProcessGone:
            log.debug("%s was gone before it could be asked to stop", self._standing.uuid)
        limit = self._config.power.stop_timeout
        if await self.wait_gone(limit):
            return ""
        self._terminal.console.add_notice(f"It did not stop within {limit:.0f} s and is killed.")
        await self._kill(order)
        return f"It did not stop within {limit:.0f} s, so it was killed."

    async def _restart(self, order: Order) -> str:
        if not self._standing.offline or (await self._runtime.inspect(self._standing.uuid)).running:
            await self._stop(order)
        return await self._start(order)

    async def _kill(self, order: Order) -> str:
        uuid = self._standing.uuid
        if (await self._runtime.inspect(uuid)).running:
            self._standing.become(ServerState.STOPPING, "It is being killed.", order=order)
            with contextlib.suppress(ProcessGone):
                await self._runtime.kill(uuid)
            await self.wait_gone(self._config.power.kill_timeout)
        shown = await self._runtime.inspect(uuid)
        if shown.running:
            self._standing.become(ServerState.RUNNING, "It could not be killed: its process still runs.", order=order)
            raise RuntimeFailure("The process does not end, even when killed.", hint="Look at the node: its disk or its Docker may hang.")
        self._finish(end_of(shown), "It was killed.")
        return ""

    async def _ask_to_stop(self) -> None:
        stop = self._standing.configuration.process_configuration.stop
        if stop.type == StopType.COMMAND and stop.value and self._terminal.attached:
            await self._terminal.type(stop.value)
        elif stop.type == StopType.SIGNAL or (stop.type == "" and stop.value):
            await self._runtime.signal(self._standing.uuid, signal_name(stop.value))
        else:
            await self._runtime.stop(self._standing.uuid)

    async def _sync_before_start(self) -> None:
        try:
            self._standing.configuration = await self._refresh(self._standing.uuid)
        except ControlPlaneAway as error:
            log.warning("%s is started with the settings last received: %s", self._standing.uuid, error)
            self._terminal.console.add_notice("The control plane does not answer; starting with the settings it last sent.")
        self._terminal.learn(keep_players=self._standing.configuration.settings.aerie_players is None)
        if self._standing.suspended:
            raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")

    async def _prepare_folder(self) -> None:
        system, folder = self._config.system, self._standing.folder
        owner = self._runtime.owner(self._standing.uuid)

        def prepare() -> None:
            self._stats.disk.prepare()
            if os.geteuid() == 0 and (system.check_permissions_on_boot or folder.stat().st_uid != owner[0]):
                hand_over(folder, *owner)

        try:
            await asyncio.to_thread(prepare)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull("The node's disk is full.", hint="Free space on the node, then try again.") from error
            raise RuntimeFailure(f"The server's folder cannot be prepared: {error.strerror}.", hint="Look at the node's disk.") from error

    async def _rewrite_files(self) -> None:
        """As the egg wants its configuration files; what was left alone is told at the console, and the start goes on (Wings)."""
        configs = self._standing.configuration.process_configuration.configs
        if not configs:
            return
        owner = self._runtime.owner(self._standing.uuid)
        work = asyncio.to_thread(rewrite_below, self._standing.folder, owner, configs, self._runtime.gateway)
        try:
            for trouble in await asyncio.wait_for(work, REWRITE_SECONDS):
                log.warning("%s: %s", self._standing.uuid, trouble)
                self._terminal.console.add_notice(str(trouble))
        except TimeoutError:
            self._terminal.console.add_notice(
                f"Its configuration files were not rewritten within {REWRITE_SECONDS:.0f} s; it starts all the same."
            )

    async def _abandon(self, why: str, code: str, order: Order) -> None:
        """A start failed: leave nothing half started behind, and say why. Never counts as a crash.

        An engine that does not answer leaves it stopping, until it says how things stand.
        """
        self._standing.failure = (why, code)
        self._standing.become(ServerState.STOPPING, why, code, order)
        try:
            await self._runtime.kill(self._standing.uuid)
            if not (await self._runtime.inspect(self._standing.uuid)).running or await self.wait_gone(self._config.power.kill_timeout):
                self._finish(Exit(None))
        except AerieError as error:
            log.warning("%s: a failed start could not be cleared away yet: %s", self._standing.uuid, error)
        self._standing.failure = ("", "")

    def _waiter(self, event: asyncio.Event) -> "asyncio.Task[Any]":
        return self._tasks.spawn("wait", event.wait())

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
