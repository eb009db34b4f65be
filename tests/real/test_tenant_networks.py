"""Networks of servers' own on a real engine: made once, shared where that was said, gone with the server, found again by the next agent."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiodocker import Docker, DockerError

from agent.runtime.container import LABEL
from agent.runtime.neighbours import Tenant
from agent.runtime.tenant_networks import TenantNetworks
from core.clock import SystemClock
from core.config import AgentConfig
from core.errors import RuntimeFailure
from core.protocol.settings import ServerSettings
from tests.real.networks import removed_networks

pytestmark = pytest.mark.real


class Stage:
    def __init__(self, docker: Docker, host: str, folder: Path) -> None:
        self.docker, self.host, self.folder = docker, host, folder
        self.name = f"aerie_test_{uuid4().hex[:8]}"

    def networks(self, **docker: object) -> TenantNetworks:
        config = AgentConfig.model_validate(
            {"docker": {"host": self.host, "network": self.name, **docker}, "system": {"root_directory": self.folder}}
        )
        return TenantNetworks(config, self.host, SystemClock())

    async def shown(self, name: str) -> dict[str, object] | None:
        try:
            return dict(await (await self.docker.networks.get(name)).show())
        except DockerError as error:
            assert error.status == 404
            return None


@pytest.fixture
async def stage(docker_host: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Docker(url=docker_host) as docker:
        made = Stage(docker, docker_host, tmp_path)
        yield made
        await removed_networks(docker, made.name)


def settings(uuid: str = "", **more: object) -> ServerSettings:
    return ServerSettings.model_validate({"uuid": uuid or str(uuid4()), **more})


async def test_a_server_s_network_is_made_once_and_goes_with_it(stage: Stage) -> None:
    networks, one, other = stage.networks(), settings(), settings()
    names = await asyncio.gather(*(networks.ensure(stage.docker, server) for server in (one, other, one)))
    assert names == [f"aerie-{one.uuid}", f"aerie-{other.uuid}", f"aerie-{one.uuid}"]
    first, second = await stage.shown(names[0]), await stage.shown(names[1])
    assert first is not None
    assert second is not None
    assert first["IPAM"] != second["IPAM"]
    await networks.forget(stage.docker, one.uuid)
    assert await stage.shown(names[0]) is None
    assert await stage.shown(names[1]) is not None
    await networks.tidy(stage.docker, [])
    assert await stage.shown(names[1]) is None


async def test_a_shared_network_goes_with_its_last_server(stage: Stage) -> None:
    one, other = settings(labels={"aerie.network": "lobby"}), settings(labels={"aerie.network": "lobby"})
    networks = stage.networks()
    name = await networks.ensure(stage.docker, one)
    assert await networks.ensure(stage.docker, other) == name
    await networks.forget(stage.docker, one.uuid)
    assert await stage.shown(name) is not None
    await networks.forget(stage.docker, other.uuid)
    assert await stage.shown(name) is None


async def test_a_server_that_goes_out_by_its_own_address_gets_a_network_that_does(stage: Stage) -> None:
    networks, uuid = stage.networks(), str(uuid4())
    allocations = {"default": {"ip": "192.0.2.7", "port": 1}, "force_outgoing_ip": True}
    for wanted, expected in ((settings(uuid), None), (settings(uuid, allocations=allocations), "192.0.2.7"), (settings(uuid), None)):
        shown = await stage.shown(await networks.ensure(stage.docker, wanted))
        assert shown is not None
        options = shown["Options"]
        assert isinstance(options, dict)
        assert options.get("com.docker.network.host_ipv4") == expected


async def test_a_pool_that_is_used_up_says_so(stage: Stage) -> None:
    networks = stage.networks(network_pool="10.215.37.0/28", network_prefix=29)
    for _ in range(2):
        await networks.ensure(stage.docker, settings())
    with pytest.raises(RuntimeFailure, match="network_pool"):
        await networks.ensure(stage.docker, settings())


async def test_the_next_agent_finds_what_runs_and_who_may_reach_it(stage: Stage, demo_images: dict[str, str]) -> None:
    server = settings()
    name = await stage.networks().ensure(stage.docker, server)
    body: dict[str, Any] = {
        "Image": next(iter(demo_images.values())).removeprefix("~"),
        "Entrypoint": ["sleep", "120"],
        "Labels": {LABEL: server.uuid},
        "ExposedPorts": {"4000/udp": {}},
        "HostConfig": {"NetworkMode": name, "PortBindings": {"4000/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
    }
    container = await stage.docker.containers.create(body, name=server.uuid)
    try:
        await container.start()
        published = (await container.show())["NetworkSettings"]["Ports"]["4000/udp"][0]["HostPort"]
        successor = stage.networks()
        await successor.open(stage.docker, "172.29.0.1")
        assert successor._tenants == {server.uuid: Tenant(successor._tenants[server.uuid].bridge, private=(int(published),))}
    finally:
        await container.delete(force=True)
    await successor.forget(stage.docker, server.uuid)


async def test_rules_that_somebody_took_away_are_set_again_and_all_go_with_the_last_server(stage: Stage) -> None:
    networks, server = stage.networks(), settings()
    if networks.firewall.obstacle:
        pytest.skip(f"no rules can be set here: {networks.firewall.obstacle}")
    assert os.geteuid() == 0
    hook = ["INPUT", "-i", f"ae{networks.mark}+", "-j", f"AERIE-IN-{networks.mark}"]
    await networks.ensure(stage.docker, server)
    subprocess.run(["iptables", "-w", "5", "-C", *hook], check=True)
    for spoil in (["-D", *hook], ["-F", f"AERIE-FW-{networks.mark}"]):
        subprocess.run(["iptables", "-w", "5", *spoil], check=True)
        await networks.look()
        subprocess.run(["iptables", "-w", "5", "-C", *hook], check=True)
        subprocess.run(["iptables", "-w", "5", "-C", f"AERIE-FW-{networks.mark}", "-d", "169.254.0.0/16", "-j", "REJECT"], check=True)
    await networks.forget(stage.docker, server.uuid)
    rules = subprocess.run(["iptables", "-w", "5", "-S"], check=True, capture_output=True, text=True).stdout
    assert networks.mark not in rules
