"""Containers on a Docker Engine, through aiodocker. A container bears its server's uuid as its name, as under Wings.

One event stream for the whole node tells of deaths and removals; when it breaks it is opened again and every known container is looked
at anew, so nothing that happened meanwhile is missed. Driver errors become RuntimeFailure here, with words for people.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
from aiodocker import Docker, DockerError
from aiodocker.containers import DockerContainer
from aiodocker.stream import Stream

from agent.runtime import container, images, installer, network
from agent.runtime.cgroup import CgroupMeter
from agent.runtime.runtime import Began, Died, EngineEvent, Exit, Inspection, Progress, Sample
from core.clock import Clock
from core.config import AgentConfig, docker_host
from core.errors import DiskFull, EngineUnreachable, ImageUnavailable, PortTaken, ProcessGone, RuntimeFailure
from core.fanout import Fanout
from core.protocol.agent import Cgroups, Containers, DockerFacts, Runc, Storage, SystemFacts, SystemV2
from core.protocol.remote import InstallScript
from core.protocol.settings import ServerConfiguration
from core.supervise import Supervisor

log = logging.getLogger(__name__)

_RECONNECT_SECONDS = 1.0
PATIENCE = 15.0
"""Seconds an ordinary engine call may take."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PORT = re.compile(r":(\d+): bind: address already in use|Bind for \S*:(\d+) failed|:(\d+)\S* .{0,40}already in use")


