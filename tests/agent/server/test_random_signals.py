"""A thousand signals at random from ten clients: none is forgotten, and the state in the end is the engine's."""

import asyncio
import random
from pathlib import Path

import pytest

from agent.runtime.process import ProcessRuntime
from agent.runtime.runtime import Inspection
from core.clock import SystemClock
from core.config import AgentConfig
from core.errors import EngineUnreachable
from core.supervise import Supervisor
from core.vocabulary import ServerState
from tests.agent.server.test_power import Stage, agent_config, configuration
from tests.signal_suite import holds, storm

QUICK = 'echo ready; while read line; do [ "$line" = end ] && exit 0; done'


class MoodyRuntime(ProcessRuntime):
    """Every now and then it does not answer."""

    def __init__(self, config: AgentConfig, seed: int) -> None:
        super().__init__(config, SystemClock())
        self.dice = random.Random(seed)
        self.well = False

    def _sulk(self) -> None:
        if not self.well and self.dice.random() < 0.1:
            raise EngineUnreachable("The Docker Engine cannot be reached.", hint="Start Docker on the node.")

    async def inspect(self, uuid: str) -> Inspection:
        self._sulk()
        return await super().inspect(uuid)

    async def start(self, uuid: str) -> None:
        self._sulk()
        await super().start(uuid)

    async def signal(self, uuid: str, name: str) -> None:
        self._sulk()
        await super().signal(uuid, name)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_thousand_signals_from_ten_clients(tmp_path: Path, seed: int) -> None:
    config = agent_config(tmp_path, stop_timeout=20.0, kill_timeout=20.0)
    runtime = ProcessRuntime(config, SystemClock())
    async with Supervisor("test") as tasks:
        server = Stage(config, runtime, tasks, configuration(QUICK)).server
        found = await storm(server, runtime, signals=1000, seed=seed, pause=0.04)
        assert len(found.accepted) + found.refused > 100
        await holds(found, server, runtime)
        await runtime.close()


async def test_an_engine_that_sulks_leaves_none_forgotten_and_no_state_that_lies(tmp_path: Path) -> None:
    config = agent_config(tmp_path, stop_timeout=20.0, kill_timeout=20.0)
    runtime = MoodyRuntime(config, 7)
    async with Supervisor("test") as tasks:
        server = Stage(config, runtime, tasks, configuration(QUICK)).server
        found = await storm(server, runtime, signals=300, seed=3, pause=0.04)
        runtime.well = True
        assert found.accepted.keys() == found.ends.keys()
        assert {len(ends) for ends in found.ends.values()} == {1}
        async with asyncio.timeout(30):
            while server.state in (ServerState.STARTING, ServerState.STOPPING):
                await asyncio.sleep(0.02)
            while (await runtime.inspect(server.uuid)).running is not (server.state is ServerState.RUNNING):
                await asyncio.sleep(0.02)
        await runtime.close()
