"""What was accepted and not done outlives an agent that is killed."""

import asyncio
from pathlib import Path

import pytest

from agent.runtime.process import ProcessRuntime
from agent.server.server import Server
from agent.server.standing import SavedState
from agent.server.wish import WishFile
from core.clock import SystemClock
from core.supervise import Supervisor
from core.vocabulary import PowerSignal, ServerState
from tests.agent.server.test_power import DEAF, UUID, Stage, agent_config, configuration


async def test_it_is_on_the_disk_when_kept_returns_and_gone_once_nothing_is_wished(tmp_path: Path) -> None:
    async with Supervisor("test") as tasks:
        file = WishFile(tmp_path / "power" / UUID, SystemClock(), tasks)
        file.hold(PowerSignal.STOP)
        await file.kept()
        found = WishFile(tmp_path / "power" / UUID, SystemClock(), tasks).read()
        assert found is not None
        assert found.signal is PowerSignal.STOP
        file.hold(PowerSignal.KILL)
        file.hold(None)
        await file.kept()
        assert list((tmp_path / "power").iterdir()) == []


@pytest.mark.parametrize("text", ["", "start", "dance 2026-01-01T00:00:00+00:00", "start tomorrow"])
async def test_a_spoilt_file_wishes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / UUID).write_text(text)
    async with Supervisor("test") as tasks:
        assert WishFile(tmp_path / UUID, SystemClock(), tasks).read() is None


@pytest.mark.parametrize(("signal", "ends"), [(PowerSignal.KILL, ServerState.OFFLINE), (PowerSignal.RESTART, ServerState.RUNNING)])
async def test_the_next_agent_goes_on_with_what_a_killed_one_was_asked(tmp_path: Path, signal: PowerSignal, ends: ServerState) -> None:
    config = agent_config(tmp_path)
    runtime = ProcessRuntime(config, SystemClock())
    async with Supervisor("test") as tasks:
        stage = Stage(config, runtime, tasks, configuration(DEAF))
        await stage.end_of(stage.server.power(PowerSignal.START))
        before = (await runtime.inspect(UUID)).pid
        async with asyncio.timeout(20):
            while (config.system.root_directory / "power" / UUID).exists():  # the start's own, which is done
                await asyncio.sleep(0.01)
        wish = WishFile(config.system.root_directory / "power" / UUID, SystemClock(), tasks)
        wish.hold(signal)
        await wish.kept()
        successor: Server = Stage(config, runtime, tasks, stage.settings).server
        assert not await successor.restore(SavedState(state=ServerState.STOPPING))
        async with asyncio.timeout(20):
            while successor.power_busy or successor.state is not ends:
                await asyncio.sleep(0.01)
        assert (await runtime.inspect(UUID)).pid != before
        await runtime.close()


async def test_an_accepted_start_that_a_killed_agent_did_not_do_is_to_be_done(tmp_path: Path) -> None:
    config = agent_config(tmp_path)
    runtime = ProcessRuntime(config, SystemClock())
    async with Supervisor("test") as tasks:
        for signal, before, wanted in (
            (PowerSignal.START, SavedState(), True),
            (PowerSignal.STOP, SavedState(state=ServerState.RUNNING), False),
            (None, SavedState(starting_again=True), True),
            (None, SavedState(), False),
        ):
            wish = WishFile(config.system.root_directory / "power" / UUID, SystemClock(), tasks)
            wish.hold(signal)
            await wish.kept()
            if signal is None:
                await asyncio.to_thread(wish.forget)
            server = Stage(config, runtime, tasks, configuration()).server
            assert await server.restore(before) is wanted