class DockerAttachment:
    """A container's terminal, hijacked. Chunks are handed on as they come; nothing is kept here."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while (message := await self._stream.read_out()) is not None:
                yield message.data
        except (aiohttp.ClientError, OSError, DockerError) as error:
            log.debug("an attachment ended: %s", error)

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.write_in(data)
        except (RuntimeError, AssertionError, OSError, aiohttp.ClientError) as error:
            raise ProcessGone("The server's console is closed.", hint="Look at its state, it may have just stopped.") from error

    async def close(self) -> None:
        await self._stream.close()


class DockerRuntime:
    """The Runtime of nodes."""

    def __init__(self, config: AgentConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._docker: Docker | None = None
        self._tasks = Supervisor("docker", clock)
        self._known: set[str] = set()
        self._interface = ""
        self._gateway = "127.0.0.1"
        self._closing = False
        self._meters: dict[str, CgroupMeter] = {}
        self.host = docker_host(config.docker)
        self._events: Fanout[EngineEvent] = Fanout()

    def exits(self) -> Fanout[EngineEvent]:
        return self._events

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

    async def open(self) -> None:
        """Connect and make the network. Raises EngineUnreachable."""
        self._docker = Docker(url=self.host)
        with self._translated():
            await self.docker.version()
            self._gateway = _gateway(await network.ensure(self.docker, self._config.docker)) or self._gateway
        self._tasks.run("events", self._listen)

    async def close(self) -> None:
        self._closing = True
        for uuid in list(self._meters):
            self._forget_meter(uuid)
        await self._tasks.close()
        self._events.close()
        if self._docker is not None:
            await self._docker.close()
            self._docker = None

    async def facts(self, version: str = "") -> SystemV2:
        with self._translated():
            info = dict(await self.docker.system.info())
        backing = dict(info.get("DriverStatus") or ()).get("Backing Filesystem", "")
        return SystemV2(
            version=version,
            docker=DockerFacts(
                version=info.get("ServerVersion", ""),
                cgroups=Cgroups(driver=info.get("CgroupDriver", ""), version=info.get("CgroupVersion", "1")),
                containers=Containers(
                    total=info["Containers"],
                    running=info["ContainersRunning"],
                    paused=info["ContainersPaused"],
                    stopped=info["ContainersStopped"],
                ),
                storage=Storage(driver=info.get("Driver", ""), filesystem=backing),
                runc=Runc(version=(info.get("RuncCommit") or {}).get("ID", "")),
            ),
            system=SystemFacts(
                architecture=_ARCHITECTURES.get(str(info["Architecture"]), str(info["Architecture"])),
                cpu_threads=info["NCPU"],
                memory_bytes=info["MemTotal"],
                kernel_version=info["KernelVersion"],
                os=info["OperatingSystem"],
                os_type=info["OSType"],
            ),
        )

    async def ensure_image(self, configuration: ServerConfiguration, progress: Progress) -> None:
        image = container.image_of(configuration.settings)
        with self._translated(image=image):
            await images.ensure(
                self.docker,
                image,
                local=container.is_local(configuration.settings),
                limit=self._config.docker.pull_timeout,
                progress=progress,
            )

    async def create(self, configuration: ServerConfiguration, folder: Path) -> None:
        uuid = configuration.settings.uuid
        await self.destroy(uuid)
        with self._translated(image=container.image_of(configuration.settings)):
            body = container.body(configuration, self._config, folder, self._interface)
            await asyncio.wait_for(self.docker.containers.create(body, name=uuid), PATIENCE)
        self._known.add(uuid)

    async def create_installer(self, configuration: ServerConfiguration, script: InstallScript, folder: Path, scripts: Path) -> str:
        name = installer.name_of(configuration.settings.uuid)
        await self.destroy(name)
        body = installer.body(configuration, script, self._config, folder, scripts)
        with self._translated(image=str(body["Image"])):
            await asyncio.wait_for(self.docker.containers.create(body, name=name), PATIENCE)
        return name

    async def installers(self) -> list[str]:
        filters = json.dumps({"label": [installer.LABEL]})
        with self._translated():
            found = await asyncio.wait_for(self.docker.containers.list(all=True, filters=filters), PATIENCE)
        return [str((shown["Labels"] or {}).get(installer.LABEL, "")) for shown in found]

    async def attach(self, uuid: str) -> DockerAttachment:
        with self._translated():
            stream = self._container(uuid).attach(stdin=True, stdout=True, stderr=True, logs=False)
            async with asyncio.timeout(PATIENCE):
                await stream._init()  # aiodocker opens lazily; we must be attached before the start
        self._known.add(uuid)
        return DockerAttachment(stream)

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
        self._known.discard(uuid)
        self._forget_meter(uuid)
        try:
            with self._translated():
                await asyncio.wait_for(self._container(uuid).delete(force=True, v=True), PATIENCE)
        except ProcessGone:
            return

    async def inspect(self, uuid: str) -> Inspection:
        try:
            with self._translated():
                state = (await self._show(uuid))["State"]
        except ProcessGone:
            return Inspection(exists=False, running=False)
        running = bool(state["Running"])
        ended = None if running or state["Status"] == "created" else Exit(state["ExitCode"], state["OOMKilled"], state.get("Error", ""))
        return Inspection(True, running, state["Pid"] or None, _moment(state["StartedAt"]), ended)

    async def wait(self, uuid: str) -> Exit:
        """Wait for the end, however long it takes; callers set the limit."""
        try:
            with self._translated():
                await self._container(uuid).wait(timeout=None)
        except ProcessGone:
            return Exit(None, reason="its container was removed")
        return (await self.inspect(uuid)).exit or Exit(None, reason="its container was removed")

    async def sample(self, uuid: str) -> Sample | None:
        """From the container's cgroup where it can be read, else from the engine (which takes it a second or two)."""
        if (meter := self._meters.get(uuid)) is not None:
            try:
                return meter.sample()
            except (OSError, ValueError):
                self._forget_meter(uuid)
        try:
            with self._translated():
                shown = await self._show(uuid)
                state = shown["State"]
                started_at = _moment(state["StartedAt"])
                if not state["Running"] or started_at is None:
                    return None
                if self.host.startswith("unix://"):
                    try:
                        self._meters[uuid] = CgroupMeter(state["Pid"], shown["Id"], started_at, self._clock)
                        return self._meters[uuid].sample()
                    except (OSError, ValueError) as error:
                        log.debug("the cgroup of %s cannot be read, asking the engine: %s", uuid, error)
                        self._forget_meter(uuid)
                records = await asyncio.wait_for(self._container(uuid).stats(stream=False), PATIENCE)
        except ProcessGone:
            return None
        return _measured(records[0], self._clock.now() - started_at) if records else None

    def _forget_meter(self, uuid: str) -> None:
        if (meter := self._meters.pop(uuid, None)) is not None:
            meter.close()

    async def output_since(self, uuid: str, since: datetime) -> list[tuple[datetime, str]]:
        text = await self._log(uuid, since=f"{since.timestamp():.6f}", timestamps="1")
        found = []
        for line in text.split("\n"):
            stamp, _, words = line.partition(" ")
            if (moment := _stamp(stamp)) is not None and words.strip("\r"):
                found.append((moment, words.rstrip("\r")))
        return found

    async def logs(self, uuid: str, lines: int) -> list[str]:
        text = await self._log(uuid, tail=str(lines))
        return [line.rstrip("\r") for line in text.split("\n") if line.strip("\r")]

    async def _log(self, uuid: str, **params: str) -> str:
        """The container's log as text. aiodocker's own call decodes chunk by chunk, which tears letters apart."""
        with self._translated():
            async with (
                asyncio.timeout(PATIENCE),
                self.docker._query(f"containers/{uuid}/logs", params={"stdout": "1", "stderr": "1", **params}) as response,
            ):
                body: bytes = await response.read()
        return body.decode("utf-8", "replace")

    def _container(self, uuid: str) -> DockerContainer:
        return self.docker.containers.container(uuid)

    async def _show(self, uuid: str) -> dict[str, Any]:
        return await asyncio.wait_for(self._container(uuid).show(), PATIENCE)

    async def _listen(self) -> None:
        """Follow the engine's events for ever; an engine that is away is asked again each second, so that its return is seen at once."""
        told = False
        while not self._closing:
            try:
                await self._follow()
                told = False
            except EngineUnreachable as error:
                if not told:
                    log.warning("%s", error)
                told = True
            await self._clock.sleep(_RECONNECT_SECONDS)

    async def _follow(self) -> None:
        """One connection's events, all known containers being looked at when it begins: so nothing that happened before is missed."""
        filters = json.dumps({"type": ["container"], "label": [container.LABEL], "event": ["die", "destroy", "start"]})
        subscriber = self.docker.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        reader = self._tasks.spawn("event stream", self._read_events(filters))
        try:
            for uuid in self._known.copy():
                await self._look(uuid)
            while (event := await subscriber.get()) is not None:
                await self._heard(event["Action"], event["Actor"]["Attributes"].get(container.LABEL, ""))
            if not self._closing:
                raise EngineUnreachable("The Docker Engine ended its event stream.", hint="It may be restarting.")
        finally:
            reader.cancel()

    async def _read_events(self, filters: str) -> None:
        try:
            await self.docker.events.run(filters=filters)
        except (aiohttp.ClientError, OSError, DockerError) as error:
            log.debug("the event stream broke: %s", error)

    async def _heard(self, action: str, uuid: str) -> None:
        match action:
            case "start":
                self._known.add(uuid)
                self._events.publish(Began(uuid))
            case "destroy":
                if uuid in self._known and not (await self.inspect(uuid)).exists:
                    self._events.publish(Died(uuid, Exit(None, reason="its container was removed")))
            case _:
                await self._look(uuid)

    async def _look(self, uuid: str) -> None:
        shown = await self.inspect(uuid)
        if not shown.exists:
            self._events.publish(Died(uuid, Exit(None, reason="its container was removed")))
        elif shown.exit is not None:
            self._events.publish(Died(uuid, shown.exit))

    @contextmanager
    def _translated(self, image: str = "") -> Iterator[None]:
        """Driver errors into ours, with what to do."""
        try:
            yield
        except DockerError as error:
            raise _meaning(error.status, str(error.message), image) from error
        except TimeoutError as error:
            raise EngineUnreachable(
                "The Docker Engine did not answer in time.", hint="Look at the machine's load and Docker's log."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnreachable(f"The Docker Engine at {self.host} cannot be reached.", hint="Start Docker on the node.") from error


def _meaning(status: int, words: str, image: str) -> RuntimeFailure:
    low = words.lower()
    if "no space left on device" in low:
        return DiskFull("The node's disk is full.", hint="Free space on the node, then try again.")
    if ("already in use" in low and "address" in low) or "port is already allocated" in low:
        found = _PORT.search(words)
        port = next((group for group in found.groups() if group), "") if found else ""
        return PortTaken(
            f"Port {port} is already taken on the node." if port else "One of the server's ports is already taken on the node.",
            hint="Stop what uses it, or give the server another allocation.",
        )
    if image and (status == 404 or "no such image" in low or "not found" in low or "manifest unknown" in low):
        return ImageUnavailable(f"The image {image} does not exist.", hint="Correct the server's image.")
    if status == 404 or (status == 409 and "is not running" in low):
        return ProcessGone("The server's container is not there any more.", hint="Start the server to make it anew.")
    return RuntimeFailure(f"Docker refused: {words.strip()[:300]}.", hint="The node's log says more.")


def _gateway(network: dict[str, Any]) -> str:
    """A network's own address, the first of its subnet where Docker was not told another; empty for networks without one."""
    for entry in (network.get("IPAM") or {}).get("Config") or []:
        if gateway := entry.get("Gateway"):
            return str(gateway).partition("/")[0]
        with suppress(ValueError):
            return str(next(ip_network(entry.get("Subnet", ""), strict=False).hosts()))
    return ""


def _moment(text: str) -> datetime | None:
    """Docker's nanosecond timestamps; the zero time is None."""
    if not text or text.startswith("0001"):
        return None
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")).astimezone(UTC)


def _measured(record: dict[str, Any], up: Any) -> Sample | None:
    """One record of Docker's stats as Wings calculates it (memory without inactive files, cpu of one thread)."""
    memory, cpu, before = record["memory_stats"], record["cpu_stats"], record["precpu_stats"]
    if "usage" not in memory:
        return None
    details = memory.get("stats", {})
    idle = details.get("total_inactive_file", details.get("inactive_file", 0))
    used = memory["usage"] - idle if idle < memory["usage"] else memory["usage"]
    cpu_delta = cpu["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    system_delta = cpu.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = cpu.get("online_cpus") or len(cpu["cpu_usage"].get("percpu_usage") or ()) or 1
    share = cpu_delta / system_delta * count * 100 if cpu_delta > 0 and system_delta > 0 else 0.0
    networks = (record.get("networks") or {}).values()
    return Sample(
        memory_bytes=used,
        memory_limit_bytes=memory.get("limit", 0),
        cpu_absolute=round(share, 3),
        rx_bytes=sum(one["rx_bytes"] for one in networks),
        tx_bytes=sum(one["tx_bytes"] for one in networks),
        uptime_ms=max(0, int(up.total_seconds() * 1000)),
    )


def _stamp(text: str) -> datetime | None:
    """The moment a log line begins with; None when it begins with something else."""
    try:
        return _moment(text)
    except ValueError:
        return None
