"""One evening of a hostile tenant, played once on a real agent and a real engine: what it tried, what came of it, what the host shows.

Three servers: the evil one, its neighbour, and a friend who may reach the neighbour. Beside them a container without walls tries the same
attacks on the kernel, and listeners stand where the evil one dials: so every refusal is one of something that would have worked.
"""

import asyncio
import json
import os
import socket
import stat
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiodocker import Docker, DockerError

from agent.app import Agent, running
from agent.filesystem.rooted import Rooted
from agent.runtime import network
from agent.runtime.docker import DockerRuntime
from agent.runtime.firewall import obstacle_here
from agent.server.server import Server
from core.config import AgentConfig
from core.errors import AerieError
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import PowerProgress
from core.tokens import new_node_token
from core.vocabulary import PowerPhase, PowerSignal
from tests.fakes.panel import Panel, standing
from tests.real.networks import removed_networks
from tests.real.places import opened_up

HERE = Path(__file__).parent
PATIENCE = 60.0
"""Seconds for each thing that is waited for; all of them come within a few."""
WITHOUT_WALLS = ["SYS_ADMIN", "SYS_MODULE", "SYS_BOOT", "SYS_TIME", "SYS_NICE", "SYSLOG", "DAC_READ_SEARCH", "NET_ADMIN"]
"""What the container without walls has beside Docker's own fourteen capabilities: what any engine of root's can give."""
LINKS = {"out.properties": "{outside}/host.properties", "dir": "{outside}", "magic": "/proc/self/root", "up": "../../../.."}
"""Names in the evil server's folder and where they lead."""


@dataclass
class Evening:
    """What was found. `attacks`: id to (won, how); `control`: the same attacks without walls."""

    attacks: dict[str, tuple[bool, str]] = field(default_factory=dict)
    installer: dict[str, tuple[bool, str]] = field(default_factory=dict)
    control: dict[str, tuple[bool, str]] = field(default_factory=dict)
    friend: dict[str, tuple[bool, str]] = field(default_factory=dict)
    neighbour_answers_host: bool = False
    heard: str = ""
    """What the neighbour got by UDP before its friend came."""
    shown: dict[str, Any] = field(default_factory=dict)
    """The evil container, as the engine shows it."""
    install_log_bytes: int = 0
    engine_log_bytes: int | None = None
    longest_line: int = 0
    console_lines: int = 0
    evil_owner: int = 0
    owners: dict[str, int] = field(default_factory=dict)
    """After the installation: the owner of what it left, by name; links themselves."""
    modes: dict[str, int] = field(default_factory=dict)
    evil_files: str = ""
    """Everything in the evil server's small files, after its start."""
    token: str = ""
    outside_before: list[Any] = field(default_factory=list)
    outside_after: list[Any] = field(default_factory=list)
    raced: int = 0
    flips: int = 0
    neighbour_read_by: dict[str, bool] = field(default_factory=dict)
    """Who, being outside of any container, can read a file of the neighbour."""
    refused_packets: dict[str, int] = field(default_factory=dict)
    obstacle: str = ""
    """Why this machine has no rules of ours; then those attacks are told, not refused."""


async def until(holds: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)
    assert holds(), what


