"""Console throughput: lines a second from a container that floods its TTY to WebSocket clients through the agent, beside `docker attach`.

Yardstick: `docker attach --no-stdin` to /dev/null on a container made with the same settings, in the same run; rounds alternate and
medians are compared. Clients run in a process of their own and ask for batches, as our control plane does; the loop is uvloop, as in
`aerie agent`. Lines that a client lost are not counted. Needs a Docker Engine and Linux: `make bench NAME=console`.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import aiohttp
import orjson
import uvloop

from agent.app import Agent, running
from agent.runtime.docker import DockerRuntime
from core.clock import SystemClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token, sign_socket_token
from core.vocabulary import PowerSignal, ServerState
from demo import images
from setup.engine_api import EngineApi
from tests.fakes.panel import Panel, standing

LINE = "x" * 79
LINES = 600_000
ROUNDS = 3
BYTES = LINES * (len(LINE) + 2)
FLOOD = f"sh -c 'while [ ! -e go ]; do sleep 0.01; done; yes {LINE} | head -n {LINES}; echo the end'"


async def client(url: str, token: str, origin: str, count: int) -> None:
    """Read with `count` sockets until the flood's last line; print what each got and lost, and when its first and last line came.

    One socket decodes what it gets, as the control plane does. Several only count, as /dev/null would: ten decoders on a machine with two
    cores would measure themselves.
    """
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        results = [group.create_task(one(session, url, token, origin, decode=count == 1)) for _ in range(count)]
    print(json.dumps([task.result() for task in results]), flush=True)


async def one(session: aiohttp.ClientSession, url: str, token: str, origin: str, *, decode: bool) -> dict[str, float]:
    got = lost = 0
    first = 0.0
    async with session.ws_connect(url, origin=origin, max_msg_size=0) as socket:
        await socket.send_json({"event": "auth", "args": [token]})
        await socket.send_json({"event": "aerie.batch"})
        ready = False
        async for message in socket:
            text: str = message.data
            if not ready and text.startswith('{"event":"stats"'):
                ready = True
                print("ready", flush=True)
            if not text.startswith('{"event":"aerie.console"'):
                continue
            first = first or time.monotonic()
            if decode:
                batch = orjson.loads(orjson.loads(text)["args"][0])
                got, lost = got + len(batch["lines"]), lost + batch["dropped"]
            else:
                got += text.count(LINE)
                lost += int(text[text.rindex("dropped") :].split(":")[1].split("}")[0])
            if "the end" in text[-200:]:
                break
    return {"got": got, "lost": lost, "first": first, "last": time.monotonic()}


class Flood:
    """A server whose console floods when told to."""

    def __init__(self, agent: Agent, panel: Panel, host: str, runtime: DockerRuntime) -> None:
        self.agent, self.panel, self.host = agent, panel, host
        self.uuid = next(iter(panel.servers))
        self.server = agent.manager.get(self.uuid)
        self.runtime = runtime
        self.lost = 0

    async def started(self) -> None:
        (self.server.folder / "go").unlink(missing_ok=True)
        self.server.power(PowerSignal.START)
        async with asyncio.timeout(30):
            while self.server.state is not ServerState.RUNNING:
                await asyncio.sleep(0.02)

    async def ended(self) -> None:
        async with asyncio.timeout(120):
            while self.server.state is not ServerState.OFFLINE:
                await asyncio.sleep(0.02)

    def go(self, folder: Path) -> float:
        (folder / "go").touch()
        return time.monotonic()

    async def through_agent(self, clients: int) -> float:
        """Lines a second that the slowest of `clients` clients got."""
        await self.started()
        token = sign_socket_token(self.panel.token.secret, server_uuid=self.uuid, permissions=["*"], now=SystemClock().now(), user_uuid="b")
        url = f"{self.agent.url}/api/servers/{self.uuid}/ws"
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.console", "--client", url, token, self.panel.url, str(clients), stdout=asyncio.subprocess.PIPE
        )
        assert reader.stdout is not None
        for _ in range(clients):
            await reader.stdout.readline()
        self.go(self.server.folder)
        out, _ = await reader.communicate()
        results = json.loads(out.decode().strip().splitlines()[-1])
        self.lost += sum(result["lost"] for result in results)
        await self.ended()
        return float(min(result["got"] / (result["last"] - result["first"]) for result in results))

    async def through_docker(self) -> float:
        """Lines a second that `docker attach` reads from the same kind of container, made as the agent makes it.

        Timed like the clients, from the first output to the last, by what the kernel counts as written by it: waiting for its end would
        add the container's own end.
        """
        alike = self.server.configuration.model_copy(deep=True)
        alike.settings.uuid = str(uuid4())  # a stranger to the agent, which would read along otherwise
        folder = self.server.folder.parent / alike.settings.uuid  # its user is another one, too
        folder.mkdir()
        folder.chmod(0o777)
        await self.runtime.create(alike, folder)
        await self.runtime.start(alike.settings.uuid)
        with Path(os.devnull).open("wb") as null:
            attach = await asyncio.create_subprocess_exec(
                "docker", "-H", self.host, "attach", "--no-stdin", alike.settings.uuid, stdout=null
            )
        await asyncio.sleep(1.0)
        counters = Path(f"/proc/{attach.pid}/io")
        before = written(counters)
        self.go(folder)
        first = 0.0
        async with asyncio.timeout(60):
            while (count := written(counters) - before) < BYTES:
                first = first or (time.monotonic() if count else 0.0)
                await asyncio.sleep(0.002)
        rate = LINES / (time.monotonic() - first)
        await attach.wait()
        await self.runtime.destroy(alike.settings.uuid)
        return rate


def written(counters: Path) -> int:
    """Bytes a process has written so far."""
    return int(counters.read_text().split("wchar: ")[1].split()[0])


async def main() -> None:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        await asyncio.to_thread(images.prepare, EngineApi(host), place / "images.log")
        uuid = str(uuid4())
        async with standing(new_node_token()) as panel:
            panel.servers[uuid] = ServerConfiguration.model_validate(
                {
                    "settings": {
                        "uuid": uuid,
                        "invocation": FLOOD,
                        "skip_egg_scripts": True,
                        "container": {"image": images.tags()["freeciv"]},
                        "crash_detection_enabled": False,
                    },
                    "process_configuration": {"startup": {"done": []}, "stop": {"type": "stop"}},
                }
            )
            config = AgentConfig.model_validate(
                {
                    "api": {"host": "127.0.0.1", "port": 0},
                    "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret},
                    "system": {"root_directory": place / "agent", "data": place / "volumes"},
                    "docker": {"host": host, "network": "none"},
                    "sftp": {"enabled": False},
                    "throttles": {"enabled": False},
                }
            )
            async with running(config) as agent:
                runtime = DockerRuntime(config, SystemClock())
                await runtime.open()
                flood = Flood(agent, panel, host, runtime)
                yard: list[float] = []
                one: list[float] = []
                ten: list[float] = []
                for number in range(ROUNDS):
                    yard.append(await flood.through_docker())
                    one.append(await flood.through_agent(1))
                    ten.append(await flood.through_agent(10))
                    print(f"round {number + 1}: docker attach {yard[-1]:,.0f}, one {one[-1]:,.0f}, ten {ten[-1]:,.0f} lines/s", flush=True)
                await agent.manager.delete(uuid)
                await runtime.close()
    base = statistics.median(yard)
    report = {
        "benchmark": "console",
        "ratios": {"one_client": round(statistics.median(one) / base, 3), "ten_clients": round(statistics.median(ten) / base, 3)},
        "figures": {
            "one_client_lines_s": round(statistics.median(one)),
            "ten_clients_lines_s": round(statistics.median(ten)),
            "lost_lines": flood.lost,
        },
        "yardsticks": {"docker_attach_lines_s": round(base)},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", nargs=4, metavar=("URL", "TOKEN", "ORIGIN", "COUNT"))
    wanted = parser.parse_args()
    if wanted.client:
        url, token, origin, count = wanted.client
        uvloop.run(client(url, token, origin, int(count)))
    else:
        uvloop.run(main())
