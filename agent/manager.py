"""Which servers live here: learned from the control plane, restored at boot, created and deleted on its word; their states kept on disk."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from agent.filesystem.disks import Disks
from agent.history.history import History
from agent.outbox import Outbox
from agent.remote import Remote
from agent.runtime.runtime import EngineLost, Runtime
from agent.server.install import Installer
from agent.server.sampling import sample_for_ever
from agent.server.server import Server
from agent.server.standing import SavedState
from agent.server.start_gate import StartGate
from agent.server.states import StatesFile
from core.clock import Clock
from core.config import AgentConfig
from core.errors import AerieError, Conflict, NotFound
from core.protocol.agent import CreateServer
from core.protocol.settings import ServerConfiguration
from core.supervise import Supervisor

log = logging.getLogger(__name__)

RESTORE_AT_ONCE = 64
"""Mostly waiting: for the engine, and for its log to be as far as the console."""
RETRY_SECONDS = 10.0


class ServerManager:
    """The node's servers by uuid."""

    def __init__(
        self, config: AgentConfig, runtime: Runtime, remote: Remote, outbox: Outbox, history: History, clock: Clock, tasks: Supervisor
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._remote = remote
        self.history = history
        """What the consoles said."""
        self._clock = clock
        self._tasks = tasks
        self._installer = Installer(runtime, remote, outbox, config, clock, tasks)
        self._disks = Disks(config.system, clock, tasks)
        self._servers: dict[str, Server] = {}
        self._states = StatesFile(config.system.root_directory / "states.json", self.all, clock)
        self._gate = StartGate(config.power.own_starts_at_once)
        self._unheard = False
        """Whether the control plane is still to be told that we have booted."""
        self.greet: Callable[[Server], None] = lambda server: None
        """Told of each server that comes to live here, before anything is done with it; given by the app."""
        self.ready = asyncio.Event()
        """Set once every known server was looked at."""

    def all(self) -> list[Server]:
        return list(self._servers.values())

    def get(self, uuid: str) -> Server:
        """Raises NotFound."""
        try:
            return self._servers[uuid]
        except KeyError:
            raise NotFound("This node has no such server.") from None

    async def boot(self) -> None:
        """Learn the servers and find out how each stands. Goes on with what is remembered while the control plane is away."""
        saved = await asyncio.to_thread(self._states.read)
        await self._disks.open()
        try:
            configurations: Mapping[str, ServerConfiguration] = {entry.uuid: entry for entry in await self._remote.servers()}
        except AerieError as error:
            log.error("%s Going on with the servers known from before.", error)
            configurations = await asyncio.to_thread(self._remote.remembered)
            self._unheard = True
            self._tasks.run("ask the control plane again", self._learn_later)
        else:
            with contextlib.suppress(AerieError):
                await self._remote.reset()
        await self._adopt(configurations, saved)
        if not self._unheard:
            try:
                await self._runtime.tidy(configurations.keys())
            except AerieError as error:
                log.warning("networks of earlier servers could not be removed: %s", error)
        await self._installer.recover(self.all())
        self.ready.set()
        self._tasks.run("states", self._states.run)
        self._tasks.run("stats", lambda: sample_for_ever(self._runtime, self.all, self._clock))
        self._tasks.run("disks", self._disks.follow)
        self._tasks.run("engine", self._follow_engine)

    async def _learn_later(self) -> None:
        while True:
            await self._clock.sleep(RETRY_SECONDS)
            try:
                entries = await self._remote.servers()
                await self._remote.reset()
            except AerieError as error:
                log.warning("%s", error)
                continue
            self._unheard = False
            known = {entry.uuid: entry for entry in entries}
            await self._adopt({uuid: known[uuid] for uuid in known.keys() - self._servers.keys()}, {})
            for uuid in known.keys() & self._servers.keys():
                await self._servers[uuid].sync(known[uuid])
            return

    async def _adopt(self, configurations: Mapping[str, ServerConfiguration], saved: dict[str, SavedState]) -> None:
        gate = asyncio.Semaphore(RESTORE_AT_ONCE)
        ended: list[Server] = []

        async def restore(server: Server) -> None:
            async with gate:
                try:
                    if await server.restore(saved.get(server.uuid)):
                        ended.append(server)
                except AerieError as error:
                    log.error("server %s could not be restored: %s", server.uuid, error)
                    server.notice(f"It could not be restored: {error}")

        made = [self._made(configuration) for configuration in configurations.values()]
        await asyncio.gather(*(restore(server) for server in made))
        for server in sorted(ended, key=lambda server: server.configuration.settings.meta.name.casefold()):
            server.start_again()

    async def _follow_engine(self) -> None:
        """Each server is told what the engine says of its container, whoever caused it."""
        with self._runtime.exits().listen(capacity=100_000) as events:
            async for event in events:
                told = self.all() if isinstance(event, EngineLost) else [self._servers[event.uuid]] if event.uuid in self._servers else []
                for server in told:
                    server.heed(event)

    def _made(self, configuration: ServerConfiguration) -> Server:
        uuid, refresh = configuration.settings.uuid, self._remote.server

        def changed() -> None:
            self._states.changed(uuid)

        server = Server(configuration, self._runtime, self._config, self._clock, self._tasks, refresh, changed, self._gate, self._disks)
        server.console.begin(self.history.book(server.uuid))
        self._servers[server.uuid] = server
        self.greet(server)
        return server

    async def create(self, wanted: CreateServer) -> None:
        """Fetch a server's settings and install it. Asked again for one that is here, it is installed only if it never was, or failed.

        Raises Conflict while the control plane does not know yet that we have booted, and what `Installer.begin` raises.
        """
        self._heard()
        configuration = await self._remote.server(wanted.uuid)
        known = self._servers.get(wanted.uuid)
        installed = known is None or await asyncio.to_thread(known.folder.exists)
        server = self._servers.get(wanted.uuid)
        if server is not None and server.end_installation is not None:
            return
        if server is not None and not server.install_failed and installed:
            await server.sync(configuration)
            return
        self._installer.begin(server or self._made(configuration), reinstall=False, start=wanted.start_on_completion)

    def install(self, uuid: str, *, reinstall: bool) -> None:
        """Install again on the control plane's word. Raises ServerBusy, ServerSuspended or Conflict."""
        self._heard()
        self._installer.begin(self.get(uuid), reinstall=reinstall)

    def _heard(self) -> None:
        """Our boot ends every installation that the control plane knows of; so none may begin before it was told. Raises Conflict."""
        if self._unheard:
            raise Conflict(
                "The node has just started and is still asking the control plane for its servers.", hint="Try again in half a minute."
            )

    async def sync(self, uuid: str) -> None:
        """Read one server's settings anew."""
        await self.get(uuid).sync(await self._remote.server(uuid))

    async def delete(self, uuid: str) -> None:
        """Remove container and files. A container that cannot be removed leaves the server here, usable."""
        server = self.get(uuid)
        await self._installer.end(uuid, "The server was deleted.")
        await server.destroy()
        del self._servers[uuid]
        self._states.changed(uuid)
        await self.history.forget(uuid)
        await asyncio.to_thread(self._remote.forget, uuid)
        self._tasks.spawn("delete files", asyncio.to_thread(server.volume.remove))

    async def close(self) -> None:
        """Let go of all servers; they run on."""
        await self._installer.close()
        await self._states.save()
        for server in self.all():
            await server.close()
        self._disks.close()
