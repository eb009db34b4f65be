"""An agent holds a connection to the engine for each console: hundreds of them leave the engine as reachable as before."""

import asyncio
import json
import resource
from pathlib import Path

from agent.app import MOST_FILES, running
from agent.runtime.docker import DockerRuntime
from core.clock import SystemClock
from core.config import AgentConfig
from core.tokens import new_node_token
from tests.agent.api.conftest import config as agent_config
from tests.fakes.panel import standing

CONSOLES = 130
"""More than the hundred connections that aiohttp allows by itself."""


OURS = {"Service": "Pterodactyl", "ContainerType": "server_process"}


async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says of every container that it has a terminal, and holds whoever attaches or follows events."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            if b"/attach" in path:
                writer.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                await reader.read()
                break
            if b"/events" in path:
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n")
                await reader.read()
                break
            body = json.dumps(
                {
                    "ApiVersion": "1.41",
                    "Config": {"Tty": True, "Labels": OURS},
                    "State": {"Running": False, "Status": "created", "StartedAt": "", "Pid": 0},
                }
            ).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def test_hundreds_of_consoles_leave_the_engine_reachable(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(engine, tmp_path / "engine")
    config = AgentConfig.model_validate({"docker": {"host": f"unix://{tmp_path / 'engine'}", "network": "none"}})
    runtime = DockerRuntime(config, SystemClock())
    await runtime.open()
    try:
        async with asyncio.timeout(60):
            held = [await runtime.attach(f"server-{number}") for number in range(CONSOLES)]
            assert (await runtime.inspect("another")).exists
        for one in held:
            await one.close()
    finally:
        await runtime.close()
        server.close()


async def test_a_running_agent_may_open_many_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        async with standing(new_node_token()) as panel, running(agent_config(panel, tmp_path)):
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            assert most >= (min(hard, MOST_FILES) if hard != resource.RLIM_INFINITY else MOST_FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
