"""Power signals against real child processes: what people ask for happens, or is told why not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.runtime.process import ProcessRuntime
from agent.server.server import Server
from core.clock import SystemClock
from core.config import AgentConfig
from core.errors import Conflict, Invalid, ServerOffline, ServerSuspended
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import PowerProgress, StateChange
from core.supervise import Supervisor
from core.vocabulary import PowerPhase, PowerSignal, ServerState
from tests.fakes.runtime import DeadRuntime, RudeRuntime, SlowRuntime

UUID = "11111111-2222-4333-8444-555555555555"
OBEDIENT = 'echo loading; sleep 0.1; echo ready; while read line; do echo "got $line"; [ "$line" = end ] && exit 0; done'
DEAF = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"


def configuration(invocation: str = OBEDIENT, done: str = "ready", **more: object) -> ServerConfiguration:
    return ServerConfiguration.model_validate(
        {
            "settings": {"uuid": UUID, "invocation": invocation, "crash_detection_enabled": False, **more},
            "process_configuration": {"startup": {"done": [done]}, "stop": {"type": "command", "value": "end"}},
        }
    )


class Stage:
    """One server and everything it told."""

    def __init__(self, config: AgentConfig, runtime: ProcessRuntime, tasks: Supervisor, settings: ServerConfiguration) -> None:
        async def refresh(uuid: str) -> ServerConfiguration:
            return self.settings

        self.settings = settings
        self.server = Server(settings, runtime, config, SystemClock(), tasks, refresh)
        self._events = self.server.events.listen()
        self.told: list[object] = []

    async def end_of(self, signal_id: str) -> PowerProgress:
        async with asyncio.timeout(10):
            while True:
                for event in self.told:
                    if isinstance(event, PowerProgress) and event.signal_id == signal_id and event.phase.final:
                        return event
                self.told += await self._events.drain()

    async def until(self, state: ServerState) -> None:
        async with asyncio.timeout(10):
            while self.server.state is not state:
                await asyncio.sleep(0.01)

    def states(self) -> list[ServerState]:
        return [event.state for event in self.told if isinstance(event, StateChange)]


def agent_config(tmp_path: Path, **power: float) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "system": {"root_directory": tmp_path / "root", "data": tmp_path, "check_permissions_on_boot": False},
            "power": {"stop_timeout": 1.0, "kill_timeout": 2.0, **power},
        }
    )


@pytest.fixture
async def tasks() -> AsyncIterator[Supervisor]:
    async with Supervisor("test") as supervisor:
        yield supervisor


@pytest.fixture
async def stage(tmp_path: Path, tasks: Supervisor) -> AsyncIterator[Stage]:
    config = agent_config(tmp_path)
    runtime = ProcessRuntime(config, SystemClock())
    yield Stage(config, runtime, tasks, configuration())
    await runtime.close()


async def test_a_server_starts_obeys_and_stops(stage: Stage) -> None:
    assert (await stage.end_of(stage.server.power(PowerSignal.START))).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.RUNNING
    await stage.server.command("hello")
    async with asyncio.timeout(5):
        while "got hello" not in stage.server.console.history(100):
            await asyncio.sleep(0.01)
    assert (await stage.end_of(stage.server.power(PowerSignal.STOP))).phase is PowerPhase.DONE
    assert stage.states() == [ServerState.STARTING, ServerState.RUNNING, ServerState.STOPPING, ServerState.OFFLINE]
    assert stage.server.last_exit is not None
    assert stage.server.last_exit.code == 0


async def test_a_restart_tells_both_halves(stage: Stage) -> None:
    await stage.end_of(stage.server.power(PowerSignal.START))
    signal_id = stage.server.power(PowerSignal.RESTART)
    assert (await stage.end_of(signal_id)).phase is PowerPhase.DONE
    phases = [event.phase for event in stage.told if isinstance(event, PowerProgress) and event.signal_id == signal_id]
    assert phases == [PowerPhase.ACCEPTED, PowerPhase.STOPPING, PowerPhase.STARTING, PowerPhase.DONE]


@pytest.mark.parametrize("overtaker", [PowerSignal.STOP, PowerSignal.KILL])
async def test_stop_and_kill_overtake_a_start(stage: Stage, overtaker: PowerSignal) -> None:
    stage.settings = configuration('while read line; do [ "$line" = end ] && exit; done', done="never")
    start = stage.server.power(PowerSignal.START)
    await stage.until(ServerState.STARTING)
    await asyncio.sleep(0.2)
    later = stage.server.power(overtaker)
    assert (await stage.end_of(start)).phase is PowerPhase.SUPERSEDED
    assert (await stage.end_of(later)).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.OFFLINE


async def test_a_signal_overtaken_before_its_first_step_is_told_too(stage: Stage) -> None:
    start = stage.server.power(PowerSignal.START)
    kill = stage.server.power(PowerSignal.KILL)
    assert (await stage.end_of(start)).phase is PowerPhase.SUPERSEDED
    assert (await stage.end_of(kill)).phase is PowerPhase.DONE
    await asyncio.sleep(0)
    assert stage.server.state is ServerState.OFFLINE


async def test_a_process_that_ignores_its_stop_is_killed_at_the_limit(stage: Stage) -> None:
    stage.settings = configuration(DEAF)
    await stage.end_of(stage.server.power(PowerSignal.START))
    end = await stage.end_of(stage.server.power(PowerSignal.STOP))
    assert end.phase is PowerPhase.DONE
    assert "killed" in end.reason
    assert stage.server.state is ServerState.OFFLINE


async def test_kill_overtakes_a_stop(stage: Stage) -> None:
    stage.settings = configuration(DEAF)
    await stage.end_of(stage.server.power(PowerSignal.START))
    stop = stage.server.power(PowerSignal.STOP)
    await stage.until(ServerState.STOPPING)
    kill = stage.server.power(PowerSignal.KILL)
    assert (await stage.end_of(stop)).phase is PowerPhase.SUPERSEDED
    assert (await stage.end_of(kill)).phase is PowerPhase.DONE


async def test_the_same_signal_twice_is_one(stage: Stage) -> None:
    first = stage.server.power(PowerSignal.START)
    assert stage.server.power(PowerSignal.START) == first
    await stage.end_of(first)


async def test_a_stop_ends_a_start_that_waits_behind_another_stop(stage: Stage) -> None:
    stage.settings = configuration(DEAF)
    await stage.end_of(stage.server.power(PowerSignal.START))
    stop = stage.server.power(PowerSignal.STOP)
    start = stage.server.power(PowerSignal.START)
    assert stage.server.power(PowerSignal.STOP) == stop
    assert (await stage.end_of(start)).phase is PowerPhase.SUPERSEDED
    assert (await stage.end_of(stop)).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.OFFLINE


async def test_a_start_behind_a_restart_joins_it_and_never_ends_what_runs(stage: Stage) -> None:
    await stage.end_of(stage.server.power(PowerSignal.START))
    restart = stage.server.power(PowerSignal.RESTART)
    assert stage.server.power(PowerSignal.START) == restart
    assert (await stage.end_of(restart)).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.RUNNING


async def test_an_end_just_after_a_stop_was_accepted_is_no_crash(stage: Stage) -> None:
    stage.settings = configuration("echo ready; read line; exit 5", crash_detection_enabled=True)
    await stage.server.sync(stage.settings)
    await stage.end_of(stage.server.power(PowerSignal.START))
    await stage.server.command("fall")
    stop = stage.server.power(PowerSignal.STOP)
    assert (await stage.end_of(stop)).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.OFFLINE
    assert stage.server.crash is None


async def test_a_senseless_signal_is_refused_at_once(stage: Stage) -> None:
    with pytest.raises(Conflict, match="already offline"):
        stage.server.power(PowerSignal.STOP)
    await stage.end_of(stage.server.power(PowerSignal.START))
    with pytest.raises(Conflict, match="already running"):
        stage.server.power(PowerSignal.START)


async def test_a_process_that_ends_before_it_is_ready_fails_the_start(stage: Stage) -> None:
    stage.settings = configuration("echo no luck; exit 7")
    end = await stage.end_of(stage.server.power(PowerSignal.START))
    assert end.phase is PowerPhase.FAILED
    assert "exit code 7" in end.reason
    assert "no luck" in stage.server.console.history(10)
    assert stage.server.state is ServerState.OFFLINE


async def test_a_server_without_a_ready_line_counts_as_running(tmp_path: Path, tasks: Supervisor) -> None:
    config = agent_config(tmp_path, ready_timeout=0.3)
    runtime = ProcessRuntime(config, SystemClock())
    stage = Stage(config, runtime, tasks, configuration(done="never said"))
    assert (await stage.end_of(stage.server.power(PowerSignal.START))).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.RUNNING
    assert "no ready line" in stage.server.reason
    await runtime.close()


async def test_a_suspended_server_is_not_started(stage: Stage) -> None:
    await stage.server.sync(configuration(suspended=True))
    with pytest.raises(ServerSuspended):
        stage.server.power(PowerSignal.START)


async def test_commands_need_a_running_server_and_one_line(stage: Stage) -> None:
    with pytest.raises(ServerOffline):
        await stage.server.command("hello")
    with pytest.raises(Invalid):
        await stage.server.command("two\nlines")


async def test_an_engine_that_refuses_fails_the_start_with_its_reason(tmp_path: Path, tasks: Supervisor) -> None:
    config = agent_config(tmp_path)
    stage = Stage(config, RudeRuntime(config, SystemClock()), tasks, configuration())
    end = await stage.end_of(stage.server.power(PowerSignal.START))
    assert (end.phase, end.code) == (PowerPhase.FAILED, "port_taken")
    assert stage.server.state is ServerState.OFFLINE
    assert "25565" in stage.server.reason


async def test_a_kill_ends_a_start_that_still_pulls_its_image(tmp_path: Path, tasks: Supervisor) -> None:
    config = agent_config(tmp_path)
    stage = Stage(config, SlowRuntime(config, SystemClock()), tasks, configuration())
    start = stage.server.power(PowerSignal.START)
    await stage.until(ServerState.STARTING)
    async with asyncio.timeout(2):
        await stage.end_of(stage.server.power(PowerSignal.KILL))
    assert (await stage.end_of(start)).phase is PowerPhase.SUPERSEDED
    assert stage.server.state is ServerState.OFFLINE


async def test_an_engine_that_dies_in_the_middle_leaves_no_state_stuck(tmp_path: Path, tasks: Supervisor) -> None:
    config = agent_config(tmp_path)
    runtime = DeadRuntime(config, SystemClock())
    stage = Stage(config, runtime, tasks, configuration(DEAF))
    await stage.end_of(stage.server.power(PowerSignal.START))
    stop = stage.server.power(PowerSignal.STOP)
    await stage.until(ServerState.STOPPING)
    runtime.dead = True
    end = await stage.end_of(stop)
    assert (end.phase, end.code) == (PowerPhase.FAILED, "engine_unreachable")
    runtime.dead = False
    await stage.until(ServerState.RUNNING)
    assert (await stage.end_of(stage.server.power(PowerSignal.KILL))).phase is PowerPhase.DONE
    await runtime.close()


async def test_a_crash_is_told_and_started_again(tmp_path: Path, tasks: Supervisor) -> None:
    config = agent_config(tmp_path)
    runtime = ProcessRuntime(config, SystemClock())
    stage = Stage(config, runtime, tasks, configuration("echo ready; read line; exit 5", crash_detection_enabled=True))
    await stage.end_of(stage.server.power(PowerSignal.START))
    await stage.server.command("fall")
    async with asyncio.timeout(5):
        while not any("exit code 5" in line for line in stage.server.console.history(50)):
            await asyncio.sleep(0.01)
    await stage.until(ServerState.RUNNING)
    assert stage.server.last_exit is not None
    assert stage.server.last_exit.code == 5
    await stage.end_of(stage.server.power(PowerSignal.KILL))
    await runtime.close()
