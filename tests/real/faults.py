"""An agent as a process of its own on an engine of the test's own, under a scripted control plane: what the fault tests do harm to.

Progress is observed (the panel's requests, the engine's events, the agent's API), never slept for.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import pytest
from aiodocker import Docker, DockerError

from core.protocol.settings import ServerConfiguration
from core.tokens import NodeToken, new_node_token
from setup import debian, processes
from setup.engine import PrivateEngine
from setup.engine_api import EngineApi
from tests.fakes.panel import Panel, standing
from tests.real import tiny_image
from tests.real.places import opened_up

ROOT = Path(__file__).parents[2]
PATIENCE = 45.0  # seconds
GAME = r"""
trap 'exit 143' TERM
echo loading
while [ -e slow ]; do sleep 0.05; done
echo ready
while :; do
  if read -t 0.2 line; then
    case "$line" in
      end) echo saving; while [ -e hold ]; do sleep 0.05; done; exit 0 ;;
      crash) exit 9 ;;
      *) echo got "$line" ;;
    esac
  fi
done
"""


class QuietEngine(PrivateEngine):
    """Leaves the machine's packet filter alone: a dockerd that starts takes the rules of all others on the machine away for a moment."""

    def _attempts(self) -> list[list[str]]:
        return [[driver, "--iptables=false"] for driver in dict.fromkeys(options[0] for options in super()._attempts())]


@contextmanager
def own_engine() -> Iterator[PrivateEngine]:
    """A dockerd that nobody else uses, gone with all it held afterwards."""
    if os.geteuid() != 0 or debian.which("dockerd") is None:
        pytest.skip("an engine of the test's own needs root and dockerd")
    folder = Path(tempfile.mkdtemp(prefix="aerie-faults-"))
    engine = QuietEngine(opened_up(folder) / "engine")
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def restarted(engine: PrivateEngine, number: signal.Signals) -> None:
    """End dockerd by this signal, wait until it is gone, and start it again: its bridge and its data stay."""
    pid = processes.remembered(engine.pid)
    assert pid is not None
    os.kill(pid, number)
    processes.end(engine.pid, 60)
    engine.start()


