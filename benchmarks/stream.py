"""500 servers on one node, heard over one stream, beside a socket per server: CPU of the agent and of the listening control plane.

Each server tells its stats once a second, as a running one does. The yardstick, in the same run and with the same frames, is what a stock
Wings needs: a socket for each. The agent and the listener are processes of their own; the listener types every frame, as the bot does.
Needs neither Docker nor root: `make bench NAME=stream`.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import uvloop

from agent.app import running
from core.clock import SystemClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import StatsFrame
from core.rpc.client import NodeAddress
from core.rpc.node_events import NodeEvents
from core.rpc.pool import NodePool
from core.rpc.stream import ServerStream, StreamFrame
from core.supervise import Supervisor
from core.tokens import NodeToken, new_node_token
from core.vocabulary import ServerState
from tests.fakes.panel import standing

SERVERS = 500
SECONDS = 20
WARM_UP = 5


def cpu_of(pid: int) -> float:
    """Seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def serve(folder: str) -> None:
    """An agent with SERVERS servers; says where it is, then tells stats of each until its input ends."""
    async with standing(new_node_token()) as panel:
        for _ in range(SERVERS):
            uuid = str(uuid4())
            panel.servers[uuid] = ServerConfiguration.model_validate({"settings": {"uuid": uuid, "skip_egg_scripts": True}})
        config = AgentConfig.model_validate(
            {
                "api": {"host": "127.0.0.1", "port": 0},
                "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret},
                "system": {"root_directory": Path(folder), "data": Path(folder) / "volumes"},
                "docker": {"runtime": "process"},
                "sftp": {"enabled": False},
            }
        )
        async with running(config) as agent:
            token = {"id": panel.token.id, "secret": panel.token.secret}
            print(json.dumps({"url": agent.url, **token, "origin": panel.url, "servers": list(panel.servers)}), flush=True)
            servers, second = agent.manager.all(), 0
            while True:
                second += 1
                for server in servers:
                    stats = StatsFrame(memory_bytes=1 << 30, cpu_absolute=second % 90, uptime=second, state=ServerState.RUNNING)
                    server.events.publish(stats)
                await asyncio.sleep(1)


async def listen(place: str, together: bool) -> None:
    """Hear all servers; print how many frames came in SECONDS, and the CPU that took."""
    told = json.loads(place)
    heard = 0

    async def take(_uuid: str, _frame: StreamFrame) -> None:
        nonlocal heard
        heard += 1

    async def read(stream: ServerStream, uuid: str) -> None:
        async for frame in stream:
            await take(uuid, frame)

    clock = SystemClock()
    async with NodePool() as pool, Supervisor("listen", clock) as tasks:
        client = pool.client(NodeAddress(1, "kite", told["url"], NodeToken(told["id"], told["secret"]), told["origin"]))
        events = NodeEvents(client, clock, tasks, take)
        streams = [(ServerStream(client, uuid, clock), uuid) for uuid in told["servers"]]
        if together:
            await events.want(set(told["servers"]), {})
            tasks.spawn("events", events.run())
        else:
            for stream, uuid in streams:
                tasks.spawn("stream", read(stream, uuid))
        await asyncio.sleep(WARM_UP)
        print("ready", flush=True)
        before, used = heard, time.process_time()
        await asyncio.sleep(SECONDS)
        print(json.dumps({"frames": heard - before, "cpu": time.process_time() - used}), flush=True)
        os._exit(0)  # five hundred goodbyes are not what is measured


async def measured(agent: int, place: str, mode: str) -> tuple[float, float, int]:
    """Percent of one core that the agent and the listener used, and the frames that came."""
    listener = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.stream", "--listen", place, mode, stdout=asyncio.subprocess.PIPE
    )
    assert listener.stdout is not None
    await listener.stdout.readline()
    before = cpu_of(agent)
    result = json.loads(await listener.stdout.readline())
    used = cpu_of(agent) - before
    await listener.wait()
    return 100 * used / SECONDS, 100 * result["cpu"] / SECONDS, result["frames"]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        agent = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.stream", "--serve", folder, stdout=asyncio.subprocess.PIPE, limit=1 << 20
        )
        assert agent.stdout is not None
        try:
            place = (await agent.stdout.readline()).decode()
            apart_agent, apart_bot, apart_frames = await measured(agent.pid, place, "apart")
            await asyncio.sleep(2)
            agent_cpu, bot_cpu, frames = await measured(agent.pid, place, "together")
        finally:
            agent.terminate()
            await agent.wait()
    report = {
        "benchmark": "stream",
        "ratios": {"agent_cpu": round(agent_cpu / apart_agent, 3), "bot_cpu": round(bot_cpu / apart_bot, 3)},
        "figures": {"agent_cpu_percent": round(agent_cpu, 1), "bot_cpu_percent": round(bot_cpu, 1), "frames_s": frames / SECONDS},
        "yardsticks": {
            "agent_cpu_percent": round(apart_agent, 1),
            "bot_cpu_percent": round(apart_bot, 1),
            "frames_s": apart_frames / SECONDS,
        },
    }
    print(json.dumps(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", metavar="FOLDER")
    parser.add_argument("--listen", nargs=2, metavar=("PLACE", "MODE"))
    wanted = parser.parse_args()
    if wanted.serve:
        uvloop.run(serve(wanted.serve))
    elif wanted.listen:
        uvloop.run(listen(wanted.listen[0], wanted.listen[1] == "together"))
    else:
        asyncio.run(main())
