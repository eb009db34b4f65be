"""The whole split: MariaDB, Redis, the bot and two agents as processes of their own, over TLS by an authority of our own."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from core.actor import Actor
from core.clock import SystemClock
from core.errors import AerieError
from core.rpc.pool import NodePool
from core.seal import new_key
from core.services.build import opened
from core.services.servers import Limits
from core.tls import client_context
from core.vocabulary import PowerSignal, ServerState
from sandbox.app import SandboxConfig
from sandbox.app import running as sandbox_running
from tests.certificates import Authority

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds; python programs start slowly on a busy machine
EGG = {
    "meta": {"version": "PTDL_v2"},
    "name": "Echo",
    "author": "test@example.net",
    "docker_images": {"none": "none"},
    "startup": f"{sys.executable} -u -c \"import sys; print('echo is up'); [sys.exit() for line in sys.stdin if line.strip() == 'stop']\"",
    "config": {"files": "{}", "startup": '{"done": "echo is up"}', "logs": "{}", "stop": "stop"},
    "scripts": {"installation": {"script": "", "container": "none", "entrypoint": "sh"}},
    "variables": [],
}


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _program(name: str, folder: Path, settings: dict[str, dict[str, object]]) -> AsyncIterator[None]:
    """`aerie NAME` with these settings, ended politely; its words go to a file that a failure shows."""
    folder.mkdir()
    lines = [f"[{section}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items()) for section, values in settings.items()]
    (folder / "aerie.toml").write_text("\n".join(lines))
    with (folder / "log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "aerie", name, "--config", str(folder / "aerie.toml"), cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield
    except BaseException as error:
        error.add_note(f"{name} said:\n" + (folder / "log").read_text()[-3000:])
        raise
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), 30)
        except TimeoutError:
            child.kill()
            await child.wait()


async def _until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not await true():
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"{what} did not come within {PATIENCE:.0f} s") from None


async def test_servers_on_two_nodes_start_and_stop_over_tls(tmp_path: Path, database_url: str, redis_url: str) -> None:
    authority, key, clock = Authority(tmp_path), new_key(), SystemClock()
    trust, pair = client_context(authority.file), authority.pair()
    tls: dict[str, object] = {"certificate": str(pair.certificate), "key": str(pair.key)}
    own: dict[str, dict[str, object]] = {"tls": {"ca": str(authority.file)}}
    bot_port = _free()
    url = f"https://127.0.0.1:{bot_port}"
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(sandbox_running(SandboxConfig(port=0)))
        guild = int(next(iter(box.state.guilds)))
        (tmp_path / "token").write_text(box.token)
        bot: dict[str, dict[str, object]] = {
            **own,
            "discord": {"token_file": str(tmp_path / "token"), "sandbox_url": box.url},
            "database": {"url": database_url},
            "backplane": {"url": redis_url},
            "security": {"key": key},
            "endpoint": {"port": bot_port, "public_url": url, **tls},
        }
        services = await stack.enter_async_context(opened(database_url, key=key, origin=url))
        await stack.enter_async_context(_program("bot", tmp_path / "bot", bot))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)))

        async def ready() -> bool:
            try:
                async with session.get(f"{url}/ready") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await _until(ready, "the bot")
        egg = await services.eggs.import_ptdl(json.dumps(EGG).encode())
        pool = await stack.enter_async_context(NodePool(clock, trust))
        for number in (1, 2):
            port = _free()
            node, token = await services.nodes.create(f"node{number}", f"https://127.0.0.1:{port}")
            server = await services.servers.create(
                Actor.system("test"),
                name=f"echo{number}",
                egg_id=egg.id,
                node_id=node.id,
                ip="127.0.0.1",
                port=_free(),
                guild_id=guild,
                limits=Limits(memory=128),
            )
            folder = tmp_path / f"agent{number}"
            agent: dict[str, dict[str, object]] = {
                **own,
                "api": {"host": "127.0.0.1", "port": port, **tls},
                "remote": {"url": url, "token_id": token.id, "token": token.secret},
                "system": {"root_directory": str(folder), "data": str(folder / "volumes"), "check_permissions_on_boot": False},
                "docker": {"runtime": "process"},
                "sftp": {"enabled": False},
            }
            await stack.enter_async_context(_program("agent", folder, agent))
            client = pool.client(services.nodes.address(node))

            async def stands(state: ServerState) -> bool:
                try:
                    return (await client.server(server.uuid)).state is state  # noqa: B023
                except AerieError:
                    return False

            await _until(lambda: stands(ServerState.OFFLINE), f"agent {number}")
            await client.power(server.uuid, PowerSignal.START)
            await _until(lambda: stands(ServerState.RUNNING), f"the server of agent {number}")
            await client.power(server.uuid, PowerSignal.STOP)
            await _until(lambda: stands(ServerState.OFFLINE), f"the end of the server of agent {number}")
