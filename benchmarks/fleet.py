"""An agent with 200 running containers: how fast it has all of them in hand again, what it costs idle, how fast it takes a start.

No yardstick but the wanted figures: boot to all re-attached under 5 s, resident memory under 150 MB, idle under 5 % of one core, a start
accepted under 50 ms at p99 while all of them say a line a second. The agent runs as a program of its own under a fake panel, which serves
in this process; starts are real ones. Needs a Docker Engine and Linux: `make bench NAME=fleet`.
"""

import argparse
import asyncio
import json
import math
import os
import statistics
import time
from asyncio.subprocess import Process

import aiohttp
import uvloop

from benchmarks.flood import resident
from benchmarks.herd import Herd, agent, at_once, attached, cpu_seconds, herd

SERVERS, SPARE = 200, 20
BOOTS = 3
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 30.0
ROUNDS = 6
STARTS_A_SECOND = 2.0
"""More would measure how fast the engine makes containers: each costs it a third of a core's second."""


async def boot(those: Herd) -> float:
    """Seconds from the program's start until all servers are in hand; then it is killed, as machines kill."""
    began = time.monotonic()
    async with agent(those) as process, those.client() as session:
        await attached(those, session, process)
        took = time.monotonic() - began
        await asyncio.sleep(2.0)
        process.kill()
        await process.wait()
    return took


async def typed(session: aiohttp.ClientSession, uuid: str, words: str) -> None:
    async with session.post(f"/api/servers/{uuid}/commands", json={"commands": [words]}) as response:
        assert response.status == 204, await response.text()


async def newest(session: aiohttp.ClientSession, uuid: str) -> str:
    async with session.get(f"/api/servers/{uuid}/logs", params={"size": "1"}) as response:
        return "".join(json.loads(await response.read())["data"] or [])


async def all_talk(those: Herd, session: aiohttp.ClientSession) -> None:
    """Have every server say a line a second, and hear them all. bash may let a line slip at the very end of its `read -t`: told twice."""
    silent = those.uuids
    for _ in range(3):
        await at_once(silent, lambda uuid: typed(session, uuid, "talk"), 8)
        await asyncio.sleep(SETTLE_SECONDS)
        heard = {uuid: await newest(session, uuid) for uuid in silent}
        if not (silent := [uuid for uuid, line in heard.items() if "line number" not in line]):
            return
    raise AssertionError(f"{len(silent)} servers are not heard: {heard[silent[0]]!r}")


async def state(session: aiohttp.ClientSession, uuid: str) -> str:
    async with session.get(f"/api/servers/{uuid}") as response:
        return str(json.loads(await response.read())["state"])


async def until(session: aiohttp.ClientSession, uuids: list[str], wanted: str, limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        for uuid in uuids:
            while await state(session, uuid) != wanted:
                await asyncio.sleep(0.1)


async def starts(those: Herd, session: aiohttp.ClientSession) -> list[float]:
    """Milliseconds until a start was accepted; each of them is carried out, and its server killed after the round."""
    took = []
    for _ in range(ROUNDS):
        for uuid in those.spare:
            began = time.monotonic()
            async with session.post(f"/api/servers/{uuid}/power", json={"action": "start"}) as response:
                assert response.status == 202, await response.text()
            took.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(1 / STARTS_A_SECOND)
        await until(session, those.spare, "running")
        for uuid in those.spare:
            async with session.post(f"/api/servers/{uuid}/power", json={"action": "kill"}) as response:
                assert response.status == 202, await response.text()
        await until(session, those.spare, "offline")
    return took


async def idle(process: Process) -> float:
    """Percent of one core."""
    before, began = cpu_seconds([process.pid]), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    return (cpu_seconds([process.pid]) - before) / (time.monotonic() - began) * 100


async def main(count: int) -> None:
    async with herd(count, SPARE) as those:
        print(f"{count} containers run", flush=True)
        boots = [await boot(those) for _ in range(BOOTS)]
        print("boots:", ", ".join(f"{seconds:.2f} s" for seconds in boots), flush=True)
        async with agent(those) as process, those.client() as session:
            await attached(those, session, process)
            await asyncio.sleep(SETTLE_SECONDS)
            idle_percent = await idle(process)
            print(f"idle {idle_percent:.2f} %, {resident(process.pid):.0f} MB", flush=True)
            await all_talk(those, session)
            busy, began = cpu_seconds([process.pid]), time.monotonic()
            took = await starts(those, session)
            busy = (cpu_seconds([process.pid]) - busy) / (time.monotonic() - began) * 100
            memory = resident(process.pid)
    took.sort()
    report = {
        "benchmark": "fleet",
        "ratios": {},
        "figures": {
            "reattach_s": round(statistics.median(boots), 2),
            "rss_mb": round(memory, 1),
            "idle_cpu_percent": round(idle_percent, 2),
            "accept_p99_ms": round(took[math.ceil(len(took) * 0.99) - 1], 2),
            "accept_p50_ms": round(statistics.median(took), 2),
            "speaking_cpu_percent": round(busy, 2),
            "servers": count,
            "machine_load": round(os.getloadavg()[0], 1),
        },
        "yardsticks": {},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=SERVERS)
    uvloop.run(main(parser.parse_args().servers))
