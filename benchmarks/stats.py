"""What measuring costs: CPU seconds of the agent that measures 50 running containers each second, beside Docker's stats stream for them.

Yardstick: a program that follows Docker's stats stream of the same 50 containers and calculates the same figures. Counted on both sides:
the program, and what dockerd, containerd and the containers' shims use more than when nobody asks. Rounds alternate; medians are compared.
The agent's side is all the agent does meanwhile, with every figure sent to a WebSocket for five of the servers. Needs a Docker Engine on
this machine: `make bench NAME=stats`.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from uuid import uuid4

import aiohttp
import uvloop
from aiodocker import Docker

from agent.runtime.docker_records import measured
from benchmarks.herd import ROOT, Herd, agent, attached, cpu_seconds, engine_pids, herd
from core.clock import SystemClock
from core.protocol.socket import StatsFrame
from core.tokens import sign_socket_token

SERVERS = 50
SECONDS = 30.0
ROUNDS = 3
WATCHED = 5
SETTLE_SECONDS = 3.0


async def follow(host: str, uuids: list[str]) -> None:
    """The yardstick's program: read, parse and calculate, until it is ended. Says when all streams speak."""
    silent = set(uuids)
    docker = Docker(url=host)
    docker.connector._limit = 0

    async def one(uuid: str) -> None:
        async for record in docker.containers.container(uuid).stats(stream=True):
            if measured(record, 0.0) is not None and silent:
                silent.discard(uuid)
                if not silent:
                    print("ready", flush=True)

    await asyncio.gather(*(one(uuid) for uuid in uuids))


async def watch(those: Herd, uuid: str, heard: list[StatsFrame]) -> None:
    """Every figure one server's socket is told."""
    token = sign_socket_token(those.panel.token.secret, server_uuid=uuid, permissions=["*"], now=SystemClock().now(), user_uuid="b")
    url = f"http://127.0.0.1:{those.port}/api/servers/{uuid}/ws"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, origin=those.panel.url) as socket:
        await socket.send_json({"event": "auth", "args": [token]})
        async for message in socket:
            frame = json.loads(message.data)
            if frame["event"] == "stats":
                heard.append(StatsFrame.model_validate_json(frame["args"][0]))


class Scale:
    """CPU of a program and the engine over a span."""

    def __init__(self, engine: list[int]) -> None:
        self.engine = engine

    async def weigh(self, pid: int, seconds: float) -> tuple[float, float]:
        """The program's and the engine's CPU seconds."""
        before = cpu_seconds([pid]), cpu_seconds(self.engine)
        await asyncio.sleep(seconds)
        return cpu_seconds([pid]) - before[0], cpu_seconds(self.engine) - before[1]


async def ours(those: Herd, scale: Scale, seconds: float) -> tuple[float, float]:
    async with agent(those) as process, those.client() as session:
        await attached(those, session, process)
        heard: dict[str, list[StatsFrame]] = {uuid: [] for uuid in those.uuids[:WATCHED]}
        watching = [asyncio.create_task(watch(those, uuid, frames)) for uuid, frames in heard.items()]
        await asyncio.sleep(SETTLE_SECONDS)
        counted = [len(frames) for frames in heard.values()]
        weighed = await scale.weigh(process.pid, seconds)
        for already, frames in zip(counted, heard.values(), strict=True):
            told = frames[already:]
            assert len(told) >= seconds * 0.9, f"only {len(told)} figures in {seconds:.0f} s"
            assert all(frame.memory_bytes > 0 and frame.uptime > 0 for frame in told), "empty figures"
        for task in watching:
            task.cancel()
    return weighed


async def theirs(those: Herd, scale: Scale, seconds: float) -> tuple[float, float]:
    command = ["-m", "benchmarks.stats", "--follow", those.config.docker.host, *those.uuids]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readline()
    await asyncio.sleep(SETTLE_SECONDS)
    weighed = await scale.weigh(process.pid, seconds)
    process.terminate()
    await process.wait()
    return weighed


async def main(count: int, seconds: float, rounds: int) -> None:
    network = f"aerie_bench_{uuid4().hex[:8]}"
    async with herd(count, network=network) as those:
        host = those.config.docker.host or os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        docker = Docker(url=host)
        shown = [await docker.containers.container(uuid).show() for uuid in those.uuids]
        await docker.close()
        scale = Scale(engine_pids(host, [one["State"]["Pid"] for one in shown]))
        mine, yard, idle = [], [], []
        for number in range(rounds):
            idle.append((await scale.weigh(os.getpid(), seconds))[1])
            yard.append(await theirs(those, scale, seconds))
            mine.append(await ours(those, scale, seconds))
            for name, (program, engine) in (("nobody", (0.0, idle[-1])), ("docker's stream", yard[-1]), ("agent", mine[-1])):
                print(f"round {number + 1}: {name}: program {program:.2f} s, engine {engine:.2f} s", flush=True)
    alone = statistics.median(idle)
    base = statistics.median(program + max(0.0, engine - alone) for program, engine in yard)
    cost = statistics.median(program + max(0.0, engine - alone) for program, engine in mine)
    report = {
        "benchmark": "stats",
        "ratios": {"cpu_over_docker_stats": round(cost / base, 4)},
        "figures": {
            "cpu_s": round(cost, 3),
            "agent_cpu_s": round(statistics.median(program for program, _ in mine), 3),
            "engine_cpu_s": round(statistics.median(engine for _, engine in mine), 3),
            "engine_idle_cpu_s": round(alone, 3),
            "servers": count,
            "seconds": seconds,
        },
        "yardsticks": {"docker_stats_cpu_s": round(base, 3)},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--follow", nargs="+", metavar=("HOST", "UUID"))
    parser.add_argument("--servers", type=int, default=SERVERS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args()
    if wanted.follow:
        uvloop.run(follow(wanted.follow[0], wanted.follow[1:]))
    else:
        uvloop.run(main(wanted.servers, wanted.seconds, wanted.rounds))