async def until(holds: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    try:
        async with asyncio.timeout(within):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it never came to this: {what}") from None


class Program:
    """One run of the agent, and what it has said."""

    def __init__(self, child: asyncio.subprocess.Process, log: Path, token: NodeToken) -> None:
        self.child, self.log = child, log
        self._headers = {"Authorization": f"Bearer {token.secret}"}
        self.url = ""

    @property
    def words(self) -> str:
        return self.log.read_text()

    async def up(self) -> None:
        """Wait until it answers for its servers."""
        await until(lambda: self.child.returncode is not None or "listens on" in self.words, "the agent listens")
        found = re.search(r"the agent listens on (\S+)", self.words)
        assert found is not None, self.words
        self.url = found[1]
        async with asyncio.timeout(PATIENCE):
            while (await self.ask("GET", "/api/servers"))[0] != 200:
                await asyncio.sleep(0.02)

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession(headers=self._headers) as http,
            http.request(method, f"{self.url}{path}", json=body) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    def kill(self) -> None:
        """Without a word, at once."""
        os.kill(self.child.pid, signal.SIGKILL)


class Scene:
    """A panel, an engine, and a place where agents live one after another."""

    def __init__(self, panel: Panel, docker: Docker, host: str, image: str, folder: Path) -> None:
        self.panel, self.docker, self.host, self.image, self.folder = panel, docker, host, image, folder
        self.root = folder / "root"
        self.data = folder / "root" / "volumes"
        self.network = f"aerie_test_{uuid4().hex[:8]}"
        self.extra: dict[str, dict[str, object]] = {}
        self._runs = 0
        panel.image = image

    def make(self, **settings: object) -> str:
        """A server of the panel's, its game in its folder; answers its uuid."""
        uuid = str(uuid4())
        self.panel.servers[uuid] = ServerConfiguration.model_validate(
            {
                "settings": {
                    "uuid": uuid,
                    "invocation": "cd /home/container; . ./game.sh",
                    "container": {"image": self.image},
                    "build": {"oom_disabled": False},
                    **settings,
                },
                "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}},
            }
        )
        folder = self.place(uuid)
        folder.mkdir(parents=True)
        (folder / "game.sh").write_text(GAME)
        return uuid

    def place(self, uuid: str) -> Path:
        return self.data / uuid

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Program]:
        """Run one until the block ends; killed then, unless it is dead already."""
        self._runs += 1
        sections: dict[str, dict[str, object]] = {
            "log": {"level": "DEBUG"},
            "api": {"host": "127.0.0.1", "port": 0},
            "remote": {"url": self.panel.url, "token_id": self.panel.token.id, "token": self.panel.token.secret, "timeout": 5},
            "docker": {"host": self.host, "network": self.network, "network_subnet": ""},
            "system": {"root_directory": str(self.root), "data": str(self.data)},
            "sftp": {"enabled": False},
        }
        for name, values in self.extra.items():
            sections.setdefault(name, {}).update(values)
        file, log = self.folder / "agent.toml", self.folder / f"agent-{self._runs}.log"
        tables = (f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in of.items()) for name, of in sections.items())
        file.write_text("\n".join(tables))
        file.chmod(0o600)
        with log.open("wb") as out:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agent", "--config", str(file), cwd=ROOT, stdout=out, stderr=out
            )
        made = Program(child, log, self.panel.token)
        try:
            yield made
        except BaseException as error:
            error.add_note(f"the agent said:\n{made.words[-5000:]}")
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def running(self, uuid: str) -> bool:
        """What the engine says."""
        try:
            return bool((await self.docker.containers.container(uuid).show())["State"]["Running"])
        except DockerError as error:
            if error.status == 404:
                return False
            raise

    async def state(self, agent: Program, uuid: str) -> str:
        """What the agent says."""
        status, body = await agent.ask("GET", f"/api/servers/{uuid}")
        assert status == 200, body
        return str(body["state"])

    async def power(self, agent: Program, uuid: str, signal_name: str) -> int:
        return (await agent.ask("POST", f"/api/servers/{uuid}/power", {"action": signal_name}))[0]

    async def comes_to(self, agent: Program, uuid: str, state: str, within: float = PATIENCE) -> None:
        """Wait until agent and engine both say so."""
        seen = ""
        try:
            async with asyncio.timeout(within):
                while (seen := await self.state(agent, uuid)) != state or await self.running(uuid) is not (state != "offline"):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            told = (await agent.ask("GET", f"/api/servers/{uuid}"))[1].get("aerie")
            raise AssertionError(f"{uuid} is {seen}, not {state}; its container runs: {await self.running(uuid)}; {told}") from None

    def asked(self, path: str) -> Callable[[], bool]:
        """Whether the panel was asked this from now on."""
        before = self.panel.requests.count(path)
        return lambda: self.panel.requests.count(path) > before

    @asynccontextmanager
    async def event(self, action: str, name: str) -> AsyncIterator["asyncio.Task[None]"]:
        """A task that ends when the engine tells of this action of the container called so."""
        reached, begun = asyncio.Event(), asyncio.Event()

        async def follow() -> None:
            filters = json.dumps({"type": ["container"], "event": [action], "container": [name]})
            reader, writer = await asyncio.open_unix_connection(self.host.removeprefix("unix://"))
            try:
                writer.write(f"GET /events?{urlencode({'filters': filters})} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
                await reader.readuntil(b"\r\n\r\n")
                begun.set()
                await reader.readline()
                reached.set()
            finally:
                writer.close()

        async def wait() -> None:
            async with asyncio.timeout(PATIENCE):
                await reached.wait()

        following, waiting = asyncio.ensure_future(follow()), asyncio.ensure_future(wait())
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
        try:
            yield waiting
        finally:
            for task in (following, waiting):
                task.cancel()
            await asyncio.gather(following, waiting, return_exceptions=True)


@asynccontextmanager
async def scene(engine: PrivateEngine, folder: Path) -> AsyncIterator[Scene]:
    """All of it; containers and network are removed in the end."""
    opened_up(folder)
    image = await asyncio.to_thread(tiny_image.ready, EngineApi(engine.host))
    async with standing(new_node_token()) as panel:
        docker = Docker(url=engine.host)
        made = Scene(panel, docker, engine.host, image, folder)
        try:
            yield made
        finally:
            for uuid in panel.servers:
                for name in (uuid, f"{uuid}_installer"):
                    with contextlib.suppress(DockerError):
                        await docker.containers.container(name).delete(force=True, v=True)
            with contextlib.suppress(DockerError):
                await (await docker.networks.get(made.network)).delete()
            await docker.close()
