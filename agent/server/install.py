"""Installations of this node's servers: begun, ended early, reported, and cleaned up after an agent that died in the middle.

Each ends with exactly one outcome, which reaches the control plane through the outbox: whatever happens, a server is never left
"installing". Knows nothing of what a script does; that is install_script.py.
"""

import asyncio
import contextlib
import errno
import logging
import os
import shutil
from dataclasses import dataclass
from typing import Protocol

from agent.filesystem.ownership import hand_over
from agent.outbox import Outbox
from agent.runtime.installer import name_of
from agent.runtime.runtime import Runtime
from agent.server.install_note import InstallNote, InstallNotes
from agent.server.install_script import ScriptRun, notes_folder, scripts_of
from agent.server.server import Server
from agent.server.standing import DaemonNotice
from core.clock import Clock
from core.config import AgentConfig
from core.errors import AerieError, Conflict, DiskFull, RuntimeFailure, ServerBusy, ServerSuspended
from core.protocol.remote import InstallReport, InstallScript
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import Outbound
from core.supervise import Supervisor
from core.vocabulary import PowerSignal

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""What a running server is given to stop before it is killed (Wings)."""
AGAIN_SECONDS = 5.0
"""Between two tries to keep an outcome that the disk did not take."""
_END_SECONDS = 30.0
"""How long ending an installation early may take."""


class ScriptSource(Protocol):
    """What an installation asks the control plane."""

    async def server(self, uuid: str) -> ServerConfiguration: ...

    async def install_script(self, uuid: str) -> InstallScript: ...


@dataclass
class _Installation:
    server: Server
    reinstall: bool
    start: bool
    work: asyncio.Task[str] | None = None
    whole: asyncio.Task[None] | None = None
    ended: str = ""
    """Why it is ended early, when it is."""
    silent: bool = False
    """Whether nobody is to be told, because the server goes or we do."""


class Installer:
    """The node's installations, at most one per server."""

    def __init__(
        self, runtime: Runtime, source: ScriptSource, outbox: Outbox, config: AgentConfig, clock: Clock, tasks: Supervisor
    ) -> None:
        self._runtime = runtime
        self._source = source
        self._outbox = outbox
        self._config = config
        self._clock = clock
        self._tasks = tasks
        self._notes = InstallNotes(notes_folder(config))
        self._running: dict[str, _Installation] = {}

    def begin(self, server: Server, *, reinstall: bool, start: bool = False) -> None:
        """Install in the background. Raises ServerBusy, ServerSuspended or Conflict now."""
        if server.uuid in self._running:
            raise ServerBusy("The server is already being installed.", hint="Wait until that is done, or end it with kill.")
        if server.suspended:
            raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")
        if server.power_busy:
            raise Conflict("A power action is under way.", hint="Wait until it is done, then install.")
        made = self._running[server.uuid] = _Installation(server, reinstall, start)
        server.end_installation = lambda why: self._end(made, why)
        made.whole = self._tasks.spawn("install", self._whole(made))

    async def end(self, uuid: str, why: str) -> None:
        """End a server's installation, if there is one, without telling anybody, and wait until nothing of it is left."""
        if (made := self._running.get(uuid)) is not None and made.whole is not None:
            made.silent = True
            self._end(made, why)
            await asyncio.wait({made.whole}, timeout=_END_SECONDS)

    async def close(self) -> None:
        """The agent ends: so do installations; the next agent reports them as failed."""
        for made in list(self._running.values()):
            made.silent = True
            if made.whole is not None:
                made.whole.cancel()
                await asyncio.wait({made.whole}, timeout=_END_SECONDS)

    async def recover(self, servers: list[Server]) -> None:
        """After a start: what an earlier agent left half done is removed and reported as failed. Raises nothing."""
        known = {server.uuid: server for server in servers}
        for note in await asyncio.to_thread(self._notes.all):
            outcome = note.outcome or InstallReport(
                successful=False, reinstall=note.reinstall, aerie_reason="The agent ended while it was being installed. Install it again."
            )
            try:
                await self._runtime.destroy(name_of(note.uuid))
                await asyncio.to_thread(shutil.rmtree, scripts_of(self._config, note.uuid), ignore_errors=True)
                await self._report(note.uuid, outcome)
            except (AerieError, OSError) as error:
                log.error("what is left of the installation of %s cannot be cleared away: %s", note.uuid, error)
                continue
            if (server := known.get(note.uuid)) is not None:
                server.install_failed = not outcome.successful
                if outcome.aerie_reason:
                    server.explain(outcome.aerie_reason)
        with contextlib.suppress(AerieError):
            for uuid in known.keys() & set(await self._runtime.installers()):
                await self._runtime.destroy(name_of(uuid))

    def _end(self, made: _Installation, why: str) -> None:
        made.ended = made.ended or why
        if made.work is not None:
            made.work.cancel()

    async def _whole(self, made: _Installation) -> None:
        uuid = made.server.uuid
        try:
            outcome = await self._outcome(made)
            if not made.silent:
                await self._keep(uuid, outcome)
            elif made.ended:
                await asyncio.to_thread(self._notes.remove, uuid)
        finally:
            self._running.pop(uuid, None)
            made.server.end_installation = None
        if not made.silent:
            self._tell(made, outcome)

    async def _outcome(self, made: _Installation) -> InstallReport:
        """What came of it. Raises nothing but the agent's own end."""
        words = ""
        try:
            await asyncio.to_thread(self._notes.write, InstallNote(uuid=made.server.uuid, reinstall=made.reinstall))
            made.work = self._tasks.spawn("install work", self._work(made))
            if made.ended:
                made.work.cancel()
            done = await self._finished(made.work)
            successful = done is not None
            words = done or ("" if successful else made.ended or "It was ended.")
        except AerieError as error:
            successful, words = False, str(error)
        except OSError as error:
            successful, words = False, f"The node's disk refused it: {error.strerror}."
        log.info("installation of %s: %s", made.server.uuid, words or "done")
        made.server.install_failed = not successful
        if words:
            made.server.explain(words if successful else f"It could not be installed. {words}")
        return InstallReport(successful=successful, reinstall=made.reinstall, aerie_reason=None if successful else words)

    @staticmethod
    async def _finished(work: "asyncio.Task[str]") -> str | None:
        """The work's words, or None when it was ended early; our own end ends it too."""
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work}, timeout=_END_SECONDS)
            raise
        return None if work.cancelled() else work.result()

    async def _keep(self, uuid: str, outcome: InstallReport) -> None:
        """See to it that the control plane hears of it, now or after any crash."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._notes.write, InstallNote(uuid=uuid, reinstall=outcome.reinstall, outcome=outcome))
        try:
            await self._report(uuid, outcome)
        except (AerieError, OSError) as error:
            log.error("the outcome of the installation of %s is told later: %s", uuid, error)
            self._tasks.spawn("tell later", self._report_later(uuid, outcome))

    async def _report_later(self, uuid: str, outcome: InstallReport) -> None:
        """A disk that is full now may not be so soon."""
        while True:
            await self._clock.sleep(AGAIN_SECONDS)
            try:
                await self._report(uuid, outcome)
            except (AerieError, OSError) as error:
                log.debug("the outcome of the installation of %s still waits: %s", uuid, error)
            else:
                return

    @staticmethod
    def _tell(made: _Installation, outcome: InstallReport) -> None:
        if not outcome.successful:
            made.server.events.publish(DaemonNotice(Outbound.DAEMON_MESSAGE, f"It could not be installed. {outcome.aerie_reason}"))
        made.server.events.publish(DaemonNotice(Outbound.INSTALL_COMPLETED, ""))
        if outcome.successful and made.start:
            with contextlib.suppress(AerieError):
                made.server.power(PowerSignal.START)

    async def _report(self, uuid: str, outcome: InstallReport) -> None:
        await self._outbox.put(f"/servers/{uuid}/install", outcome.model_dump(exclude_none=True), stream=uuid)
        await asyncio.to_thread(self._notes.remove, uuid)

    async def _work(self, made: _Installation) -> str:
        """Everything between. Answers what people should know beside that it succeeded; raises AerieError."""
        server = made.server
        fresh = await self._source.server(server.uuid)
        await server.sync(fresh)
        if server.suspended:
            raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")
        if not await server.stopped_within(STOP_SECONDS):
            raise RuntimeFailure("The server did not stop, even when killed.", hint="Look at the node: its disk or its Docker may hang.")
        try:
            await asyncio.to_thread(server.disk.prepare)
            server.disk.begin()
            words = await self._install(server, fresh)
            await self._hand_over(server)
        except OSError as error:
            raise RuntimeFailure(f"The server's folder cannot be prepared: {error.strerror}.", hint="Look at the node's disk.") from error
        finally:
            server.disk.end()
        return words

    async def _install(self, server: Server, fresh: ServerConfiguration) -> str:
        if fresh.settings.skip_egg_scripts:
            return ""
        server.events.publish(DaemonNotice(Outbound.INSTALL_STARTED, ""))
        script = await self._source.install_script(server.uuid)
        if not script.script.strip():
            return ""
        if not self._runtime.runs_scripts:
            raise RuntimeFailure(
                "Its egg has an install script, which needs Docker, and this node runs games as plain processes.",
                hint="Make the server on a node with Docker, or with the script skipped.",
            )
        server.events.publish(DaemonNotice(Outbound.DAEMON_MESSAGE, "The install script is run, this may take some minutes."))

        def say(line: str) -> None:
            server.console.installing(line)
            server.events.publish(DaemonNotice(Outbound.INSTALL_OUTPUT, line))

        await ScriptRun(fresh, script, server.folder, self._runtime, self._config, self._clock, say).run()
        return ""

    async def _hand_over(self, server: Server) -> None:
        """The files belong to the game's user from now on, whoever wrote them."""
        owner = self._runtime.owner(server.uuid)

        def give() -> None:
            server.folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                hand_over(server.folder, *owner)

        try:
            await asyncio.to_thread(give)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull("The node's disk is full.", hint="Free space on the node, then install again.") from error
            raise RuntimeFailure(f"The server's files cannot be handed to its user: {error.strerror}.") from error
