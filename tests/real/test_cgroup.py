"""A container measured by its cgroup's files says what the engine says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from aiodocker import Docker

from agent.runtime.cgroup import CgroupMeter
from core.clock import SystemClock

pytestmark = pytest.mark.real


@pytest.fixture
async def engine(docker_host: str) -> AsyncIterator[Docker]:
    docker = Docker(url=docker_host)
    yield docker
    await docker.close()


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
