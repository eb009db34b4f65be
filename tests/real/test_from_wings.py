"""A node that ran Wings is given to the agent while its games run: nothing is stopped, nothing is lost."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiodocker import Docker

from agent.app import running
from core.config import AgentConfig, load
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token
from core.vocabulary import PowerSignal, ServerState
from tests.fakes.panel import Panel, standing
from tests.real.places import opened_up
from tests.real.test_docker_runtime import GAME
from tests.real.test_install import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

FOREVER = GAME.replace("echo ready", "echo ready; echo started under Wings")


def as_wings_makes_it(uuid: str, image: str, data: Path, network: str) -> dict[str, Any]:
    """Wings 1.11's create call for a server process: named by its uuid, labelled without a word of us."""
    return {
        "Hostname": uuid,
        "Image": image,
        "User": "988:988",
        "Tty": True,
        "OpenStdin": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": ["TZ=UTC", "STARTUP=bash /home/container/game.sh", "SERVER_MEMORY=128"],
        "Labels": {"Service": "Pterodactyl", "ContainerType": "server_process"},
        "HostConfig": {
            "Mounts": [{"Type": "bind", "Source": str(data / uuid), "Target": "/home/container"}],
            "Tmpfs": {"/tmp": "rw,exec,nosuid,size=100M"},
            "ReadonlyRootfs": True,
            "SecurityOpt": ["no-new-privileges"],
            "CapDrop": ["setpcap", "mknod", "audit_write", "net_raw", "dac_override", "fowner", "fsetid", "net_bind_service"],
            "NetworkMode": network,
            "LogConfig": {"Type": "local", "Config": {"max-size": "5m", "max-file": "1", "compress": "false", "mode": "non-blocking"}},
            "Memory": 147_200_000,
            "MemorySwap": 147_200_000,
            "PidsLimit": 512,
        },
    }


@pytest.fixture
async def panel() -> AsyncIterator[Panel]:
    async with standing(new_node_token()) as panel:
        yield panel


@pytest.fixture
async def docker(docker_host: str) -> AsyncIterator[Docker]:
    async with Docker(url=docker_host) as docker:
        yield docker


@pytest.fixture
def wings(panel: Panel, tmp_path: Path) -> Path:
    """The node's config.yml; its network is the engine's own one, which the test need not make."""
    file = opened_up(tmp_path) / "config.yml"
    file.write_text(
        f"token_id: {panel.token.id}\ntoken: {panel.token.secret}\nremote: {panel.url}\n"
        "api:\n  host: 127.0.0.1\n  port: 0\n"
        f"system:\n  root_directory: {tmp_path}/wings\n  data: {tmp_path}/wings/volumes\n  log_directory: {tmp_path}/wings/log\n"
        "  user:\n    uid: 988\n    gid: 988\n  sftp:\n    bind_address: 127.0.0.1\n    bind_port: 0\n"
        "docker:\n  network:\n    name: bridge\n    network_mode: bridge\n"
    )
    file.chmod(0o600)
    return file


async def test_games_run_on_while_the_agent_takes_the_node_over_from_wings(
    wings: Path, panel: Panel, docker: Docker, demo_images: dict[str, str], docker_host: str
) -> None:
    config = load(AgentConfig, wings, {"AERIE_DOCKER__HOST": docker_host})
    image = next(iter(demo_images.values()))
    ran, away = str(uuid4()), str(uuid4())
    for uuid in (ran, away):
        (config.system.data / uuid).mkdir(parents=True)
        (config.system.data / uuid / "game.sh").write_text(FOREVER)
        panel.servers[uuid] = ServerConfiguration.model_validate(
            {
                "settings": {"uuid": uuid, "invocation": "bash /home/container/game.sh", "container": {"image": image}},
                "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}},
            }
        )
    opened_up(config.system.data)
    (config.system.root_directory / "states.json").write_text(json.dumps({ran: "running", away: "running"}))
    made = await docker.containers.create(as_wings_makes_it(ran, image.removeprefix("~"), config.system.data, "bridge"), name=ran)
    try:
        await made.start()
        pid = (await made.show())["State"]["Pid"]

        async with running(config) as agent:
            server = agent.manager.get(ran)
            assert server.state is ServerState.RUNNING
            await until(lambda: "started under Wings" in server.console.history(50))
            await server.command("hello")
            await until(lambda: "got hello" in server.console.history(50))
            assert (await made.show())["State"]["Pid"] == pid, "the game was not the one that ran under Wings"
            await until(lambda: server.stats().memory_bytes > 0)

            other = agent.manager.get(away)  # it ran under Wings before the machine was booted again
            await until(lambda: other.state is ServerState.RUNNING, within=60)

            await made.kill(signal="SIGKILL")  # the engine's word on a container that bears no label of ours is heard
            await until(lambda: server.last_exit is not None and server.last_exit.code == 137)
            await until(lambda: server.state is ServerState.RUNNING, within=60)  # a crash: started again, now as we make it
            for one in (server, other):
                one.power(PowerSignal.KILL)
            await until(lambda: server.state is other.state is ServerState.OFFLINE)
            for one in (server, other):
                await one.destroy()
    finally:
        for uuid in (ran, away):
            if (left := await _found(docker, uuid)) is not None:
                await left.delete(force=True)


async def _found(docker: Docker, uuid: str) -> Any:
    shown = await docker.containers.list(all=True, filters=json.dumps({"name": [f"^/{uuid}$"]}))
    return shown[0] if shown else None
