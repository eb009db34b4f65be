"""Install scripts in real containers, on good days and bad ones: what they may not do, and that nothing of them stays behind."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiodocker import Docker, DockerError

from agent.app import Agent, running
from agent.runtime.installer import name_of
from agent.runtime.owners import Owners
from core.config import AgentConfig
from core.protocol.remote import InstallReport
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token
from tests.fakes.panel import Panel, standing
from tests.real.networks import removed_networks
from tests.real.places import opened_up

pytestmark = pytest.mark.real


def server(uuid: str, image: str, **more: object) -> ServerConfiguration:
    settings = {"uuid": uuid, "invocation": "bash", "container": {"image": image}, "environment": {"LEVEL": "7"}, **more}
    return ServerConfiguration.model_validate({"settings": settings, "process_configuration": {"startup": {"done": ["ready"]}}})


async def until(holds: Callable[[], bool], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.02)


class Stage:
    """A panel, a server of its, and an engine to look into."""

    def __init__(self, panel: Panel, docker: Docker, wanted: AgentConfig, image: str) -> None:
        self.panel, self.docker, self.config, self.image = panel, docker, wanted, image
        self.uuid = str(uuid4())
        self.folder = wanted.system.data / self.uuid
        panel.image = image

    @asynccontextmanager
    async def agent(self, **install: object) -> AsyncIterator[Agent]:
        wanted = self.config.model_copy(update={"install": self.config.install.model_copy(update=install)})
        async with running(wanted) as agent:
            yield agent

    async def create(self, url: str, script: str) -> None:
        self.panel.scripts[self.uuid] = script
        self.panel.servers.setdefault(self.uuid, server(self.uuid, self.image))
        headers = {"Authorization": f"Bearer {self.panel.token.secret}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{url}/api/servers", json={"uuid": self.uuid, "start_on_completion": False}) as answer,
        ):
            assert answer.status == 202, await answer.text()

    async def report(self, number: int = 1) -> InstallReport:
        await until(lambda: len(self.panel.posts) >= number, within=60)
        return InstallReport.model_validate(self.panel.posts[number - 1][1])

    async def shown(self) -> dict[str, Any] | None:
        """The install container, if there is one."""
        try:
            return dict(await self.docker.containers.container(name_of(self.uuid)).show())
        except DockerError as error:
            if error.status == 404:
                return None
            raise

    def log(self) -> str:
        file = self.config.system.root_directory / "logs" / "install" / f"{self.uuid}.log"
        return file.read_text() if file.exists() else ""


@pytest.fixture
async def stage(docker_host: str, demo_images: dict[str, str], tmp_path: Path) -> AsyncIterator[Stage]:
    opened_up(tmp_path)
    async with standing(new_node_token()) as panel:
        wanted = AgentConfig.model_validate(
            {
                "api": {"host": "127.0.0.1", "port": 0},
                "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret, "timeout": 5},
                "docker": {"host": docker_host, "network": f"aerie_test_{uuid4().hex[:8]}", "network_subnet": ""},
                "system": {"root_directory": tmp_path / "root", "data": tmp_path / "root" / "volumes"},
            }
        )
        docker = Docker(url=docker_host)
        made = Stage(panel, docker, wanted, next(iter(demo_images.values())))
        try:
            yield made
        finally:
            with contextlib.suppress(DockerError):
                await docker.containers.container(name_of(made.uuid)).delete(force=True)
            await removed_networks(docker, wanted.docker.network)
            await docker.close()


INS_1 = r"""
echo "level $LEVEL in $(pwd) as $(id -u)"
grep -E 'CapEff|NoNewPrivs' /proc/self/status
(mknod /mnt/server/disk b 8 0 2>/dev/null && echo ESCAPED device)
(mount -t tmpfs none /mnt/server 2>/dev/null && echo ESCAPED mount)
(echo 1 > /proc/sys/kernel/sysrq) 2>/dev/null && echo ESCAPED sysctl
(echo x >> /mnt/install/install.sh) 2>/dev/null && echo ESCAPED script
ls /var/run/docker.sock 2>/dev/null && echo ESCAPED socket
mkdir -p /mnt/server/game && echo data > /mnt/server/game/file && chown -R 1234:1234 /mnt/server/game
ln -s /etc/passwd /mnt/server/link
echo finished
"""


async def test_ins_1_a_script_is_root_in_its_container_and_nothing_outside(stage: Stage) -> None:
    async with stage.agent() as agent:
        await stage.create(agent.url, INS_1 + "sleep 1\n")
        await until(lambda: "finished" in stage.log())
        shown = await stage.shown()
        assert (await stage.report()).successful, stage.log()
        await until(lambda: agent.manager.get(stage.uuid).end_installation is None)
    assert shown is not None
    host = shown["HostConfig"]
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 1024
    assert host["Memory"] > 0
    assert host["Binds"] == [f"{stage.folder}:/mnt/server:rw", f"{stage.folder.parents[1]}/install/{stage.uuid}.script:/mnt/install:ro"]
    log = stage.log()
    assert "level 7 in /mnt/server as 0" in log
    assert "ESCAPED" not in log
    assert "NoNewPrivs:\t1" in log
    assert await stage.shown() is None
    owner, _ = Owners(stage.config.system).of(stage.uuid)
    assert os.stat(stage.folder / "game" / "file").st_uid == owner
    assert os.lstat(stage.folder / "link").st_uid == owner
    assert os.stat("/etc/passwd").st_uid == 0
    assert list((stage.config.system.root_directory / "install").iterdir()) == []


async def test_a_code_a_limit_and_a_flood(stage: Stage) -> None:
    async with stage.agent(timeout=4.0) as agent:
        await stage.create(agent.url, "echo no such version; exit 3")
        report = await stage.report()
        assert (report.successful, "code 3" in (report.aerie_reason or "")) == (False, True)
        assert "no such version" in (report.aerie_reason or "")
        await until(lambda: agent.manager.get(stage.uuid).end_installation is None)
        await stage.create(agent.url, "echo waiting; sleep 600")
        assert "its limit" in ((await stage.report(2)).aerie_reason or "")
        assert await stage.shown() is None
        await until(lambda: agent.manager.get(stage.uuid).end_installation is None)
        await stage.create(agent.url, "seq 1 200000; echo the end")
        report = await stage.report(3)
        assert report.successful, report.aerie_reason
        assert "200000" in stage.log()
        assert await stage.shown() is None


async def test_a_script_that_takes_too_much_memory_is_killed_and_told(stage: Stage) -> None:
    async with stage.agent(memory=64) as agent:
        stage.panel.servers[stage.uuid] = server(stage.uuid, stage.image, build={"memory_limit": 64, "swap": 0})
        await stage.create(agent.url, "echo eating; exec tail /dev/zero")
        report = await stage.report()
        assert not report.successful
        assert "out of memory" in (report.aerie_reason or "")


@pytest.mark.parametrize("name", ["~aerie-test/no-such-image:1", ""])
async def test_a_missing_image_is_named(stage: Stage, name: str) -> None:
    stage.panel.image = name
    async with stage.agent() as agent:
        await stage.create(agent.url, "echo hello")
        report = await stage.report()
        assert not report.successful
        assert (name.removeprefix("~") or "names no image") in (report.aerie_reason or "")


async def test_a_container_removed_by_somebody_else_is_a_failure(stage: Stage) -> None:
    async with stage.agent() as agent:
        await stage.create(agent.url, "echo working; sleep 600")
        await until(lambda: "working" in stage.log())
        await stage.docker.containers.container(name_of(stage.uuid)).delete(force=True)
        report = await stage.report()
        assert not report.successful


async def test_ending_an_installation_leaves_no_container(stage: Stage) -> None:
    async with stage.agent() as agent:
        await stage.create(agent.url, "echo working; sleep 600")
        await until(lambda: "working" in stage.log())
        ended = agent.manager.get(stage.uuid).end_installation
        assert ended is not None
        ended("Somebody ended it.")
        assert not (await stage.report()).successful
        assert await stage.shown() is None


def as_toml(stage: Stage) -> str:
    """The agent's settings as a file for another process."""
    wanted: dict[str, dict[str, object]] = {
        "api": {"host": "127.0.0.1", "port": 0},
        "remote": {"url": stage.panel.url, "token_id": stage.panel.token.id, "token": stage.panel.token.secret},
        "docker": {"host": stage.config.docker.host, "network": stage.config.docker.network, "network_subnet": ""},
        "system": {"root_directory": str(stage.config.system.root_directory), "data": str(stage.config.system.data)},
    }
    lines = (
        line for section, values in wanted.items() for line in (f"[{section}]", *(f"{key} = {json.dumps(v)}" for key, v in values.items()))
    )
    return "\n".join(lines)


async def test_a_killed_agent_leaves_a_failed_installation_and_its_successor_clears_it_away(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(as_toml(stage))
    stage.panel.scripts[stage.uuid] = "echo working; sleep 600"
    stage.panel.servers[stage.uuid] = server(stage.uuid, stage.image)
    first = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.real.installing", str(file), stage.uuid)
    try:
        await until(lambda: "working" in stage.log(), within=60)
        first.send_signal(signal.SIGKILL)
    finally:
        if first.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                first.kill()
        await first.wait()
    assert await stage.shown() is not None
    assert stage.panel.posts == []
    async with stage.agent() as agent:
        report = await stage.report()
        assert not report.successful
        assert "The agent ended" in (report.aerie_reason or "")
        assert await stage.shown() is None
        await stage.create(agent.url, "echo well")
        assert (await stage.report(2)).successful
