"""One pass measures every server that runs, and what each tells of itself is Wings' figures or nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from agent.runtime.process import ProcessRuntime
from agent.runtime.runtime import Sample
from agent.server import sampling
from agent.server.sampling import SAMPLE_SECONDS, sample, sample_for_ever
from agent.server.server import Server
from agent.server.stats import KEPT_PASSES
from core.clock import ManualClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import StatsFrame
from core.supervise import Supervisor
from core.vocabulary import PowerSignal, ServerState

WINGS = {"memory_bytes", "memory_limit_bytes", "cpu_absolute", "network", "uptime", "state", "disk_bytes"}
FIGURES = Sample(90, 1_000, 75.0, 3, 4, 5_000, cpu_limit=150.0, oom_kills=1)


class Measuring(ProcessRuntime):
    """Says what it is told to, and remembers each pass."""

    figures: Sample | None = FIGURES
    passes: list[list[str]]

    takes = 0.0
    """Seconds that the next pass takes."""

    def samples(self, uuids: Iterable[str]) -> dict[str, Sample]:
        if isinstance(self._clock, ManualClock):
            self._clock._elapsed += self.takes
            self.takes = 0.0
        self.passes.append(asked := list(uuids))
        return {} if self.figures is None else dict.fromkeys(asked, self.figures)


class Stage:
    def __init__(self, folder: Path, tasks: Supervisor) -> None:
        self.config = AgentConfig.model_validate({"system": {"data": folder, "check_permissions_on_boot": False}})
        self.clock = ManualClock()
        self.runtime = Measuring(self.config, self.clock)
        self.runtime.passes = []
        self.tasks = tasks
        self.servers = [self._server(number) for number in range(3)]

    def _server(self, number: int) -> Server:
        configuration = ServerConfiguration.model_validate(
            {
                "settings": {
                    "uuid": f"11111111-2222-4333-8444-55555555555{number}",
                    "invocation": "cat",
                    "crash_detection_enabled": False,
                    "build": {"memory_limit": 512},
                },
                "process_configuration": {"startup": {"done": []}, "stop": {"type": "stop"}},
            }
        )

        async def refresh(uuid: str) -> ServerConfiguration:
            return configuration

        return Server(configuration, self.runtime, self.config, self.clock, self.tasks, refresh)

    async def run(self, server: Server) -> None:
        server.power(PowerSignal.START)
        async with asyncio.timeout(20):
            while server.state is not ServerState.RUNNING:
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Supervisor("test") as tasks:
        made = Stage(tmp_path, tasks)
        yield made
        for server in made.servers:
            await server.close()
    await made.runtime.close()


async def test_one_pass_a_second_measures_those_that_run(stage: Stage) -> None:
    for server in stage.servers[:2]:
        await stage.run(server)
    stage.tasks.spawn("stats", sample_for_ever(stage.runtime, lambda: stage.servers, stage.clock))
    await stage.clock.advance(3 * SAMPLE_SECONDS)
    assert stage.runtime.passes == [[server.uuid for server in stage.servers[:2]]] * 3
    assert [server.stats().memory_bytes for server in stage.servers] == [90, 90, 0]


async def test_a_late_pass_is_not_made_up_for(stage: Stage) -> None:
    await stage.run(stage.servers[0])
    stage.tasks.spawn("stats", sample_for_ever(stage.runtime, lambda: stage.servers, stage.clock))
    await stage.clock.advance(SAMPLE_SECONDS)
    stage.runtime.takes = 10.0
    await stage.clock.advance(SAMPLE_SECONDS)
    assert len(stage.runtime.passes) == 3  # the one that took long, and the next one at once


async def test_many_servers_are_measured_in_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "AT_ONCE", 2)
    for server in stage.servers:
        await stage.run(server)
    stage.tasks.spawn("stats", sample_for_ever(stage.runtime, lambda: stage.servers, stage.clock))
    await stage.clock.advance(2 * SAMPLE_SECONDS)
    uuids = [server.uuid for server in stage.servers]
    assert stage.runtime.passes == [uuids[:2], uuids[2:]] * 2


async def test_what_is_added_to_wings_figures_goes_to_those_who_asked(stage: Stage) -> None:
    server = stage.servers[0]
    await stage.run(server)
    sample(stage.runtime, [server for server in stage.servers if server.measured])
    frame = server.stats()
    assert set(json.loads(frame.text(extended=False))) == WINGS
    told = StatsFrame.model_validate_json(frame.text(extended=True))
    assert (told.aerie_cpu_of_limit, told.aerie_oom_kills) == (50.0, 1)
    assert (told.cpu_absolute, told.memory_limit_bytes, told.network.rx_bytes, told.uptime) == (75.0, 1_000, 3, 5_000)


async def test_without_a_known_limit_no_share_of_it_is_told(stage: Stage) -> None:
    await stage.run(stage.servers[0])
    stage.runtime.figures = Sample(1, 1, 5.0, 0, 0, 0)
    sample(stage.runtime, [server for server in stage.servers if server.measured])
    assert stage.servers[0].stats().aerie_cpu_of_limit is None


async def test_every_pass_is_told_to_listeners(stage: Stage) -> None:
    server = stage.servers[0]
    await stage.run(server)
    with server.events.listen() as events:
        sample(stage.runtime, [server for server in stage.servers if server.measured])
        sample(stage.runtime, [server for server in stage.servers if server.measured])
        assert [event.memory_bytes for event in await events.drain() if isinstance(event, StatsFrame)] == [90, 90]


async def test_figures_that_nobody_renews_are_shown_only_for_a_while(stage: Stage) -> None:
    server = stage.servers[0]
    await stage.run(server)
    sample(stage.runtime, [server for server in stage.servers if server.measured])
    stage.runtime.figures = None
    for _ in range(KEPT_PASSES - 1):
        sample(stage.runtime, [server for server in stage.servers if server.measured])
    assert server.stats().memory_bytes == 90
    sample(stage.runtime, [server for server in stage.servers if server.measured])
    assert server.stats().memory_bytes == 0
    stage.runtime.figures = FIGURES
    sample(stage.runtime, [server for server in stage.servers if server.measured])
    assert server.stats().memory_bytes == 90


async def test_an_ended_server_shows_its_limit_and_nothing_else(stage: Stage) -> None:
    server = stage.servers[0]
    await stage.run(server)
    sample(stage.runtime, [server for server in stage.servers if server.measured])
    server.power(PowerSignal.KILL)
    async with asyncio.timeout(20):
        while server.state is not ServerState.OFFLINE:
            await asyncio.sleep(0.01)
    sample(stage.runtime, [server for server in stage.servers if server.measured])
    assert not server.measured
    frame = server.stats()
    assert (frame.memory_bytes, frame.cpu_absolute, frame.uptime, frame.memory_limit_bytes) == (0, 0.0, 0, 512_000_000)
