"""The agent on podman's Docker-compatible socket: a server's whole life, as on Docker.

Skipped with the reason where podman can run no container, as in sandboxes whose kernel keeps back what it needs.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from agent.app import running
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token
from core.vocabulary import PowerSignal, ServerState
from tests.fakes.panel import Panel, standing
from tests.real.places import opened_up
from tests.real.podman import IMAGE, Podman, Unable, service
from tests.real.test_docker_runtime import GAME
from tests.real.test_install import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

INSTALL = f"cat > /mnt/server/game.sh <<'END'\n{GAME}\nEND\necho installed as $(id -u)\n"


NOBODY = 65534


@pytest.fixture(scope="module")
def podman(podman_program: str) -> Iterator[Podman]:
    yield from _standing(podman_program, 0)


@pytest.fixture(scope="module")
def rootless(podman_program: str) -> Iterator[Podman]:
    if os.geteuid() != 0:
        pytest.skip("only root can run a podman as somebody else")
    yield from _standing(podman_program, NOBODY)


def _standing(program: str, user: int) -> Iterator[Podman]:
    try:
        with service(program, user) as made:
            yield made
    except Unable as error:
        pytest.skip(f"podman runs no container here: {error}")


@pytest.fixture
async def panel() -> AsyncIterator[Panel]:
    async with standing(new_node_token()) as panel:
        panel.image = f"~{IMAGE}"
        yield panel


def settings(podman: Podman, panel: Panel, folder: Path, network: str) -> dict[str, dict[str, object]]:
    return {
        "api": {"host": "127.0.0.1", "port": 0},
        "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret, "timeout": 5},
        # addresses of its own: another engine of this machine gives out those of the default pool meanwhile
        "docker": {"host": podman.host, "network": network, "network_subnet": "", "network_pool": "10.214.0.0/16"},
        "system": {"root_directory": str(folder / "root"), "data": str(folder / "root" / "volumes")},
        "sftp": {"enabled": False},
    }


def game(uuid: str) -> ServerConfiguration:
    return ServerConfiguration.model_validate(
        {
            "settings": {
                "uuid": uuid,
                "invocation": "bash /home/container/game.sh",
                "container": {"image": f"~{IMAGE}"},
                "build": {"memory_limit": 64, "swap": 0, "cpu_limit": 50, "oom_disabled": False},
            },
            "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}},
        }
    )


async def test_a_servers_whole_life_on_podman(podman: Podman, panel: Panel, tmp_path: Path) -> None:
    config = AgentConfig.model_validate(settings(podman, panel, opened_up(tmp_path), "aerie_test"))
    uuid = str(uuid4())
    panel.scripts[uuid], panel.servers[uuid] = INSTALL, game(uuid)
    async with running(config) as agent, aiohttp.ClientSession(headers={"Authorization": f"Bearer {panel.token.secret}"}) as http:
        async with http.get(f"{agent.url}/api/system?v=2") as answer:
            assert (await answer.json())["docker"]["version"]
        async with http.post(f"{agent.url}/api/servers", json={"uuid": uuid, "start_on_completion": False}) as answer:
            assert answer.status == 202, await answer.text()
        await until(lambda: uuid in panel.installs, within=60)
        assert panel.installs[uuid].successful, panel.installs[uuid].aerie_reason
        await until(lambda: agent.manager.get(uuid).end_installation is None)
        server = agent.manager.get(uuid)

        server.power(PowerSignal.START)
        await until(lambda: server.state is ServerState.RUNNING, within=60)
        await server.command("hello")
        await until(lambda: "got hello" in server.console.history(50))
        await until(lambda: server.stats().memory_bytes > 0 and server.stats().uptime > 0)
        assert server.stats().memory_limit_bytes < 200_000_000, "the memory limit did not reach podman"

        server.power(PowerSignal.STOP)
        await until(lambda: server.state is ServerState.OFFLINE, within=60)
        assert server.last_exit is not None
        assert server.last_exit.code == 0

        server.power(PowerSignal.START)
        await until(lambda: server.state is ServerState.RUNNING, within=60)
        await server.command("crash")
        await until(lambda: server.last_exit is not None and server.last_exit.code == 9)
        await until(lambda: server.crash is not None and server.state is ServerState.RUNNING, within=60)  # started again
        await server.command("before the agent went")
        await until(lambda: "got before the agent went" in server.console.history(50))
        began = podman.run("inspect", "--format={{.State.Pid}}", uuid)

    async with running(config) as agent:
        server = agent.manager.get(uuid)
        assert server.state is ServerState.RUNNING
        assert podman.run("inspect", "--format={{.State.Pid}}", uuid) == began, "it was not left running"
        await server.command("after it came back")
        await until(lambda: "got after it came back" in server.console.history(50))

        podman.run("stop", "--time=0", uuid)  # somebody else: podman's own events tell it
        await until(lambda: server.last_exit is not None and server.last_exit.code == 137)
        await until(lambda: server.state is ServerState.RUNNING, within=60)

        server.power(PowerSignal.KILL)
        await until(lambda: server.state is ServerState.OFFLINE, within=60)
        await agent.manager.delete(uuid)
        await until(lambda: not (config.system.data / uuid).exists())
    assert podman.run("ps", "--all", "--quiet").strip() == ""


class Process:
    """An agent of its own process and user, seen through its API alone."""

    def __init__(self, panel: Panel, user: int, wanted: dict[str, dict[str, object]], folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
            wanted["api"]["port"] = free.getsockname()[1]
        self._headers = {"Authorization": f"Bearer {panel.token.secret}"}
        self._user, self._log, self._file = user, folder / "agent.log", folder / "aerie.toml"
        lines = [
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()) for name, table in wanted.items()
        ]
        self._file.write_text("\n".join(lines))
        os.chown(self._file, user, user)

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        with self._log.open("ab") as log:
            # of root's rights it keeps that to read, since this machine's Python may lie in root's home
            rights = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
            user = [f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups", *rights]
            command = ["setpriv", *user, sys.executable, "-m", "agent", "--config", str(self._file)]
            running = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        try:
            await self.until(lambda: self.says("GET", "/servers"), "[")
            yield
        finally:
            if running.returncode is None:
                running.terminate()
            await asyncio.wait_for(running.wait(), 30)

    async def says(self, method: str, path: str, body: object = None) -> str:
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers) as http,
                http.request(method, f"{self.url}/api{path}", json=body) as answer,
            ):
                return await answer.text()
        except aiohttp.ClientError:
            return "does not listen"

    async def until(self, ask: Callable[[], Awaitable[str]], wanted: str) -> None:
        said = ""
        try:
            async with asyncio.timeout(60):
                while wanted not in (said := await ask()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{wanted!r} never came; last: {said[:200]} … {said[-600:]}\n{self._log.read_text()[-2000:]}")


async def test_an_agent_without_root_on_a_podman_without_root(rootless: Podman, panel: Panel) -> None:
    folder = rootless.folder / "agent"  # pytest's own is closed to others by the next pytest on the machine
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    uuid = str(uuid4())
    panel.scripts[uuid], panel.servers[uuid] = INSTALL, game(uuid)
    # a network for a user who is not root needs /dev/net/tun, which not every machine opens to all
    process = Process(panel, NOBODY, settings(rootless, panel, folder, "none"), folder)
    one = f"/servers/{uuid}"

    async def log() -> str:
        return await process.says("GET", f"{one}/logs?size=50")

    async def shown() -> str:
        return await process.says("GET", one)

    async with process.standing():
        await process.says("POST", "/servers", {"uuid": uuid, "start_on_completion": True})
        await until(lambda: uuid in panel.installs, within=60)
        assert panel.installs[uuid].successful, panel.installs[uuid].aerie_reason
        await process.until(shown, '"state":"running"')
        await process.says("POST", f"{one}/commands", {"commands": ["hello"]})
        await process.until(log, "got hello")
        began = rootless.run("inspect", "--format={{.State.Pid}}", uuid)
    async with process.standing():
        await process.until(shown, '"state":"running"')
        assert rootless.run("inspect", "--format={{.State.Pid}}", uuid) == began, "it was not left running"
        await process.says("POST", f"{one}/power", {"action": "stop"})
        await process.until(shown, '"state":"offline"')
        await process.says("POST", f"{one}/power", {"action": "start"})
        await process.until(shown, '"state":"running"')
        rootless.run("kill", uuid)
        await process.until(shown, '"code":137')
        await process.until(shown, '"state":"running"')
        await process.says("DELETE", one)
        await process.until(lambda: process.says("GET", "/servers"), "[]")
    assert rootless.run("ps", "--all", "--quiet").strip() == ""