async def played(docker_host: str, image: str, folder: Path) -> Evening:
    """The whole evening."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(_staged(docker_host, image, folder))
        await stage.play()
        return stage.evening


class Stage:
    def __init__(self, panel: Panel, agent: Agent, docker: Docker, config: AgentConfig, image: str, gateway: str, folder: Path) -> None:
        self.panel, self.agent, self.docker, self.config, self.image, self.gateway = panel, agent, docker, config, image, gateway
        self.outside = folder / "outside"
        self.folder = folder
        self.evening = Evening(token=panel.token.secret, obstacle=obstacle_here(config.docker.host))
        self.evil, self.neighbour, self.friend = EVIL, NEIGHBOUR, FRIEND

    def server(self, uuid: str) -> Server:
        return self.agent.manager.get(uuid)

    async def start(self, uuid: str) -> None:
        server = self.server(uuid)
        with server.events.listen() as events:
            signal = server.power(PowerSignal.START)
            async with asyncio.timeout(PATIENCE):
                async for event in events:
                    if isinstance(event, PowerProgress) and event.signal_id == signal and event.phase.final:
                        assert event.phase is PowerPhase.DONE, (event.reason, server.console.history(12))
                        return

    async def play(self) -> None:
        evening = self.evening
        _build_outside(self.outside)
        evening.outside_before = _snapshot(self.outside)
        port = _free_port(self.gateway)
        self._put(self.neighbour, "neighbour.pl", {"mappings": {self.gateway: [port]}, "default": {"ip": self.gateway, "port": port}})
        await self.start(self.neighbour)
        inner = await self._address(self.neighbour)
        evening.neighbour_answers_host = await _canary_at(inner, port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"host", (inner, port))
        heard = self.server(self.neighbour).folder / "heard"
        await until(lambda: "host" in heard.read_text(), "the host's datagram arrived")
        aims = {
            "AT_HOST": f"{self.gateway}:{await self._listen(self.gateway)}",
            "AT_DOCKER": f"{self.gateway}:{await self._listen(self.gateway, 2375)}",
            "AT_AGENT": f"{self.gateway}:{self.agent.port}",
            "AT_ALLOWED": f"{self.gateway}:{self.config.docker.host_ports[0]}",
            "AT_PUBLISHED": f"{self.gateway}:{port}",
            "AT_NEIGHBOUR": f"{inner}:{port}",
            "VICTIM": f"{inner}:{port}",
            "VICTIM_NAME": self.neighbour,
            "OUTSIDE": str(self.outside),
        }
        await self._listen(self.gateway, self.config.docker.host_ports[0])
        control = asyncio.create_task(self._without_walls())
        await self._install(aims)
        own = await (await self.docker.networks.get(f"aerie-{self.evil}")).show()
        own_gateway = network.gateway_of(own)
        aims["AT_OWN_GATEWAY"] = f"{own_gateway}:{await self._listen(own_gateway)}"
        await self._evil_starts(aims)
        evening.heard = heard.read_text()
        self._put(self.friend, "attacks.pl", {}, {**aims, "AS": "friend"})
        await self.start(self.friend)
        evening.friend = await self._results(self.server(self.friend).folder / "results.jsonl")
        await until(lambda: "evil to" in heard.read_text(), "the friend's datagram arrived")
        await control
        await self._race()
        evening.outside_after = _snapshot(self.outside)

    async def _install(self, aims: dict[str, str]) -> None:
        self._put(self.evil, "attacks.pl", {}, aims)
        self.panel.scripts[self.evil] = (HERE / "install.sh").read_text()
        self.agent.manager.install(self.evil, reinstall=True)
        await until(lambda: bool(self.panel.posts), "the installation ended")
        assert self.panel.posts[0][1]["successful"], self.panel.posts
        evil = self.server(self.evil)
        await until(lambda: evil.end_installation is None, "the installation is over")
        self.evening.installer = await self._results(evil.folder / "install.jsonl", "ins_done")
        left = [evil.folder, *evil.folder.iterdir()]
        self.evening.owners = {path.name: os.lstat(path).st_uid for path in left}
        self.evening.modes = {path.name: stat.S_IMODE(os.lstat(path).st_mode) for path in left}
        logs = self.config.system.root_directory / "logs" / "install"
        self.evening.install_log_bytes = (logs / f"{self.evil}.log").stat().st_size

    async def _evil_starts(self, aims: dict[str, str]) -> None:
        evening, folder = self.evening, self.server(self.evil).folder
        evening.evil_owner = folder.stat().st_uid
        for name, target in LINKS.items():
            (folder / name).symlink_to(target.format(outside=self.outside))
        configs = [_config(file) for file in (*CONFIGS, f"{self.outside}/absolute.properties")]
        self._configure(self.evil, "attacks.pl", {}, {**aims, **INJECTED}, configs)
        await self.start(self.evil)
        evening.shown = dict(await self.docker.containers.container(self.evil).show())
        evening.attacks = await self._results(folder / "results.jsonl")
        evening.evil_files = "\n".join(_small_files(folder))
        for who, uuid in (("evil", self.evil), ("neighbour", self.neighbour)):
            evening.neighbour_read_by[who] = await self._can_read(uuid, self.server(self.neighbour).folder / "heard")
        console = self.server(self.evil).console
        evening.console_lines = console.last_seq
        evening.longest_line = max(len(line) for line in console.history(100))
        evening.engine_log_bytes = await self._engine_log_bytes()
        evening.refused_packets = await _refused_packets(_runtime(self.agent).networks.mark)

    async def _race(self) -> None:
        """While the game turns a name from a folder into a link and back, files are written by that name."""
        evil = self.server(self.evil)

        def write() -> int:
            """Until enough of it came through, which is when the name was a folder."""
            done, number = 0, 0
            files = evil.volume.open()
            try:
                with files.rights():
                    while (done < 100 or number < 300) and number < 50_000:
                        done += _write(files, number)
                        number += 1
            finally:
                files.close()
            return done

        self.evening.raced = await asyncio.to_thread(write)
        await evil.command("end")
        results = await self._results(evil.folder / "results.jsonl", "flips")
        self.evening.flips = int(results["flips"][1])

    async def _without_walls(self) -> None:
        place = self.folder / "control"
        place.mkdir(mode=0o777)
        (place / "attacks.pl").write_bytes((HERE / "attacks.pl").read_bytes())
        body: dict[str, Any] = {
            "Image": self.image.removeprefix("~"),
            "User": "0:0",
            "Entrypoint": ["perl", "/control/attacks.pl"],
            "Env": ["AS=control", "OUT=/control/results.jsonl", "HOME=/tmp"],
            "HostConfig": {
                "CapAdd": WITHOUT_WALLS,
                "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
                "MaskedPaths": [],
                "ReadonlyPaths": [],
                "NetworkMode": "none",
                "Binds": [f"{place}:/control:rw"],
            },
        }
        container = await self.docker.containers.create(body, name=f"aerie-control-{self.evil}")
        try:
            await container.start()
            self.evening.control = await self._results(place / "results.jsonl")
        finally:
            await container.delete(force=True)

    def _put(self, uuid: str, script: str, allocations: dict[str, Any], environment: dict[str, str] | None = None) -> None:
        folder = self.server(uuid).folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / script).write_bytes((HERE / script).read_bytes())
        self._configure(uuid, script, allocations, environment or {})

    def _configure(
        self, uuid: str, script: str, allocations: dict[str, Any], environment: dict[str, str], configs: list[dict[str, Any]] | None = None
    ) -> None:
        self.panel.servers[uuid] = _configuration(uuid, self.image, script, allocations, environment, configs or [])

    async def _listen(self, host: str, port: int = 0) -> int:
        async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"canary\n")
            writer.close()

        server = await asyncio.start_server(say, host, port)
        STACK.push_async_callback(_closed, server)
        bound: int = server.sockets[0].getsockname()[1]
        assert await _canary_at(host, bound), "the listener answers the host"
        return bound

    async def _address(self, uuid: str) -> str:
        shown = await self.docker.containers.container(uuid).show()
        return str(next(iter(shown["NetworkSettings"]["Networks"].values()))["IPAddress"])

    async def _can_read(self, uuid: str, file: Path) -> bool:
        uid, gid = _runtime(self.agent).owner(uuid)
        place, name = self.config.system.data, file.relative_to(self.config.system.data)
        reader = await asyncio.create_subprocess_exec(
            "cat", name, cwd=place, user=uid, group=gid, extra_groups=[], stdout=DEVNULL, stderr=DEVNULL
        )
        return await reader.wait() == 0

    async def _engine_log_bytes(self) -> int | None:
        info = await self.docker.system.info()
        folder = Path(info["DockerRootDir"], "containers", self.evening.shown["Id"], "local-logs")
        return await asyncio.to_thread(_size_of, folder) if folder.is_dir() else None

    async def _results(self, file: Path, last: str = "done") -> dict[str, tuple[bool, str]]:
        def read() -> dict[str, tuple[bool, str]]:
            lines = file.read_text().splitlines() if file.exists() else []
            with suppress(ValueError):  # the last line may be half written
                return {one["id"]: (bool(one["won"]), one.get("how", "")) for one in map(json.loads, lines)}
            return {}

        await until(lambda: last in read(), f"{file.name} is complete")
        return read()


STACK = AsyncExitStack()
EVIL, NEIGHBOUR, FRIEND = (str(uuid4()) for _ in range(3))
INJECTED = {
    "startup": "echo pwned",
    "SERVER_PORT": "1",
    "X\nSTARTUP": "echo pwned",
    "BAD-NAME": "1",
    "VALUE": "$(touch $OUTSIDE/pwned) `touch $OUTSIDE/pwned`; touch $OUTSIDE/pwned",
}
CONFIGS = (
    *("own.properties", "out.properties", "dir/new.properties", "magic/tmp/evil.properties", "up/evil.properties", "../../evil.properties"),
)
"""What its egg wants rewritten, as it hopes."""
SECRETS = ("{{config.token}}", "{{ config.token_id }}", "{{config.remote.token}}", "{{config.docker.registries}}", "{{{{config.token}}}}")


def _config(file: str) -> dict[str, Any]:
    replace = [{"match": f"key{number}", "replace_with": text} for number, text in enumerate(SECRETS)]
    return {"file": file, "parser": "properties", "replace": replace}


def _configuration(
    uuid: str, image: str, script: str, allocations: dict[str, Any], environment: dict[str, str], configs: list[dict[str, Any]]
) -> ServerConfiguration:
    return ServerConfiguration.model_validate(
        {
            "settings": {
                "uuid": uuid,
                "invocation": f"perl {script}",
                "environment": environment,
                "crash_detection_enabled": False,
                "container": {"image": image},
                "allocations": allocations,
                "build": {"memory_limit": 256, "swap": 0, "oom_disabled": False},
                "labels": {} if uuid == NEIGHBOUR else {"dev.aerie.server": NEIGHBOUR, "traefik.enable": "true", "Service": "mine"},
            },
            "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}, "configs": configs},
        }
    )


@asynccontextmanager
async def _staged(docker_host: str, image: str, folder: Path) -> AsyncIterator[Stage]:
    opened_up(folder)
    async with standing(new_node_token()) as panel, Docker(url=docker_host) as docker, STACK:
        panel.image = image
        name = f"aerie_evil_{uuid4().hex[:8]}"
        config = AgentConfig.model_validate({"docker": {"host": docker_host, "network": name, "network_subnet": ""}})
        gateway = network.gateway_of(await network.ensure(docker, config.docker))
        config = AgentConfig.model_validate(
            {
                "api": {"host": gateway, "port": 0},
                "sftp": {"enabled": False},
                "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret, "timeout": 5},
                "docker": {
                    "host": docker_host,
                    "network": name,
                    "network_subnet": "",
                    "host_ports": [_free_port(gateway)],
                    "shared_networks": [f"lobby: {NEIGHBOUR} {FRIEND[:8]}"],
                    "tmpfs_size": 16,
                    "tmpfs_inodes": 2000,
                    "container_pid_limit": 64,
                    "log_max_size": "1m",
                },
                "install": {"pids": 128, "log_size": 1, "memory": 256},
                "system": {"root_directory": folder / "root", "data": folder / "root" / "volumes"},
            }
        )
        for uuid in (EVIL, NEIGHBOUR, FRIEND):
            panel.servers[uuid] = _configuration(uuid, image, "none", {}, {}, [])
        try:
            async with running(config) as agent:
                stage = Stage(panel, agent, docker, config, image, gateway, folder)
                try:
                    yield stage
                finally:
                    for uuid in (EVIL, NEIGHBOUR, FRIEND):
                        with suppress(AerieError):
                            await agent.manager.get(uuid).destroy()
        finally:
            for uuid in (EVIL, NEIGHBOUR, FRIEND):
                with suppress(DockerError):
                    await docker.containers.container(uuid).delete(force=True)
            await removed_networks(docker, name)


async def _closed(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


async def _canary_at(host: str, port: int) -> bool:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, port)
        said = await reader.read(64)
        writer.close()
        return b"canary" in said


async def _refused_packets(mark: str) -> dict[str, int]:
    """Packets that each rule of ours refused, by what the rule is about."""
    if obstacle_here("unix://"):
        return {}
    found: dict[str, int] = {}
    for chain in ("IN", "FW"):
        shell = await asyncio.create_subprocess_exec("iptables", "-w", "5", "-nvxL", f"AERIE-{chain}-{mark}", stdout=PIPE)
        printed, _ = await shell.communicate()
        for line in printed.decode().splitlines()[2:]:
            fields = line.split()
            if fields[2] == "REJECT":
                found[f"{chain} {fields[8]}"] = found.get(f"{chain} {fields[8]}", 0) + int(fields[0])
    return found


def _runtime(agent: Agent) -> DockerRuntime:
    runtime = agent.manager._runtime
    assert isinstance(runtime, DockerRuntime)
    return runtime


def _build_outside(folder: Path) -> None:
    """What links lead to: open to everybody, so that nothing but the agent's own care protects it."""
    folder.mkdir()
    folder.chmod(0o777)
    for name in ("host.properties", "host.txt", "absolute.properties"):
        (folder / name).write_text("key0=canary\n")
        (folder / name).chmod(0o666)


