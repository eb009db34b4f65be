"""Starts of the node's own accord: a few at a time, the important ones first, none held up by one that hangs (RES-9)."""

import asyncio
from pathlib import Path
from uuid import uuid4

from agent.runtime.process import ProcessRuntime
from agent.server.server import Server
from agent.server.start_gate import StartGate
from core.clock import SystemClock
from core.protocol.settings import ServerConfiguration
from core.supervise import Supervisor
from core.vocabulary import ServerState
from tests.agent.server.test_power import agent_config, configuration


async def test_the_highest_priority_goes_first_and_then_who_came_first() -> None:
    gate, went = StartGate(1), list[str]()
    hold = asyncio.Event()

    async def one(name: str, priority: int) -> None:
        async with gate.turn(priority):
            went.append(name)
            await hold.wait()

    async with asyncio.TaskGroup() as group:
        for name, priority in (("first", 0), ("b", 0), ("low", -1), ("high", 5), ("c", 0)):
            group.create_task(one(name, priority))
            await asyncio.sleep(0)
        assert (went, gate.waiting) == (["first"], 4)
        hold.set()
    assert went == ["first", "high", "b", "c", "low"]


async def test_who_gives_up_takes_no_turn_and_keeps_none() -> None:
    gate = StartGate(1)
    async with gate.turn(0):
        async with asyncio.timeout(20):
            waiting = asyncio.ensure_future(gate.turn(0).__aenter__())
            while not gate.waiting:
                await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(20), gate.turn(0):
        pass


async def test_res_9_hundreds_that_crash_in_a_loop_start_a_few_at_a_time(tmp_path: Path) -> None:
    config = agent_config(tmp_path)
    runtime, gate = ProcessRuntime(config, SystemClock()), StartGate(3)
    most = 0

    async with Supervisor("test") as tasks:

        def made() -> Server:
            wanted = configuration("exit 7", crash_detection_enabled=True, uuid=str(uuid4()))

            async def refresh(uuid: str) -> ServerConfiguration:
                return wanted

            return Server(wanted, runtime, config, SystemClock(), tasks, refresh, gate=gate)

        servers = [made() for _ in range(60)]
        for server in servers:
            server.start_again()
        async with asyncio.timeout(60):
            while any(server.crash is None or server.crash.restarting for server in servers):
                most = max(most, sum(server.power_busy for server in servers))
                await asyncio.sleep(0)
        assert 0 < most <= 3
        assert {server.state for server in servers} == {ServerState.OFFLINE}
        assert all("stays offline" in server.reason for server in servers)
        await runtime.close()
