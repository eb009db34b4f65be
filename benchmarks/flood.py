"""A minute of flood from a real container, through agent and bot, into a channel: memory stays flat, Discord is never asked too often.

Sandbox in this process; bot and agent as programs of their own; a container that prints as fast as its TTY takes it. The yardstick is each
program's own memory after the first third, when buffers are full: what it holds at the end is compared with that. A 429 fails the run.
Needs a Docker Engine and Linux: `make bench NAME=flood`.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from benchmarks.command_latency import ROOT, child
from core.actor import Actor
from core.services.build import opened
from demo import containers, images
from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import NotSeen, Person
from setup.engine_api import EngineApi
from setup.sockets import free_port

LINE = "[12:00:00] [Server thread/INFO]: " + "x" * 60
FLOOD = f"sh -c 'echo up; yes \"{LINE}\"'"
SAMPLE_SECONDS = 1.0


async def furnish(database_url: str, agent_port: int, box: Sandbox) -> tuple[str, str, str]:
    """A node, a server that floods as long as it runs, its console attached to #console. Answers its uuid and the node's token."""
    guild_id = next(int(channel.guild_id or 0) for channel in box.state.channels())
    console = next(int(channel.id) for channel in box.state.channels() if channel.name == "console")
    aerie = Actor.system("benchmark")
    egg_file = json.loads((ROOT / "demo" / "eggs" / "freeciv.json").read_text())
    egg_file["startup"] = FLOOD
    egg_file["config"]["startup"] = json.dumps({"done": "up"})
    egg_file["config"]["stop"] = "^C"
    egg_file["docker_images"] = {"flood": images.tags()["freeciv"]}
    async with opened(database_url) as services:
        guild = box.state.guilds[str(guild_id)]
        await services.guilds.bind(guild_id, int(guild.owner_id), guild.name)
        node, token = await services.nodes.create("flooding", f"http://127.0.0.1:{agent_port}")
        egg = await services.eggs.import_ptdl(json.dumps(egg_file).encode())
        server = await services.servers.create(
            aerie, name="Flood", egg_id=egg.id, node_id=node.id, ip="127.0.0.1", port=free_port(), guild_id=guild_id
        )
        await services.guilds.attach_console(aerie, server.uuid, console)
        return server.uuid, token.id, token.secret


def resident(pid: int) -> float:
    """Resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def settings(path: Path, sections: dict[str, dict[str, Any]]) -> Path:
    path.write_text(
        "\n".join(f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in of.items()) for name, of in sections.items())
    )
    return path


async def sampled(pids: dict[str, int], seconds: float) -> dict[str, list[float]]:
    """Memory of each program once a second."""
    found: dict[str, list[float]] = {name: [] for name in pids}
    for _ in range(int(seconds / SAMPLE_SECONDS)):
        await asyncio.sleep(SAMPLE_SECONDS)
        for name, pid in pids.items():
            found[name].append(resident(pid))
    return found


@asynccontextmanager
async def removed(api: EngineApi, uuid: str) -> AsyncIterator[None]:
    """The container is gone after the block: agents leave theirs running."""
    try:
        yield
    finally:
        await containers.stop_all(api, [uuid])


async def answering(port: int, token: str) -> None:
    """Wait until the agent has looked at its servers."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session, asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/api/servers") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)


async def started(ada: Person) -> None:
    """Start the server, again while the bot still thinks that the node is away."""
    for _ in range(10):
        await ada.run("server start", channel="general", server="Flood")
        with suppress(NotSeen):
            await ada.wait_for(lambda message: "Server thread" in message["content"], 6, channel="console")
            return
    raise NotSeen("the flood never reached the console channel")


async def main(seconds: float) -> dict[str, object]:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        await asyncio.to_thread(images.prepare, EngineApi(host), place / "images.log")
        async with running(SandboxConfig()) as box:
            database_url = f"sqlite+aiosqlite:///{place}/aerie.sqlite3"
            bot_port, agent_port = free_port(), free_port()
            uuid, token_id, token = await furnish(database_url, agent_port, box)
            bot_file = settings(
                place / "bot.toml",
                {
                    "log": {"level": "WARNING"},
                    "discord": {"token": box.token, "sandbox_url": box.url},
                    "database": {"url": database_url},
                    "endpoint": {"host": "127.0.0.1", "port": bot_port},
                },
            )
            agent_file = settings(
                place / "agent.toml",
                {
                    "log": {"level": "WARNING"},
                    "api": {"host": "127.0.0.1", "port": agent_port},
                    "remote": {"url": f"http://127.0.0.1:{bot_port}", "token_id": token_id, "token": token},
                    "system": {"root_directory": str(place / "agent"), "data": str(place / "volumes")},
                    "docker": {"host": host, "network": "none"},
                },
            )
            async with (
                removed(EngineApi(host), uuid),
                child("-m", "bot", "--config", str(bot_file)) as bot,
                Person.connect(box.url, "Ada") as ada,
                child("-m", "agent", "--config", str(agent_file)) as agent,
            ):
                await ada.wait_until(lambda: bool(ada.bot["online"] and ada.commands), 30, "the bot")
                await answering(agent_port, token)
                await started(ada)
                found = await sampled({"bot": bot.pid, "agent": agent.pid}, seconds)
                assert bot.returncode is None and agent.returncode is None
            hits = box.rate_limit_hits
    assert hits == 0, f"{hits} requests were answered with 429"
    third = max(1, int(seconds / SAMPLE_SECONDS) // 3)
    before = {name: statistics.median(values[third - 5 : third] or values[:third]) for name, values in found.items()}
    after = {name: statistics.median(values[-5:]) for name, values in found.items()}
    return {
        "benchmark": "flood",
        "ratios": {name: round(after[name] / before[name], 3) for name in found},
        "figures": {**{f"{name}_mb": round(value, 1) for name, value in after.items()}, "seconds": seconds, "rate_limit_hits": hits},
        "yardsticks": {f"{name}_mb_after_a_third": round(value, 1) for name, value in before.items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it floods")
    print(json.dumps(uvloop.run(main(parser.parse_args().seconds))))
