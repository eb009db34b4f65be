"""Many small servers on one engine under a fake panel, and an agent as a program of its own that looks after them.

Each server is a bash that says a line a second once it was told to `talk`, and sleeps in the kernel otherwise. Containers are made as the
agent makes them, but before it runs. What was made is removed again.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from agent.runtime.docker import DockerRuntime
from benchmarks.flood import settings
from core.clock import SystemClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token
from demo import images
from setup.engine_api import EngineApi
from setup.sockets import free_port
from tests.fakes.panel import Panel, standing

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
AT_ONCE = 4
"""Containers made or removed at the same time."""
GAME = r"""
talks= n=0
echo ready
while :; do
  if read -t 1 -r line; then
    case "$line" in talk) talks=1 ;; hush) talks= ;; end) exit 0 ;; esac
  fi
  [ -n "$talks" ] && echo "this is line number $((n += 1)) of a game that says one every second"
done
"""


@dataclass
class Herd:
    """`uuids` run when it is made; `spare` are known to the panel and have never run."""

    panel: Panel
    place: Path
    config: AgentConfig
    uuids: list[str] = field(default_factory=list)
    spare: list[str] = field(default_factory=list)
    port: int = 0

    def program(self) -> Path:
        """The agent's settings, as a file."""
        file = self.place / "agent.toml"
        file.touch(mode=0o600)
        return settings(
            file,
            {
                "log": {"level": "WARNING"},
                "api": {"host": "127.0.0.1", "port": self.port},
                "remote": {"url": self.panel.url, "token_id": self.panel.token.id, "token": self.panel.token.secret},
                "system": {"root_directory": str(self.config.system.root_directory), "data": str(self.config.system.data)},
                "docker": {"host": self.config.docker.host, "network": self.config.docker.network, "network_subnet": ""},
                "sftp": {"enabled": False},
                "power": {"ready_timeout": 120},
                "throttles": {"enabled": False},
            },
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Asks the agent as the control plane does."""
        headers = {"Authorization": f"Bearer {self.panel.token.secret}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}", headers=headers) as session:
            yield session


@asynccontextmanager
async def herd(count: int, spare: int = 0, *, network: str = "none") -> AsyncIterator[Herd]:
    """`count` running containers, gone after the block."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    where = Path(os.environ.get("TMPDIR", "/var/tmp")) / f"aerie-herd-{uuid4().hex[:8]}"
    where.mkdir(mode=0o755)
    await asyncio.to_thread(images.prepare, EngineApi(host), where / "images.log")
    try:
        async with standing(new_node_token()) as panel:
            config = AgentConfig.model_validate(
                {
                    "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret},
                    "system": {"root_directory": where / "agent", "data": where / "volumes"},
                    "docker": {"host": host, "network": network, "network_subnet": ""},
                }
            )
            made = Herd(panel, where, config, port=free_port())
            runtime = DockerRuntime(config, SystemClock())
            await runtime.open()
            try:
                for uuid in (str(uuid4()) for _ in range(count + spare)):
                    panel.servers[uuid] = configuration(uuid)
                    (made.uuids if len(made.uuids) < count else made.spare).append(uuid)
                await at_once(made.uuids, lambda uuid: _started(runtime, panel.servers[uuid], config.system.data / uuid))
                for uuid in made.spare:
                    _furnish(config.system.data / uuid)
                yield made
            finally:
                await at_once([*made.uuids, *made.spare], runtime.destroy)
                if network != "none":
                    with suppress(Exception):
                        await (await runtime.docker.networks.get(network)).delete()
                await runtime.close()
    finally:
        await asyncio.to_thread(_remove, where)


def configuration(uuid: str) -> ServerConfiguration:
    return ServerConfiguration.model_validate(
        {
            "settings": {
                "uuid": uuid,
                "invocation": "bash /home/container/game.sh",
                "skip_egg_scripts": True,
                "container": {"image": images.tags()["freeciv"]},
                "crash_detection_enabled": False,
                "build": {"memory_limit": 64},
            },
            "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}},
        }
    )


async def at_once(items: Iterable[str], work: Any, most: int = AT_ONCE) -> None:
    gate = asyncio.Semaphore(most)

    async def one(item: str) -> None:
        async with gate:
            await work(item)

    await asyncio.gather(*(one(item) for item in items))


def _furnish(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "game.sh").write_text(GAME)


async def _started(runtime: DockerRuntime, server: ServerConfiguration, folder: Path) -> None:
    _furnish(folder)
    await runtime.create(server, folder)
    await runtime.start(server.settings.uuid)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()


@asynccontextmanager
async def agent(herd: Herd) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent, running until the block ends. Its containers run on."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "agent", "--config", str(herd.program()), cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def attached(herd: Herd, session: aiohttp.ClientSession, process: asyncio.subprocess.Process, limit: float = 120.0) -> None:
    """Wait until the agent says of all that they run."""
    async with asyncio.timeout(limit):
        while True:
            assert process.returncode is None, "the agent has ended"
            with suppress(aiohttp.ClientError):
                async with session.get("/api/servers") as response:
                    if response.status == 200:
                        states = {one["configuration"]["uuid"]: one["state"] for one in json.loads(await response.read())}
                        if all(states.get(uuid) == "running" for uuid in herd.uuids):
                            return
            await asyncio.sleep(0.02)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that these processes have used."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def engine_pids(host: str, first_processes: Iterable[int]) -> list[int]:
    """dockerd, its containerd, and the shims of these containers; only of an engine behind a socket of this machine."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(host.removeprefix("unix://"))
        daemon = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                head, _, rest = (entry / "stat").read_text().rpartition(")")
                parents[int(entry.name)], names[int(entry.name)] = int(rest.split()[1]), head.partition("(")[2]
    containerds = [pid for pid, name in names.items() if name == "containerd"]
    own = [pid for pid in containerds if parents[pid] == daemon] or containerds
    return [daemon, *own, *{parents[pid] for pid in first_processes if pid in parents}]
