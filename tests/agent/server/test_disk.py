"""Too many bytes: a start is refused, a running server is told and stopped."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.filesystem.disks import PASS_SECONDS, Disks
from agent.filesystem.quota import MEBIBYTE
from agent.runtime.process import ProcessRuntime
from agent.server.server import Server
from core.clock import ManualClock, SystemClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.supervise import Supervisor
from core.vocabulary import PowerSignal, ServerState

UUID = "11111111-2222-4333-8444-555555555577"
GAME = 'echo ready; while read line; do [ "$line" = end ] && exit 0; done'


class Stage:
    """A server of a shell script, and the clock by which its files are counted."""

    def __init__(self, config: AgentConfig, runtime: ProcessRuntime, tasks: Supervisor) -> None:
        async def refresh(uuid: str) -> ServerConfiguration:
            return self.settings

        self.settings = self.limited(4)
        self.clock = ManualClock()
        disks = Disks(config.system, self.clock, tasks)
        self.server = Server(self.settings, runtime, config, SystemClock(), tasks, refresh, disks=disks)
        self.file = self.server.folder / "world"
        tasks.run("disks", disks.follow)

    @staticmethod
    def limited(mebibytes: int) -> ServerConfiguration:
        return ServerConfiguration.model_validate(
            {
                "settings": {"uuid": UUID, "invocation": GAME, "build": {"disk_space": mebibytes}},
                "process_configuration": {"startup": {"done": ["ready"]}, "stop": {"type": "command", "value": "end"}},
            }
        )

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for it while seconds pass by which files are counted."""
        async with asyncio.timeout(20):
            while not true():
                await self.clock.advance(PASS_SECONDS)
                await asyncio.sleep(0.01)

    async def start(self) -> None:
        self.server.power(PowerSignal.START)
        await self.until(lambda: self.server.state is ServerState.RUNNING)

    def said(self, words: str) -> bool:
        return any(words in line for line in self.server.console.history(100))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    config = AgentConfig.model_validate({"system": {"data": tmp_path, "root_directory": tmp_path, "check_permissions_on_boot": False}})
    async with Supervisor("test") as tasks:
        runtime = ProcessRuntime(config, SystemClock())
        yield Stage(config, runtime, tasks)
        await runtime.close()


async def test_a_start_over_the_limit_is_refused(stage: Stage) -> None:
    stage.server.folder.mkdir()
    stage.file.write_bytes(b"x" * 5 * MEBIBYTE)
    stage.server.power(PowerSignal.START)
    await stage.until(lambda: "more than its 4 MiB" in stage.server.reason)
    await stage.until(lambda: stage.server.state is ServerState.OFFLINE)


async def test_a_running_server_over_its_limit_is_told_and_stopped(stage: Stage) -> None:
    await stage.start()
    stage.file.write_bytes(b"x" * 4 * MEBIBYTE)
    await stage.until(lambda: stage.server.stats().disk_bytes == 4 * MEBIBYTE)
    assert stage.server.state is ServerState.RUNNING, "exactly full is not over"
    with stage.file.open("ab") as file:
        file.write(b"x")
    await stage.until(lambda: stage.server.state is ServerState.OFFLINE)
    assert stage.said("more than its disk limit of 4 MiB; it is being stopped")


async def test_a_lowered_limit_is_heeded_at_once(stage: Stage) -> None:
    await stage.start()
    stage.file.write_bytes(b"x" * 3 * MEBIBYTE)
    await stage.until(lambda: stage.server.stats().disk_bytes == 3 * MEBIBYTE)
    await stage.server.sync(stage.limited(2))
    await stage.until(lambda: stage.server.state is ServerState.OFFLINE)
    assert stage.said("more than its disk limit of 2 MiB")


async def test_an_offline_server_is_counted_once_and_after_each_run(stage: Stage) -> None:
    stage.server.folder.mkdir()
    stage.file.write_bytes(b"x" * MEBIBYTE)
    await stage.until(lambda: stage.server.stats().disk_bytes == MEBIBYTE)
    await stage.start()
    stage.file.write_bytes(b"x" * 2 * MEBIBYTE)
    stage.server.power(PowerSignal.STOP)
    await stage.until(lambda: stage.server.state is ServerState.OFFLINE)
    await stage.until(lambda: stage.server.stats().disk_bytes == 2 * MEBIBYTE)
