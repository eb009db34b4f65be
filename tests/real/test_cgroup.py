"""A container measured by its cgroup's files says what the engine says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from aiodocker import Docker, DockerError

from agent.runtime import meters
from agent.runtime.cgroup import CgroupMeter
from agent.runtime.container import LABEL
from agent.runtime.docker import DockerRuntime
from core.clock import SystemClock
from core.config import AgentConfig

pytestmark = pytest.mark.real


@pytest.fixture
async def engine(docker_host: str) -> AsyncIterator[Docker]:
    docker = Docker(url=docker_host)
    yield docker
    await docker.close()


async def until(holds: Callable[[], object], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_container_is_measured_by_its_cgroup_and_by_the_engine_alike_through_a_restart(
    docker_host: str, engine: Docker, demo_images: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters, "AGAIN_SECONDS", 0.5)
    config = AgentConfig.model_validate({"docker": {"host": docker_host, "network": "none"}})
    clock = SystemClock()
    runtimes = DockerRuntime(config, clock), DockerRuntime(config, clock)
    near, far = runtimes
    far._meters._cgroups = False  # as for an engine on another machine
    uuid = str(uuid4())
    body: dict[str, Any] = {
        "Image": next(iter(demo_images.values())).removeprefix("~"),
        "Cmd": ["/bin/sh", "-c", "while :; do sleep 1; done"],
        "Labels": {LABEL: uuid},
        "HostConfig": {"Memory": 128_000_000, "NanoCpus": 500_000_000, "NetworkMode": "none"},
    }
    container = await engine.containers.run(body, name=uuid)
    try:
        for runtime in runtimes:
            await runtime.open()
        await until(lambda: all(runtime.samples([uuid]) for runtime in runtimes))
        ours, theirs = (runtime.samples([uuid])[uuid] for runtime in runtimes)
        assert ours.memory_limit_bytes == theirs.memory_limit_bytes
        assert 0 < ours.memory_bytes < 128_000_000
        assert abs(ours.memory_bytes - theirs.memory_bytes) < 32_000_000
        assert (ours.rx_bytes, ours.tx_bytes) == (theirs.rx_bytes, theirs.tx_bytes) == (0, 0)
        asked = clock.monotonic()
        await container.kill()
        await container.wait()
        await container.start()  # neither runtime made it, so neither heeds its events: its cgroup tells
        pid = (await container.show())["State"]["Pid"]
        await until(lambda: near.samples([uuid]) and near._meters._lives[uuid].pid == pid)
        assert near.samples([uuid])[uuid].uptime_ms <= (clock.monotonic() - asked) * 1000 + 1000
        await container.delete(force=True)
        await until(lambda: not near.samples([uuid]) and not far.samples([uuid]))
    finally:
        for runtime in runtimes:
            await runtime.close()
        with suppress(DockerError):
            await container.delete(force=True)


async def test_a_busy_container_is_seen_busy(engine: Docker, demo_images: dict[str, str]) -> None:
    image = next(iter(demo_images.values())).removeprefix("~")
    body: dict[str, Any] = {"Image": image, "Cmd": ["/bin/sh", "-c", "while :; do :; done"], "HostConfig": {"Memory": 256_000_000}}
    container = await engine.containers.run(body, name=f"aerie-test-{uuid4()}")
    try:
        shown = await container.show()
        try:
            meter = CgroupMeter(shown["State"]["Pid"], shown["Id"], datetime.now(UTC), SystemClock())
        except OSError as error:
            pytest.skip(f"this machine does not show its containers' cgroups: {error}")
        await SystemClock().sleep(1.0)
        sample = meter.sample()
        assert 5 < sample.cpu_absolute < 200
        assert 0 < sample.memory_bytes < 256_000_000
        assert abs(sample.memory_limit_bytes - 256_000_000) < 8192
        await container.kill()
        await container.wait()
        with pytest.raises(OSError):
            for _ in range(50):
                meter.sample()
                await SystemClock().sleep(0.1)
        meter.close()
    finally:
        await container.delete(force=True)
