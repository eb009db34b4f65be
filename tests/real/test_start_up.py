"""Containers as a real engine makes them: whose they are, what is mounted, what they are denied, and limits that change while they run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiodocker import DockerError

from agent.runtime.docker import DockerRuntime
from core.clock import SystemClock
from core.config import AgentConfig
from core.errors import Conflict
from core.protocol.settings import ServerConfiguration
from tests.real.places import opened_up

pytestmark = pytest.mark.real


class Stage:
    """A runtime and one server's settings."""

    def __init__(self, runtime: DockerRuntime, image: str, folder: Path) -> None:
        self.runtime, self.image, self.uuid = runtime, image, str(uuid4())
        self.folder = folder / self.uuid
        self.folder.mkdir(parents=True)

    def settings(self, **settings: object) -> ServerConfiguration:
        given = {"uuid": self.uuid, "invocation": "sleep 300", "container": {"image": self.image}, **settings}
        return ServerConfiguration.model_validate({"settings": given})

    async def shown(self) -> dict[str, Any]:
        return dict(await self.runtime.docker.containers.container(self.uuid).show())

    async def foreign(self) -> str:
        """Somebody else's container under the server's name; answers its id."""
        body: dict[str, Any] = {"Image": self.image.removeprefix("~"), "Cmd": ["sleep", "300"], "Entrypoint": []}
        made = await self.runtime.docker.containers.create(body, name=self.uuid)
        return str(made.id)


@pytest.fixture
async def stage(docker_host: str, demo_images: dict[str, str], tmp_path: Path) -> AsyncIterator[Stage]:
    opened_up(tmp_path)
    (tmp_path / "maps").mkdir()
    config = AgentConfig.model_validate(
        {
            "docker": {
                "host": docker_host,
                "network": f"aerie_test_{uuid4().hex[:8]}",
                "network_subnet": "",
                "network_per_server": False,
                "network_mtu": 1400,
            },
            "system": {"root_directory": tmp_path / "agent", "data": tmp_path / "volumes"},
            "allowed_mounts": [str(tmp_path / "maps")],
        }
    )
    runtime = DockerRuntime(config, SystemClock())
    await runtime.open()
    made = Stage(runtime, next(iter(demo_images.values())), tmp_path / "volumes")
    yield made
    try:
        await runtime.docker.containers.container(made.uuid).delete(force=True, v=True)
    except DockerError as error:
        assert error.status == 404
    await (await runtime.docker.networks.get(config.docker.network)).delete()
    await runtime.close()


async def test_doc_6_what_a_container_is_denied_is_denied_by_the_engine(stage: Stage, tmp_path: Path) -> None:
    mounts = [
        {"source": str(tmp_path / "maps"), "target": "/maps", "read_only": True},
        {"source": "/var/run/docker.sock", "target": "/d"},
    ]
    settings = stage.settings(mounts=mounts, environment={"bad-name": "x", "LEVEL": "5"})
    notes = (await stage.runtime.create(settings, stage.folder)).notes
    assert [note.split(" is left out")[0] for note in notes] == [
        "Its variable 'bad-name'",
        "The mount of '/var/run/docker.sock'",
    ]
    shown = await stage.shown()
    host = shown["HostConfig"]
    assert (host["ReadonlyRootfs"], host["Privileged"], host["CapDrop"], host["SecurityOpt"]) == (
        True,
        False,
        ["ALL"],
        ["no-new-privileges"],
    )
    assert not shown["Config"]["User"].startswith("0")
    assert {(mount["Source"], mount["Destination"], mount["RW"]) for mount in shown["Mounts"] if mount["Destination"] != "/etc/passwd"} >= {
        (str(stage.folder), "/home/container", True),
        (str(tmp_path / "maps"), "/maps", False),
    }
    assert not [mount for mount in shown["Mounts"] if "docker.sock" in mount["Source"]]
    assert "LEVEL=5" in shown["Config"]["Env"]
    network = await (await stage.runtime.docker.networks.get(host["NetworkMode"])).show()
    assert network["Options"]["com.docker.network.driver.mtu"] == "1400"


async def test_doc_9_a_container_that_is_not_the_server_s_is_neither_used_nor_removed(stage: Stage) -> None:
    theirs = await stage.foreign()
    await stage.runtime.docker.containers.container(theirs).start()
    assert not (await stage.runtime.inspect(stage.uuid)).exists
    with pytest.raises(Conflict, match="was not made for this server"):
        await stage.runtime.create(stage.settings(), stage.folder)
    await stage.runtime.destroy(stage.uuid)
    assert (await stage.shown())["Id"] == theirs
    assert (await stage.shown())["State"]["Running"]


async def test_doc_9_one_that_wings_made_is_taken_over(stage: Stage) -> None:
    labels = {"Service": "Pterodactyl", "ContainerType": "server_process"}
    body: dict[str, Any] = {"Image": stage.image.removeprefix("~"), "Labels": labels}
    before = await stage.runtime.docker.containers.create(body, name=stage.uuid)
    await stage.runtime.create(stage.settings(), stage.folder)
    assert (await stage.shown())["Id"] != before.id


async def test_doc_10_a_container_whose_server_is_gone_is_removed_and_no_other(stage: Stage) -> None:
    await stage.runtime.create(stage.settings(), stage.folder)
    await stage.runtime.tidy([stage.uuid])
    assert (await stage.runtime.inspect(stage.uuid)).exists
    await stage.runtime.tidy([])
    assert not (await stage.runtime.inspect(stage.uuid)).exists


async def test_limits_change_while_it_runs_and_what_cannot_is_told(stage: Stage) -> None:
    await stage.runtime.create(
        stage.settings(build={"memory_limit": 100, "cpu_limit": 50, "threads": "0", "oom_disabled": False}), stage.folder
    )
    await stage.runtime.start(stage.uuid)
    assert (
        await stage.runtime.adjust(stage.settings(build={"memory_limit": 200, "cpu_limit": 80, "threads": "1", "oom_disabled": False}))
        == []
    )
    host = (await stage.shown())["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["CpuQuota"], host["CpusetCpus"]) == (230_000_000, 230_000_000, 80_000, "1")
    waits = await stage.runtime.adjust(stage.settings(build={"oom_disabled": False}))
    assert waits == ["its memory without a limit", "its CPU without pinning"]
    host = (await stage.shown())["HostConfig"]
    assert (host["Memory"], host["CpuQuota"]) == (230_000_000, -1)
    await stage.runtime.kill(stage.uuid)
    async with asyncio.timeout(30):
        await stage.runtime.wait(stage.uuid)
    assert await stage.runtime.adjust(stage.settings(build={"memory_limit": 300})) == []


async def test_a_network_that_was_removed_is_made_again_at_a_start(stage: Stage) -> None:
    name = stage.runtime._config.docker.network
    await (await stage.runtime.docker.networks.get(name)).delete()
    await stage.runtime.create(stage.settings(), stage.folder)
    await stage.runtime.start(stage.uuid)
    assert name in (await stage.shown())["NetworkSettings"]["Networks"]
