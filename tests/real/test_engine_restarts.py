"""dockerd stopped, killed and started again under a running agent: states come true, and what ran runs again."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup.engine import PrivateEngine
from tests.real.faults import own_engine, restarted, scene

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with own_engine() as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_what_ran_runs_again_and_what_was_off_stays_off(engine: PrivateEngine, tmp_path: Path, number: signal.Signals) -> None:
    async with scene(engine, tmp_path) as it:
        ran = it.make()
        calm = it.make(crash_detection_enabled=False)
        off = it.make()
        async with it.agent() as agent:
            await agent.up()
            for uuid in (ran, calm):
                assert await it.power(agent, uuid, "start") == 202
            for uuid in (ran, calm):
                await it.comes_to(agent, uuid, "running")
            for _ in range(2):  # twice within a minute, which would be a crash too many
                await asyncio.to_thread(restarted, engine, number)
                for uuid in (ran, calm):
                    await it.comes_to(agent, uuid, "running")
                await it.comes_to(agent, off, "offline")
            assert await it.power(agent, ran, "stop") == 202
            await it.comes_to(agent, ran, "offline")


async def test_a_stop_under_way_is_a_stop_still(engine: PrivateEngine, tmp_path: Path) -> None:
    async with scene(engine, tmp_path) as it:
        uuid = it.make()
        async with it.agent() as agent:
            await agent.up()
            await it.power(agent, uuid, "start")
            await it.comes_to(agent, uuid, "running")
            (it.place(uuid) / "hold").touch()
            await it.power(agent, uuid, "stop")
            await it.comes_to(agent, uuid, "stopping")
            await asyncio.to_thread(restarted, engine, signal.SIGKILL)
            await it.comes_to(agent, uuid, "offline")
