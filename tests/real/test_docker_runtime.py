"""One server on a real Docker Engine, on good days and bad ones."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiodocker import DockerError

from agent.history.history import History
from agent.history.search import Wanted
from agent.runtime.docker import DockerRuntime
from agent.runtime.runtime import Began
from agent.server.console import Batch
from agent.server.sampling import sample_for_ever
from agent.server.server import Server
from agent.server.standing import SavedState
from core.agent_settings import HistorySection
from core.clock import SystemClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import PowerProgress
from core.supervise import Supervisor
from core.vocabulary import PowerPhase, PowerSignal, ServerState
from tests.real.places import opened_up

pytestmark = pytest.mark.real

GAME = r"""
trap 'echo interrupted; exit 3' INT
echo ready
while :; do
  if read -t 1 line; then
    case "$line" in
      end) exit 0 ;;
      flood) seq 1 200000 ;;
      crash) exit 9 ;;
      count) for i in $(seq 1 40); do echo line $i; sleep 0.05; done ;;
      *) echo got "$line" ;;
    esac
  fi
done
"""


class Stage:
    """A server on Docker whose image runs /home/container/game.sh under the demo's own entry point, replaced by the test's."""

    def __init__(self, runtime: DockerRuntime, config: AgentConfig, tasks: Supervisor, image: str, **settings: object) -> None:
        self.uuid = str(uuid4())
        self.configuration = ServerConfiguration.model_validate(
            {
                "settings": {
                    "uuid": self.uuid,
                    "invocation": "bash /home/container/game.sh",
                    "crash_detection_enabled": False,
                    "container": {"image": image},
                    **settings,
                },
                "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}},
            }
        )
        self.runtime, self.config, self.tasks = runtime, config, tasks
        folder = config.system.data / self.uuid
        folder.mkdir(parents=True)
        (folder / "game.sh").write_text(GAME)
        self.server = self.another()

    def another(self) -> Server:
        async def refresh(uuid: str) -> ServerConfiguration:
            return self.configuration

        return Server(self.configuration, self.runtime, self.config, SystemClock(), self.tasks, refresh)

    async def does(self, signal: PowerSignal) -> PowerProgress:
        """Send a signal and wait for how it ends."""
        with self.server.events.listen() as events:
            signal_id = self.server.power(signal)
            async with asyncio.timeout(40):
                async for event in events:
                    if isinstance(event, PowerProgress) and event.signal_id == signal_id and event.phase.final:
                        return event
        raise AssertionError(f"{signal} never ended")


async def until(holds: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.fixture
def image(demo_images: dict[str, str]) -> str:
    return next(iter(demo_images.values()))


@pytest.fixture
def config(docker_host: str, tmp_path: Path) -> AgentConfig:
    opened_up(tmp_path)
    return AgentConfig.model_validate(
        {
            "docker": {"host": docker_host, "network": f"aerie_test_{uuid4().hex[:8]}", "network_subnet": ""},
            "system": {"root_directory": tmp_path / "root", "data": tmp_path / "volumes"},
            "power": {"stop_timeout": 5.0, "ready_timeout": 10.0},
            "throttles": {"enabled": False},
        }
    )


@pytest.fixture
async def make(config: AgentConfig, image: str) -> AsyncIterator[Callable[..., Stage]]:
    made: list[Stage] = []
    runtime = DockerRuntime(config, SystemClock())
    await runtime.open()
    async with Supervisor("test") as tasks:

        def stage(use_image: str = image, **settings: object) -> Stage:
            made.append(Stage(runtime, config, tasks, use_image, **settings))
            return made[-1]

        tasks.run("stats", lambda: sample_for_ever(runtime, lambda: [one.server for one in made], SystemClock()))
        yield stage
        for one in made:
            await runtime.destroy(one.uuid)
            await runtime.forget(one.uuid)
    network = await runtime.docker.networks.get(config.docker.network)
    await network.delete()
    await runtime.close()


async def test_a_server_starts_obeys_restarts_and_stops(make: Callable[..., Stage]) -> None:
    stage = make()
    assert (await stage.does(PowerSignal.START)).phase is PowerPhase.DONE
    await stage.server.command("hello")
    await until(lambda: "got hello" in stage.server.console.history(50))
    await until(lambda: stage.server.stats().memory_bytes > 0, within=3)
    assert stage.server.stats().uptime > 0
    assert (await stage.does(PowerSignal.RESTART)).phase is PowerPhase.DONE
    assert (await stage.does(PowerSignal.STOP)).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.OFFLINE
    assert stage.server.last_exit is not None
    assert stage.server.last_exit.code == 0


async def test_a_flood_loses_nothing_and_a_viewer_who_sleeps_stops_nobody(make: Callable[..., Stage]) -> None:
    stage = make()
    await stage.does(PowerSignal.START)
    sleeper = stage.server.console.fanout.listen(capacity=1)
    before = stage.server.console.last_seq
    await stage.server.command("flood")
    await stage.server.command("after")
    await until(lambda: "got after" in stage.server.console.history(50), within=30)
    assert stage.server.console.last_seq - before >= 200_001
    assert sleeper.dropped > 0
    assert isinstance((await sleeper.drain())[0], Batch)
    assert (await stage.does(PowerSignal.KILL)).phase is PowerPhase.DONE


async def test_a_container_removed_behind_our_back_is_told_within_two_seconds(make: Callable[..., Stage]) -> None:
    stage = make()
    await stage.does(PowerSignal.START)
    await stage.runtime.docker.containers.container(stage.uuid).delete(force=True)
    await until(lambda: stage.server.state is ServerState.OFFLINE, within=2)
    assert "removed" in stage.server.reason or "137" in stage.server.reason


async def test_a_kill_while_starting_ends_the_start(make: Callable[..., Stage]) -> None:
    stage = make()
    stage.configuration.process_configuration.startup.done = ["never said"]
    stage.server.power(PowerSignal.START)
    await asyncio.sleep(0.3)
    assert (await stage.does(PowerSignal.KILL)).phase is PowerPhase.DONE
    assert stage.server.state is ServerState.OFFLINE
    assert not (await stage.runtime.inspect(stage.uuid)).running


@pytest.mark.parametrize("name", ["~aerie-test/no-such-image:1", "127.0.0.1:9/no-such-image:1"])
async def test_a_missing_image_is_named(make: Callable[..., Stage], name: str) -> None:
    end = await make(name).does(PowerSignal.START)
    assert (end.phase, end.code) == (PowerPhase.FAILED, "image_unavailable")
    assert "no-such-image" in end.reason


async def test_a_taken_port_is_named(make: Callable[..., Stage]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        stage = make(allocations={"default": {"ip": "127.0.0.1", "port": port}, "mappings": {"127.0.0.1": [port]}})
        end = await stage.does(PowerSignal.START)
    assert (end.phase, end.code) == (PowerPhase.FAILED, "port_taken")
    assert str(port) in end.reason
    assert stage.server.state is ServerState.OFFLINE


async def test_an_agent_that_comes_back_finds_the_same_process_and_every_line(make: Callable[..., Stage]) -> None:
    stage = make()
    await stage.does(PowerSignal.START)
    before = await stage.runtime.inspect(stage.uuid)
    await stage.server.command("count")
    await until(lambda: "line 10" in stage.server.console.history(50))
    saved = SavedState.model_validate_json(stage.server.saved().model_dump_json())
    seen = [line for line in stage.server.console.history(100) if line.startswith("line ")]
    await stage.server.close()
    await asyncio.sleep(0.5)
    successor = stage.another()
    await successor.restore(saved)
    await until(lambda: "line 40" in successor.console.history(100))
    assert successor.state is ServerState.RUNNING
    assert (await stage.runtime.inspect(stage.uuid)).pid == before.pid
    rest = [line for line in successor.console.history(100) if line.startswith("line ")]
    assert seen + rest == [f"line {number}" for number in range(1, 41)]
    stage.server = successor
    assert (await stage.does(PowerSignal.KILL)).phase is PowerPhase.DONE


async def test_after_a_kill_of_the_agent_no_line_is_lost_none_comes_twice_and_no_number_either(
    make: Callable[..., Stage], tmp_path: Path
) -> None:
    """The killed agent had numbered and shown lines since it last wrote its state down; what it had not kept is in Docker's log."""
    stage = make()
    histories = [History(tmp_path / "console", HistorySection(), SystemClock()) for _ in range(2)]
    await histories[0].open()
    stage.server.console.begin(histories[0].book(stage.uuid))
    await stage.does(PowerSignal.START)
    await stage.server.command("count")
    await until(lambda: "line 5" in stage.server.console.history(50), 20)
    await histories[0].flush()
    saved = SavedState.model_validate_json(stage.server.saved().model_dump_json())
    await until(lambda: "line 15" in stage.server.console.history(50), 20)
    shown, last = stage.server.console.history(100), stage.server.console.last_seq
    await stage.server.close()  # but nothing of it is written down, neither its state nor the lines that wait for the disk
    await histories[1].open()
    successor = stage.another()
    successor.console.begin(histories[1].book(stage.uuid))
    assert successor.console.last_seq >= last
    await successor.restore(saved)
    await until(lambda: "line 40" in successor.console.history(100), 20)
    assert not set(successor.console.history(100)) & {line for line in shown if line.startswith("line ")}
    found = await histories[1].search(stage.uuid, Wanted(newest_first=False, limit=1000))
    pages = [(line.seq, line.text) for line in found.lines]
    assert [seq for seq, _ in pages] == list(range(1, len(pages) + 1))
    assert [text for _, text in pages if text.startswith("line ")] == [f"line {number}" for number in range(1, 41)]
    assert not any(line.lost for line in found.lines)
    await histories[1].close()
    stage.server = successor
    assert (await stage.does(PowerSignal.KILL)).phase is PowerPhase.DONE


