"""Ten thousand sockets on one agent: what they cost idle, and how long one line on every console takes to reach them all.

No yardstick but the figures themselves. The agent runs in this process without an engine, under a fake panel, with 334 servers of 30
sockets each; the clients are two processes of their own, let in by the node's token, since a household is not let open so many. Needs
Linux and 20,000 descriptors: `make bench NAME=sockets`.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from uuid import uuid4

import aiohttp
import uvloop

from agent.app import Agent, running
from benchmarks.flood import resident
from benchmarks.herd import cpu_seconds
from core.clock import SystemClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token, sign_socket_token
from tests.fakes.panel import standing

PER_SERVER = 30
AT_ONCE = 100
IDLE_SECONDS = 20.0
LINES = 5
CLIENTS = 2


async def client() -> None:
    """Open a socket for each server in the order on stdin, so many times; say `open`; then `heard` whenever all of them got a line."""
    order = json.loads(sys.stdin.readline())
    gate, left, heard = asyncio.Semaphore(AT_ONCE), len(order["servers"]), 0
    opened, done = asyncio.Event(), asyncio.Event()

    async def entered(session: aiohttp.ClientSession, uuid: str) -> aiohttp.ClientWebSocketResponse:
        socket: aiohttp.ClientWebSocketResponse = await session.ws_connect(f"/api/servers/{uuid}/ws", origin=order["origin"])
        token = sign_socket_token(order["secret"], server_uuid=uuid, permissions=["*"], now=SystemClock().now(), user_uuid="b")
        await socket.send_json({"event": "auth", "args": [token]})
        while '"stats"' not in await socket.receive_str():
            pass
        return socket

    async def one(session: aiohttp.ClientSession, uuid: str) -> None:
        nonlocal left, heard
        async with gate:
            while True:
                try:
                    socket = await entered(session, uuid)
                    break
                except (aiohttp.ClientError, OSError, TypeError) as error:
                    print(f"once more: {error!r}", file=sys.stderr, flush=True)
        left -= 1
        if not left:
            opened.set()
        async for message in socket:
            if '"console output"' in message.data:
                heard += 1
                if heard % len(order["servers"]) == 0:
                    print(f"heard {time.monotonic()}", flush=True)
        print(f"a socket ended: {socket.close_code}", file=sys.stderr, flush=True)
        done.set()  # which ends the measurement

    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {order['secret']}"}
    async with aiohttp.ClientSession(order["url"], headers=headers, connector=connector) as session:
        tasks = [asyncio.create_task(one(session, uuid)) for uuid in order["servers"]]
        await opened.wait()
        print("open", flush=True)
        await done.wait()
        for task in tasks:
            task.cancel()


async def said(process: Process, word: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(600):
        line = (await process.stdout.readline()).decode().split()
    assert line[:1] == [word], f"a client ended: {line}"
    return line[-1]


async def begun(agent: Agent, secret: str, origin: str, servers: list[str]) -> Process:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.sockets", "--client", stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    order = {"url": agent.url, "secret": secret, "origin": origin, "servers": servers}
    process.stdin.write(json.dumps(order).encode() + b"\n")
    await process.stdin.drain()
    return process


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with standing(new_node_token()) as panel:
            for _ in range(-(-count // PER_SERVER)):
                uuid = str(uuid4())
                panel.servers[uuid] = ServerConfiguration.model_validate({"settings": {"uuid": uuid, "invocation": "true"}})
            config = AgentConfig.model_validate(
                {
                    "api": {"host": "127.0.0.1", "port": 0},
                    "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret},
                    "system": {"root_directory": folder, "data": Path(folder) / "volumes"},
                    "docker": {"runtime": "process"},
                    "sftp": {"enabled": False},
                }
            )
            async with running(config) as agent:
                wanted = [uuid for uuid in panel.servers for _ in range(PER_SERVER)][:count]
                before, began = resident(os.getpid()), time.monotonic()
                clients = [await begun(agent, panel.token.secret, panel.url, wanted[number::CLIENTS]) for number in range(CLIENTS)]
                for process in clients:
                    await said(process, "open")
                open_s, memory = time.monotonic() - began, resident(os.getpid())
                busy, began = cpu_seconds([os.getpid()]), time.monotonic()
                await asyncio.sleep(IDLE_SECONDS)
                idle = (cpu_seconds([os.getpid()]) - busy) / (time.monotonic() - began) * 100
                took = []
                for _ in range(LINES):
                    began = time.monotonic()
                    for server in agent.manager.all():
                        server.console.feed(b"a line for everybody\n")
                    took.append(max([float(await said(process, "heard")) for process in clients]) - began)
                for process in clients:
                    process.kill()
                    await process.wait()
                await asyncio.sleep(5.0)  # the agent sees them off before it ends itself
    report = {
        "benchmark": "sockets",
        "ratios": {},
        "figures": {
            "sockets": count,
            "open_s": round(open_s, 1),
            "kib_per_socket": round((memory - before) * 1024 / count, 1),
            "idle_cpu_percent": round(idle, 1),
            "line_to_all_s": round(sorted(took)[len(took) // 2], 2),
        },
        "yardsticks": {},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--client", action="store_true")
    arguments = parser.parse_args()
    uvloop.run(client() if arguments.client else main(arguments.sockets))
