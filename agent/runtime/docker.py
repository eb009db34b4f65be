"""Containers on a Docker Engine, through aiodocker. A container bears its server's uuid as its name, as under Wings.

Beside it: docker_events.py (what the engine tells unasked), docker_attachment.py (a terminal), docker_errors.py (what refusals mean),
docker_records.py (Docker's JSON, read). Every driver error leaves here as a RuntimeFailure, with words for people.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiodocker import Docker, DockerError
from aiodocker.containers import DockerContainer

from agent.runtime import container, engine, installer, mounts, network, passwd
from agent.runtime.confinement import ROOTLESS_USER, Place
from agent.runtime.docker_attachment import DockerAttachment, attached
from agent.runtime.docker_errors import translated
from agent.runtime.docker_events import DockerEvents
from agent.runtime.docker_records import Life, facts, life, moment, stamp
from agent.runtime.image_name import read_image
from agent.runtime.images import Images
from agent.runtime.limits import Honoured, adjustment, honoured, limits
from agent.runtime.meters import Meters
from agent.runtime.owners import Owners
from agent.runtime.ownership import is_ours, leftover
from agent.runtime.runtime import Began, Died, EngineEvent, Exit, Inspection, Made, Progress, Sample
from agent.runtime.tenant_networks import TenantNetworks
from agent.runtime.variables import left_out
from core.clock import Clock
from core.config import AgentConfig, docker_host
from core.errors import Conflict, EngineUnreachable, ProcessGone
from core.fanout import Fanout
from core.protocol.agent import SystemV2
from core.protocol.remote import InstallScript
from core.protocol.settings import ServerConfiguration, ServerSettings
from core.supervise import Supervisor

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds an ordinary engine call may take."""


