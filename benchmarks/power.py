"""Start and stop of one server through the agent, beside `docker start` and `docker stop` of the same container.

Both sides act on the very container that the agent made, in the same run, by turns; medians are compared. The agent's side is a POST to
/power until the server is `running`, or `offline`, settings fetched from a control plane and configuration files included. The game obeys
SIGTERM at once and has no ready line, so that it adds nothing of its own. Needs a Docker Engine and Linux: `make bench NAME=power`.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import aiohttp
import uvloop

from agent.app import Agent, running
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token
from core.vocabulary import ServerState
from demo import images
from setup.engine_api import EngineApi
from tests.fakes.panel import standing

GAME = "bash -c 'trap \"exit 0\" TERM; echo up; while :; do sleep 3600 & wait; done'"


async def through_docker(host: str, verb: str, uuid: str) -> float:
    begun = time.monotonic()
    child = await asyncio.create_subprocess_exec("docker", "-H", host, verb, uuid, stdout=asyncio.subprocess.DEVNULL)
    assert await child.wait() == 0
    return time.monotonic() - begun


async def through_agent(agent: Agent, http: aiohttp.ClientSession, action: str, uuid: str) -> float:
    server = agent.manager.get(uuid)
    wanted = ServerState.RUNNING if action == "start" else ServerState.OFFLINE
    said = server.console.last_seq
    with server.events.listen() as events:
        begun = time.monotonic()
        async with http.post(f"/api/servers/{uuid}/power", json={"action": action}) as answer:
            assert answer.status == 202, await answer.text()
        async with asyncio.timeout(60):
            while server.state is not wanted:
                await events.drain()
                assert server.power_busy or server.state is wanted, server.reason
        took = time.monotonic() - begun
        async with asyncio.timeout(60):
            while server.power_busy or (action == "start" and server.console.last_seq == said):  # before, nothing heeds SIGTERM
                await asyncio.sleep(0.005)
    return took


async def settled(agent: Agent, uuid: str, state: ServerState) -> None:
    """Wait until the agent has seen what was done by docker."""
    async with asyncio.timeout(60):
        while agent.manager.get(uuid).state is not state:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)


async def main(rounds: int) -> dict[str, object]:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    took: dict[str, list[float]] = {name: [] for name in ("agent_start", "agent_stop", "docker_start", "docker_stop")}
    with tempfile.TemporaryDirectory() as folder:
        place, uuid = Path(folder), str(uuid4())
        place.chmod(0o755)
        await asyncio.to_thread(images.prepare, EngineApi(host), place / "images.log")
        async with standing(new_node_token()) as panel:
            panel.servers[uuid] = ServerConfiguration.model_validate(
                {
                    "settings": {
                        "uuid": uuid,
                        "invocation": GAME,
                        "skip_egg_scripts": True,
                        "container": {"image": images.tags()["freeciv"]},
                        "crash_detection_enabled": False,
                    },
                    "process_configuration": {
                        "startup": {"done": []},
                        "stop": {"type": "stop"},
                        "configs": [
                            {"file": "server.properties", "parser": "properties", "replace": [{"match": "a", "replace_with": "b"}]}
                        ],
                    },
                }
            )
            config = AgentConfig.model_validate(
                {
                    "api": {"host": "127.0.0.1", "port": 0},
                    "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret},
                    "system": {"root_directory": place / "agent", "data": place / "volumes"},
                    "docker": {"host": host, "network": "none"},
                    "sftp": {"enabled": False},
                }
            )
            async with running(config) as agent:
                headers = {"Authorization": f"Bearer {panel.token.secret}"}
                async with aiohttp.ClientSession(agent.url, headers=headers) as http:
                    for number in range(rounds + 1):
                        for verb in ("start", "stop"):
                            one = await through_agent(agent, http, verb, uuid)
                            if number:  # the first makes the container
                                took[f"agent_{verb}"].append(one)
                        for verb, state in (("start", ServerState.RUNNING), ("stop", ServerState.OFFLINE)) if number else ():
                            took[f"docker_{verb}"].append(await through_docker(host, verb, uuid))
                            await settled(agent, uuid, state)
                await agent.manager.delete(uuid)
    middle = {name: statistics.median(values) for name, values in took.items()}
    return {
        "benchmark": "power",
        "ratios": {verb: round(middle[f"agent_{verb}"] / middle[f"docker_{verb}"], 3) for verb in ("start", "stop")},
        "figures": {f"{verb}_ms": round(middle[f"agent_{verb}"] * 1000, 1) for verb in ("start", "stop")},
        "yardsticks": {f"docker_{verb}_ms": round(middle[f"docker_{verb}"] * 1000, 1) for verb in ("start", "stop")},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each is done")
    print(json.dumps(uvloop.run(main(parser.parse_args().rounds))))
