"""How long a slash command waits for its acknowledgement, idle and while one server floods 10,000 lines a second into a channel.

Measured in the sandbox, from INTERACTION_CREATE leaving it to the acknowledgement arriving. The bot runs as in production, in a process of
its own, on SQLite and in-memory backplane; the node is a third process that speaks Wings' WebSocket and does nothing but flood. The idle
figure is the yardstick of the same run. The flood's lines really reach the channel, and a single 429 fails the run.
"""

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from aiohttp import web

from core.actor import Actor
from core.services.build import opened
from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Person
from sandbox.seed import Seed, SeedChannel, demo_seed

ROOT = Path(__file__).resolve().parent.parent
LINES_PER_SECOND = 10_000
BATCHES_PER_SECOND = 50
WARM_UP = 30
ROOMS = 80  # channels that commands are given in: Discord takes 30 answers per minute and channel


class FloodingNode:
    """A node with any number of servers that are always running; `rate` lines a second come out of each."""

    def __init__(self) -> None:
        self.rate = 0
        self.sent = 0
        self._sockets: set[web.WebSocketResponse] = set()

    async def serve(self) -> None:
        """Listen, print the port, and flood as the standard input says: one number per line, lines per second."""
        app = web.Application()
        app.router.add_get("/api/system", self._system)
        app.router.add_get("/api/servers/{uuid}/ws", self._socket)
        app.router.add_post("/api/servers/{uuid}/commands", self._accept)
        app.router.add_post("/api/servers", self._accept)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async with asyncio.TaskGroup() as group:
            flood = group.create_task(self._flood())
            while line := await reader.readline():
                self.rate = int(line)
                print(self.sent, flush=True)
            flood.cancel()
        await runner.cleanup()

    async def _flood(self) -> None:
        seq, due = 1, time.monotonic()
        while True:
            if self.rate and self._sockets:
                lines = [f"[12:00:00] [Server thread/INFO]: line {seq + n} {'x' * 60}" for n in range(self.rate // BATCHES_PER_SECOND)]
                body = json.dumps({"first_seq": seq, "lines": lines, "dropped": 0})
                text = json.dumps({"event": "aerie.console", "args": [body]})
                for socket in self._sockets.copy():
                    if not socket.closed:
                        await socket.send_str(text)
                seq += len(lines)
                self.sent += len(lines)
            due = max(due + 1 / BATCHES_PER_SECOND, time.monotonic() - 0.5)
            await asyncio.sleep(max(due - time.monotonic(), 0))

    async def _system(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "1.11.13", "docker": {}, "system": {}})

    async def _accept(self, _request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            async for message in socket:
                event = json.loads(message.data)["event"]
                if event == "auth":
                    await socket.send_json({"event": "auth success"})
                    await socket.send_json({"event": "status", "args": ["running"]})
                elif event == "aerie.batch":
                    self._sockets.add(socket)
        finally:
            self._sockets.discard(socket)
        return socket


@asynccontextmanager
async def child(*arguments: str, quiet: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process that ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL if quiet else None,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(15):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def tell(node: asyncio.subprocess.Process, rate: int) -> int:
    """Set the flood's rate; answers how many lines were sent so far."""
    assert node.stdin is not None and node.stdout is not None
    node.stdin.write(f"{rate}\n".encode())
    await node.stdin.drain()
    return int(await node.stdout.readline())


async def furnish(database_url: str, node_url: str, box: Sandbox) -> None:
    """One node, one egg, one server of the sandbox's guild, its console attached to #console."""
    guild_id = next(int(channel.guild_id or 0) for channel in box.state.channels())
    console = next(int(channel.id) for channel in box.state.channels() if channel.name == "console")
    aerie = Actor.system("benchmark")
    async with opened(database_url) as services:
        guild = box.state.guilds[str(guild_id)]
        await services.guilds.bind(guild_id, int(guild.owner_id), guild.name)
        node, _ = await services.nodes.create("flooding", node_url)
        egg = await services.eggs.import_ptdl((ROOT / "demo" / "eggs" / "luanti.json").read_bytes())
        server = await services.servers.create(
            aerie, name="Luanti", egg_id=egg.id, node_id=node.id, ip="127.0.0.1", port=30000, guild_id=guild_id
        )
        await services.guilds.attach_console(aerie, server.uuid, console)


def seed() -> Seed:
    """The demo community with many more channels."""
    made = demo_seed()
    made.guilds[0].channels.extend(SeedChannel(name=f"room-{number}") for number in range(ROOMS))
    return made


async def measure(box: Sandbox, ada: Person, count: int) -> list[float]:
    """Seconds until each of `count` commands was acknowledged, one after another."""
    times: list[float] = []
    for number in range(count):
        before = len(box.acknowledged_after)
        room = f"room-{number % ROOMS}"
        if number % 2:
            await ada.run("server list", channel=room)
        else:
            await ada.run("console send", channel=room, server="Luanti", line="status")
        async with asyncio.timeout(10):
            while len(box.acknowledged_after) == before:
                await asyncio.sleep(0.002)
        times.append(box.acknowledged_after[-1])
        await asyncio.sleep(0.02)
    return times


def percentile(times: list[float], share: float) -> float:
    """Milliseconds."""
    ordered = sorted(times)
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 3)


async def main(count: int) -> dict[str, object]:
    async with running(SandboxConfig(seed=seed())) as box, child("-m", "benchmarks.command_latency", "--node") as node:
        assert node.stdout is not None
        port = int(await node.stdout.readline())
        with TemporaryDirectory() as folder:
            database_url = f"sqlite+aiosqlite:///{folder}/aerie.sqlite3"
            await furnish(database_url, f"http://127.0.0.1:{port}", box)
            settings = Path(folder) / "aerie.toml"
            settings.write_text(
                f'[log]\nlevel = "WARNING"\n[discord]\ntoken = "{box.token}"\nsandbox_url = "{box.url}"\n'
                f'[database]\nurl = "{database_url}"\n[endpoint]\nport = 0\n'
            )
            async with child("-m", "bot", "--config", str(settings)) as bot, Person.connect(box.url, "Ada") as ada:
                await ada.wait_until(lambda: bool(ada.bot["online"] and ada.commands), 30, "the bot")
                await ada.wait_for(lambda message: "Luanti" in message["content"], 30, channel="console")
                await measure(box, ada, WARM_UP)
                gc.freeze()  # the instrument's own pauses are not the bot's
                idle = await measure(box, ada, count)
                began, sent = time.monotonic(), await tell(node, LINES_PER_SECOND)
                await asyncio.sleep(3)
                loaded = await measure(box, ada, count)
                rate = (await tell(node, 0) - sent) / (time.monotonic() - began)
                shown = await ada.wait_for(lambda message: "line " in message["content"], 10, channel="console")
                assert shown and bot.returncode is None
    assert box.rate_limit_hits == 0, f"{box.rate_limit_hits} requests were answered with 429"
    figures = {
        "idle_p50_ms": percentile(idle, 0.5),
        "idle_p99_ms": percentile(idle, 0.99),
        "loaded_p50_ms": percentile(loaded, 0.5),
        "loaded_p99_ms": percentile(loaded, 0.99),
        "lines_per_second": round(rate),
        "rate_limit_hits": box.rate_limit_hits,
        "commands": count,
    }
    return {
        "benchmark": "command_latency",
        "ratios": {"p99_loaded_over_idle": round(percentile(loaded, 0.99) / percentile(idle, 0.99), 3)},
        "figures": figures,
        "yardsticks": {"idle_p99_ms": figures["idle_p99_ms"]},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=300, help="commands measured idle and again under load")
    parser.add_argument("--node", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.node:
        uvloop.run(FloodingNode().serve())
    else:
        print(json.dumps(uvloop.run(main(chosen.commands))))