def _snapshot(folder: Path) -> list[Any]:
    facts = [(path, os.lstat(path)) for path in (folder, *sorted(folder.rglob("*")))]
    return [(str(path), one.st_mode, one.st_uid, one.st_gid, path.read_bytes() if path.is_file() else b"") for path, one in facts]


def _small_files(folder: Path) -> Iterator[str]:
    """What the rewritten files and the results hold. The game is turning names round by now: what vanishes is passed over."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names if name.endswith((".properties", ".jsonl"))):
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path.read_text(errors="replace")


def _size_of(folder: Path) -> int:
    """Bytes of the files in a folder; the engine may be rotating one."""
    size = 0
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            size += file.stat().st_size
    return size


def _free_port(host: str) -> int:
    with socket.socket() as holder:
        holder.bind((host, 0))
        port: int = holder.getsockname()[1]
        return port


def _write(files: Rooted, number: int) -> int:
    """One round of everything that could reach through `p`; how many got somewhere, which then was inside."""
    done = 0
    acts: tuple[Callable[[], object], ...] = (
        lambda: os.close(files.create(f"p/new{number}".encode(), os.O_WRONLY)),
        lambda: files.set_mode(b"p/host.txt", 0o600),
        lambda: files.remove_file(b"p/host.txt"),
        lambda: os.close(files.open_existing(b"p/host.txt", os.O_WRONLY | os.O_TRUNC)),
        lambda: files.make_folder(f"p/folder{number}".encode()),
        lambda: files.rename(b"p/host.txt", b"p/moved.txt", replace=True),
    )
    for act in acts:
        with suppress(AerieError):
            act()
            done += 1
    return done