class DockerRuntime:
    """The Runtime of nodes."""

    def __init__(self, config: AgentConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._docker: Docker | None = None
        self._tasks = Supervisor("docker", clock)
        self._gateway = "127.0.0.1"
        self.owners = Owners(config.system)
        self.networks = TenantNetworks(config, docker_host(config.docker), clock)
        self._rootless = False
        self._passwd = config.system.root_directory / "passwd"
        self.host = docker_host(config.docker)
        self._terminals: dict[str, bool] = {}
        """Which containers have one, as far as they were looked at."""
        self._meters = Meters(self._life_of, self._stats_of, clock, self._tasks, cgroups=self.host.startswith("unix://"))
        self._images = Images(config.docker, clock, self._tasks)
        self._machine = Honoured()
        self._events = DockerEvents(self.inspect, clock, self._tasks)

    def exits(self) -> Fanout[EngineEvent]:
        return self._events.heard

    @property
    def docker(self) -> Docker:
        if self._docker is None:
            raise EngineUnreachable("The Docker Engine is not connected.", hint="Start the agent.")
        return self._docker

    @property
    def runs_scripts(self) -> bool:
        return True

    @property
    def gateway(self) -> str:
        return self._config.docker.interface or self._gateway

    def owner(self, uuid: str) -> tuple[int, int]:
        return self.owners.of(uuid)

    async def open(self) -> None:
        """Connect and make the network. Raises EngineUnreachable, and NotConfigured for an engine that cannot be this agent's."""
        self._docker = Docker(url=self.host)
        self._docker.connector._limit = 0  # each console holds a connection: at aiohttp's hundred the agent would wait for itself
        with self._translated():
            info = dict(await self.docker.system.info())
            self._config = engine.suited(self._config, info)
            self._rootless = engine.is_rootless(info)
            if self._rootless:
                engine.check_user(self.host)
            elif self.host.startswith("unix://"):
                self._machine = await asyncio.to_thread(honoured)
            self._gateway = network.gateway_of(await network.ensure(self.docker, self._config.docker)) or self._gateway
            obstacle = "the engine is rootless and has a network of its own" if self._rootless else ""
            await self.networks.open(self.docker, self.gateway, obstacle)
        if self._rootless and self.owners.own:
            self.owners = Owners(self._config.system, "the engine is rootless: its containers have its user's numbers alone")
        self._tasks.run("walls", self.networks.watch)
        self._tasks.run("meters", self._follow_lives)
        self._tasks.run("events", lambda: self._events.run(self.docker))

    async def close(self) -> None:
        self._events.close()
        self._meters.close()
        await self._tasks.close()
        self._events.heard.close()
        if self._docker is not None:
            await self._docker.close()
            self._docker = None

    async def facts(self, version: str = "") -> SystemV2:
        with self._translated():
            info = dict(await self.docker.system.info())
        return facts(info, version)

    async def ensure_image(self, configuration: ServerConfiguration, progress: Progress) -> None:
        image = read_image(configuration.settings.container.image)
        with self._translated(image=image.name):
            await self._images.ensure(self.docker, image, progress)

    async def create(self, configuration: ServerConfiguration, folder: Path, *, anew: bool = False) -> Made:
        settings = configuration.settings
        system = self._config.system
        own = (system.data, system.root_directory)
        accepted, notes = await asyncio.to_thread(mounts.allowed, settings.mounts, self._config.allowed_mounts, own)
        with self._translated(image=read_image(settings.container.image).name):
            place = await self._place(configuration)
            body = container.body(configuration, self._config, folder, place, self._machine, accepted)
            container.mark(body)
            kept = not anew and await self._serves_again(settings, body)
        if not kept:
            await self._remove(settings.uuid)
            with self._translated(image=read_image(settings.container.image).name):
                await asyncio.wait_for(self.docker.containers.create(body, name=settings.uuid), PATIENCE)
        self._events.known.add(settings.uuid)
        self._terminals[settings.uuid] = True
        return Made([*left_out(settings), *notes], kept)

    async def _serves_again(self, settings: ServerSettings, body: container.Json) -> bool:
        """Whether the container that is there is what would be made now: same settings, same image, and nothing written into it."""
        docker = self._config.docker
        try:
            shown, image = await asyncio.wait_for(
                asyncio.gather(self._container(settings.uuid).show(), self.docker.images.inspect(str(body["Image"]))), PATIENCE
            )
        except DockerError as error:
            if error.status == 404:
                return False
            raise
        if not container.same(dict(shown), body, str(image["Id"])):
            return False
        changed, waits = adjustment(shown["HostConfig"], limits(settings.build, docker, docker.container_pid_limit, self._machine))
        return not changed and not waits  # limits may have been changed while it ran

    async def adjust(self, configuration: ServerConfiguration) -> list[str]:
        settings, docker = configuration.settings, self._config.docker
        try:
            with self._translated():
                shown = await self._show(settings.uuid)
        except ProcessGone:
            return []
        if not shown["State"]["Running"]:
            return []
        told, waits = adjustment(shown["HostConfig"], limits(settings.build, docker, docker.container_pid_limit, self._machine))
        if told:
            try:
                call = self.docker._query_json(f"containers/{shown['Id']}/update", "POST", data=told)
                await asyncio.wait_for(call, PATIENCE)
            except DockerError as error:
                log.warning("%s does not take new limits while it runs: %s", settings.uuid, error.message)
                waits.append("its limits, which Docker refused while it runs")
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                log.warning("%s could not be told its new limits: %s", settings.uuid, error)
                waits.append("its limits, since Docker did not answer")
        return waits

    async def _place(self, configuration: ServerConfiguration) -> Place:
        """What is the server's own, which exists afterwards."""
        settings = configuration.settings
        await asyncio.wait_for(network.ensure(self.docker, self._config.docker), PATIENCE)  # somebody may have removed it
        own = await asyncio.wait_for(self.networks.ensure(self.docker, settings), PATIENCE)
        if self._rootless:
            return Place(user=ROOTLESS_USER, network=own)
        if not self.owners.own:
            return Place(network=own)
        uid, gid = self.owner(settings.uuid)
        binds = await asyncio.to_thread(passwd.write, self._passwd, uid, gid, mounts.HOME)
        return Place(user=f"{uid}:{gid}", network=own, binds=binds)

    async def create_installer(self, configuration: ServerConfiguration, script: InstallScript, folder: Path, scripts: Path) -> str:
        name = installer.name_of(configuration.settings.uuid)
        await self._remove(name)
        with self._translated(image=read_image(script.container_image).name):
            place = Place(network=await asyncio.wait_for(self.networks.ensure(self.docker, configuration.settings), PATIENCE))
            body = installer.body(configuration, script, self._config, folder, scripts, place)
            await asyncio.wait_for(self.docker.containers.create(body, name=name), PATIENCE)
        return name

    async def installers(self) -> list[str]:
        filters = json.dumps({"label": [installer.LABEL]})
        with self._translated():
            found = await asyncio.wait_for(self.docker.containers.list(all=True, filters=filters), PATIENCE)
        return [str((shown["Labels"] or {}).get(installer.LABEL, "")) for shown in found]

    async def attach(self, uuid: str) -> DockerAttachment:
        with self._translated():
            async with asyncio.timeout(PATIENCE):
                attachment = await attached(self.docker, uuid, tty=self._terminals.get(uuid))
        self._events.known.add(uuid)
        return attachment

    async def start(self, uuid: str) -> None:
        with self._translated():
            await asyncio.wait_for(self._container(uuid).start(), self._config.power.start_timeout)

    async def stop(self, uuid: str) -> None:
        """Docker's own stop signal for this image (SIGTERM by default), sent without waiting for the end."""
        with self._translated():
            shown = await self._show(uuid)
            name = (shown.get("Config") or {}).get("StopSignal") or "SIGTERM"
        await self.signal(uuid, name)

    async def signal(self, uuid: str, name: str) -> None:
        with self._translated():
            await asyncio.wait_for(self._container(uuid).kill(signal=name), PATIENCE)

    async def kill(self, uuid: str) -> None:
        try:
            await self.signal(uuid, "SIGKILL")
        except ProcessGone:
            return

    async def destroy(self, uuid: str) -> None:
        self._events.known.discard(uuid)
        try:
            await self._remove(uuid)
        except Conflict as error:
            log.warning("%s", error)

    async def _remove(self, name: str) -> None:
        """Remove the container of that name if it is ours, by its id. Raises Conflict when it is somebody else's."""
        self._terminals.pop(name, None)
        self._meters.forget(name)
        try:
            with self._translated():
                shown = await asyncio.wait_for(self._container(name).show(), PATIENCE)
                if not is_ours(shown, name):
                    raise Conflict(
                        f"A container named {name} is on this node, and it was not made for this server.",
                        hint="Look at it with `docker inspect`, and rename or remove it.",
                    )
                await asyncio.wait_for(self._container(shown["Id"]).delete(force=True, v=True), PATIENCE)
        except ProcessGone:
            return

    async def forget(self, uuid: str) -> None:
        with self._translated():
            await asyncio.wait_for(self.networks.forget(self.docker, uuid), PATIENCE)
        if self.owners.own:
            await asyncio.to_thread(passwd.remove, self._passwd, self.owner(uuid)[0])
            self.owners.forget(uuid)

    async def tidy(self, uuids: Collection[str]) -> None:
        with self._translated():
            await self._clear_leftovers(uuids)
            await asyncio.wait_for(self.networks.tidy(self.docker, uuids), PATIENCE)

    async def _clear_leftovers(self, uuids: Collection[str]) -> None:
        """Containers of ours whose servers are not on this node any more: a deletion did not get through to them."""
        for label in (container.LABEL, installer.LABEL):
            filters = json.dumps({"label": [label]})
            for found in await asyncio.wait_for(self.docker.containers.list(all=True, filters=filters), PATIENCE):
                uuid = leftover(found._container, self._config.system.data)
                if uuid and uuid not in uuids:
                    log.warning("removing the container of server %s, which is not on this node any more", uuid)
                    await asyncio.wait_for(found.delete(force=True, v=True), PATIENCE)

    async def inspect(self, uuid: str) -> Inspection:
        try:
            with self._translated():
                shown = await self._show(uuid)
        except ProcessGone:
            return Inspection(exists=False, running=False)
        state = shown["State"]
        self._terminals[uuid] = bool((shown.get("Config") or {}).get("Tty"))
        if (now := life(shown)) is not None:
            self._meters.see(uuid, now)
        else:
            self._meters.forget(uuid)
        running = bool(state["Running"])
        ended = None
        if not running and state["Status"] != "created":
            along = self._events.ended_with_engine(moment(state["FinishedAt"]))
            ended = Exit(state["ExitCode"], state["OOMKilled"], state.get("Error", ""), along)
        return Inspection(True, running, state["Pid"] or None, moment(state["StartedAt"]), ended)

    async def wait(self, uuid: str) -> Exit:
        """Wait for the end, however long it takes; callers set the limit."""
        try:
            with self._translated():
                await self._container(uuid).wait(timeout=None)
        except ProcessGone:
            return Exit(None, reason="its container was removed")
        return (await self.inspect(uuid)).exit or Exit(None, reason="its container was removed")

    def samples(self, uuids: Iterable[str]) -> dict[str, Sample]:
        return self._meters.samples(uuids)

    async def _life_of(self, uuid: str) -> Life | None:
        try:
            with self._translated():
                return life(await self._show(uuid))
        except ProcessGone:
            return None

    async def _stats_of(self, uuid: str) -> AsyncIterator[dict[str, Any]]:
        with self._translated():
            async for record in self._container(uuid).stats(stream=True):
                yield record

    async def _follow_lives(self) -> None:
        """Whatever is started has a meter anew, before it is asked for. What runs when we come is looked at by whoever takes hold of it."""
        with self.exits().listen(capacity=100_000) as events:
            async for event in events:
                if isinstance(event, Began):
                    if event.uuid in self._events.known:
                        self._meters.look_up(event.uuid)
                elif isinstance(event, Died):
                    self._meters.forget(event.uuid)

    def _translated(self, image: str = "") -> AbstractContextManager[None]:
        return translated(self.host, image)

    async def output_since(self, uuid: str, since: datetime) -> list[tuple[datetime, str]]:
        text = await self._log(uuid, since=f"{since.timestamp():.6f}", timestamps="1")
        found = []
        for line in text.split("\n"):
            first, _, words = line.partition(" ")
            if (when := stamp(first)) is not None and words.strip("\r"):
                found.append((when, words.rstrip("\r")))
        return found

    async def logs(self, uuid: str, lines: int) -> list[str]:
        text = await self._log(uuid, tail=str(lines))
        return [line.rstrip("\r") for line in text.split("\n") if line.strip("\r")]

    async def _log(self, uuid: str, **params: str) -> str:
        """The container's log as text. aiodocker's own call decodes chunk by chunk, which tears letters apart."""
        with self._translated():
            await self._show(uuid)
            async with (
                asyncio.timeout(PATIENCE),
                self.docker._query(f"containers/{uuid}/logs", params={"stdout": "1", "stderr": "1", **params}) as response,
            ):
                body: bytes = await response.read()
        return body.decode("utf-8", "replace")

    def _container(self, uuid: str) -> DockerContainer:
        return self.docker.containers.container(uuid)

    async def _show(self, uuid: str) -> dict[str, Any]:
        """What the engine says of the server's container. Raises ProcessGone when the one of that name is not ours."""
        shown: dict[str, Any] = await asyncio.wait_for(self._container(uuid).show(), PATIENCE)
        if not is_ours(shown, uuid):
            raise ProcessGone("The server has no container of its own.", hint="Start the server to make it anew.")
        return shown
