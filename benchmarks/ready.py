"""A burst of 200,000 lines with the ready line in its middle, 50 WebSocket readers of the server, one of them stalled meanwhile.

Wanted: `running` is seen within a second of the moment the container said the line; each reader's lines and the losses it was told of are
together exactly what was said; the agent's memory grows by less than 32 MiB. The readers run in a process of their own, most of them in
batches and some line by line as a browser; the stalled one reads on once all others are through. Needs Docker: `make bench NAME=ready`.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
import uvloop

from benchmarks.flood import resident
from benchmarks.herd import ROOT, Herd, agent, attached, herd
from core.clock import SystemClock
from core.tokens import sign_socket_token

LINE = "y" * 79
LINES = 200_000
READERS, PLAIN = 49, 5
"""Readers that keep reading, and how many of them read line by line."""
ROUNDS = 3
READY, END = "the game is ready", "the end of the burst"
SAID = LINES + 2
"""Lines after the go: the burst, the ready line, the end."""
LOST = re.compile(r'"(\d+) console lines were left out')
GAME = f"""
echo waiting
while [ ! -e go ]; do sleep 0.05; done
yes {LINE} | head -n {LINES // 2}
echo "$EPOCHREALTIME" > said; echo "{READY}"
yes {LINE} | head -n {LINES // 2}
echo "{END}"
while read -r line; do [ "$line" = end ] && exit 0; done
"""
SAMPLE_SECONDS = 0.02


async def reader(session: aiohttp.ClientSession, url: str, token: str, origin: str, ready: asyncio.Event, **how: Any) -> dict[str, float]:
    """Read one socket to the burst's end: lines got, lines lost as told, the moment `running` came. Held back until `until` is set."""
    batched, until = how["batched"], how.get("until")
    got = lost = 0
    running = 0.0
    async with session.ws_connect(url, origin=origin, max_msg_size=0) as socket:
        await socket.send_json({"event": "auth", "args": [token]})
        if batched:
            await socket.send_json({"event": "aerie.batch"})
        await socket.send_json({"event": "send stats"})
        async for message in socket:
            text: str = message.data
            if text.startswith('{"event":"stats"'):
                if not ready.is_set():
                    ready.set()
                    if until is not None:
                        await until.wait()
            elif text.startswith('{"event":"status"') and '"running"' in text:
                running = running or time.time()
            elif text.startswith('{"event":"aerie.console"'):
                batch = orjson.loads(orjson.loads(text)["args"][0])
                got, lost = got + len(batch["lines"]), lost + batch["dropped"]
                if batch["lines"][-1] == END:
                    break
            elif text.startswith('{"event":"console output"'):
                got += 1
                if END in text:
                    break
            elif found := LOST.search(text):
                lost += int(found[1])
    return {"got": got, "lost": lost, "running": running}


async def readers(url: str, token: str, origin: str, secret: str) -> None:
    """All of them, in a process of their own; prints `ready`, then what each saw."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}) as session, asyncio.TaskGroup() as group:
        marks = [asyncio.Event() for _ in range(READERS + 1)]
        through = asyncio.Event()
        steady = [
            group.create_task(reader(session, url, token, origin, mark, batched=number >= PLAIN)) for number, mark in enumerate(marks[:-1])
        ]
        stalled = group.create_task(reader(session, url, token, origin, marks[-1], batched=True, until=through))
        await asyncio.gather(*(mark.wait() for mark in marks))
        print("ready", flush=True)
        seen = await asyncio.gather(*steady)
        through.set()
        print(json.dumps([*seen, await stalled]), flush=True)


class Watch:
    """What the control plane sees meanwhile: when it runs, and the agent's memory at its highest."""

    def __init__(self, session: aiohttp.ClientSession, uuid: str, pid: int) -> None:
        self._session, self._uuid, self._pid = session, uuid, pid
        self.running = 0.0
        self.highest = 0.0

    async def run(self) -> None:
        while True:
            with suppress(ProcessLookupError):
                self.highest = max(self.highest, resident(self._pid))
            if not self.running:
                async with self._session.get(f"/api/servers/{self._uuid}") as response:
                    if json.loads(await response.read())["state"] == "running":
                        self.running = time.time()
            await asyncio.sleep(SAMPLE_SECONDS)


async def power(session: aiohttp.ClientSession, uuid: str, action: str, wanted: str) -> None:
    async with session.post(f"/api/servers/{uuid}/power", json={"action": action}) as response:
        assert response.status == 202, await response.text()
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"/api/servers/{uuid}") as response:
                if json.loads(await response.read())["state"] == wanted:
                    return
            await asyncio.sleep(0.05)


async def burst(those: Herd, session: aiohttp.ClientSession, pid: int) -> dict[str, float]:
    uuid = those.spare[0]
    folder = those.config.system.data / uuid
    (folder / "go").unlink(missing_ok=True)
    await power(session, uuid, "start", "starting")
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"/api/servers/{uuid}/logs") as response:
                if "waiting" in (json.loads(await response.read())["data"] or []):
                    break
            await asyncio.sleep(0.1)
    token = sign_socket_token(those.panel.token.secret, server_uuid=uuid, permissions=["*"], now=SystemClock().now(), user_uuid="b")
    url = f"http://127.0.0.1:{those.port}/api/servers/{uuid}/ws"
    command = ["-m", "benchmarks.ready", "--readers", url, token, those.panel.url, those.panel.token.secret]
    crowd = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=PIPE, limit=1 << 20)
    assert crowd.stdout is not None
    async with asyncio.timeout(60):
        assert await crowd.stdout.readline() == b"ready\n"
    watch = Watch(session, uuid, pid)
    before = resident(pid)
    watching = asyncio.create_task(watch.run())
    began = time.time()
    (folder / "go").touch()
    async with asyncio.timeout(300):
        seen = json.loads(await crowd.stdout.readline())
        await crowd.wait()
    took = time.time() - began
    watching.cancel()
    said = float((folder / "said").read_text())  # the container's clock is the machine's
    wrong = [one for one in seen if one["got"] + one["lost"] != SAID]
    assert not wrong, f"of {SAID} lines, readers account for {[int(one['got'] + one['lost']) for one in wrong]}"
    steady = seen[:-1]
    assert all(one["running"] for one in seen), "a reader never saw that it runs"
    await power(session, uuid, "kill", "offline")
    return {
        "running_s": watch.running - said,
        "readers_p50_s": statistics.median(one["running"] for one in steady) - said,
        "readers_last_s": max(one["running"] for one in steady) - said,
        "growth_mib": watch.highest - before,
        "lost_share": sum(one["lost"] for one in steady) / len(steady) / SAID,
        "stalled_lost_share": seen[-1]["lost"] / SAID,
        "took_s": took,
    }


async def main(rounds: int) -> None:
    async with herd(0, 1) as those:
        uuid = those.spare[0]
        (those.config.system.data / uuid / "game.sh").write_text(GAME)
        those.panel.servers[uuid].process_configuration.startup.done = [READY]
        async with agent(those) as process, those.client() as session:
            await attached(those, session, process)
            seen = []
            for number in range(rounds):
                seen.append(await burst(those, session, process.pid))
                print(f"round {number + 1}:", ", ".join(f"{name} {value:.3f}" for name, value in seen[-1].items()), flush=True)
    report = {
        "benchmark": "ready",
        "ratios": {},
        "figures": {name: round(max(one[name] for one in seen), 3) for name in seen[0]},
        "yardsticks": {},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", nargs=4, metavar=("URL", "TOKEN", "ORIGIN", "SECRET"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args()
    if wanted.readers:
        uvloop.run(readers(*wanted.readers))
    else:
        uvloop.run(main(wanted.rounds))