async def test_a_stop_by_signal_reaches_the_process(make: Callable[..., Stage]) -> None:
    stage = make()
    stage.configuration.process_configuration.stop.type = "signal"
    stage.configuration.process_configuration.stop.value = "^C"
    await stage.does(PowerSignal.START)
    assert (await stage.does(PowerSignal.STOP)).phase is PowerPhase.DONE
    assert stage.server.last_exit is not None
    assert stage.server.last_exit.code in (3, 130)


async def test_a_container_that_somebody_starts_is_told(make: Callable[..., Stage]) -> None:
    stage = make()
    await stage.does(PowerSignal.START)
    await stage.does(PowerSignal.STOP)
    with stage.runtime.exits().listen() as events:
        await stage.runtime.docker.containers.container(stage.uuid).start()
        async with asyncio.timeout(15):
            async for event in events:
                if event == Began(stage.uuid):
                    break
    await stage.server.found_running()
    assert stage.server.state is ServerState.RUNNING
    assert "started on the node" in stage.server.reason
    assert (await stage.does(PowerSignal.KILL)).phase is PowerPhase.DONE


async def test_an_unchanged_container_serves_again_and_a_changed_one_is_made_anew(make: Callable[..., Stage]) -> None:
    stage = make()

    async def run() -> dict[str, Any]:
        end = await stage.does(PowerSignal.START)
        assert end.phase is PowerPhase.DONE, end
        shown = dict(await stage.runtime.docker.containers.container(stage.uuid).show())
        assert (await stage.does(PowerSignal.STOP)).phase is PowerPhase.DONE
        return shown

    first, second = await run(), await run()
    assert second["Id"] == first["Id"]
    assert second["State"]["StartedAt"] != first["State"]["StartedAt"]
    stage.configuration.settings.environment["LEVEL"] = "8"
    third = await run()
    assert third["Id"] != first["Id"]
    assert "LEVEL=8" in third["Config"]["Env"]
    for name in third["NetworkSettings"]["Networks"]:  # somebody tidies up on the node; the network is made again, and is another
        if name not in ("none", "host", "bridge", stage.config.docker.network):
            await (await stage.runtime.docker.networks.get(name)).delete()
    await run()


async def test_two_agents_that_start_together_share_one_network(config: AgentConfig) -> None:
    runtimes = [DockerRuntime(config, SystemClock()) for _ in range(4)]
    try:
        await asyncio.gather(*(runtime.open() for runtime in runtimes))
        network = await runtimes[0].docker.networks.get(config.docker.network)
        await network.delete()
        with pytest.raises(DockerError):
            await runtimes[0].docker.networks.get(config.docker.network)
    finally:
        for runtime in runtimes:
            await runtime.close()
