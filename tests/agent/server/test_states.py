"""states.json: whole at every moment, written when something changed, read entry by entry."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.server.standing import SavedState
from agent.server.states import POSITIONS_SECONDS, StatesFile
from core.clock import SystemClock
from core.supervise import Supervisor
from core.vocabulary import ServerState


class Kept:
    """A server as far as its saved state goes; counts how often that was put into words."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.state = SavedState()
        self.asked = 0

    def saved(self) -> SavedState:
        self.asked += 1
        return self.state


class Stage:
    def __init__(self, folder: Path) -> None:
        self.servers = [Kept("a"), Kept("b"), Kept("c")]
        self.path = folder / "agent" / "states.json"
        self.file = StatesFile(self.path, lambda: self.servers, SystemClock())  # type: ignore[arg-type, return-value]

    def written(self) -> dict[str, SavedState]:
        return StatesFile(self.path, list, SystemClock()).read()

    async def until(self, state: ServerState) -> None:
        async with asyncio.timeout(20):
            while (entry := self.written().get("a")) is None or entry.state is not state:
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    async with Supervisor("test") as tasks:
        tasks.run("states", made.file.run)
        await made.until(ServerState.OFFLINE)
        yield made


async def test_a_changed_state_is_on_disk_in_a_moment_and_costs_one_entry(stage: Stage) -> None:
    asked = stage.servers[1].asked
    stage.servers[0].state = SavedState(state=ServerState.RUNNING)
    stage.file.changed("a")
    async with asyncio.timeout(POSITIONS_SECONDS * 0.9):  # long before everything is looked at
        await stage.until(ServerState.RUNNING)
    assert stage.servers[1].asked == asked
    assert set(stage.written()) == {"a", "b", "c"}


async def test_what_changed_without_a_word_is_written_all_the_same(stage: Stage) -> None:
    stage.servers[0].state = SavedState(state=ServerState.STOPPING, seq=7)
    await stage.until(ServerState.STOPPING)
    assert stage.written()["a"].seq == 7


async def test_what_is_on_disk_is_not_written_again(stage: Stage) -> None:
    await stage.file.save()
    before = stage.path.stat().st_ino
    await stage.file.save()
    assert stage.path.stat().st_ino == before
    stage.servers[2].state = SavedState(seq=1)
    await stage.file.save()
    assert stage.path.stat().st_ino != before


async def test_a_server_that_is_gone_is_forgotten(stage: Stage) -> None:
    del stage.servers[1]
    stage.file.changed("b")
    async with asyncio.timeout(20):
        while "b" in stage.written():
            await asyncio.sleep(0.01)


async def test_one_spoilt_entry_costs_no_other(stage: Stage) -> None:
    stage.path.write_text(json.dumps({"a": {"state": "running"}, "b": {"state": "dancing"}, "c": "running", "d": 7}))
    found = StatesFile(stage.path, list, SystemClock()).read()
    assert {uuid: entry.state for uuid, entry in found.items()} == {"a": ServerState.RUNNING, "c": ServerState.RUNNING}


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null", '{"a": '])
def test_a_spoilt_file_is_no_reason_to_fail(tmp_path: Path, text: str) -> None:
    (tmp_path / "states.json").write_text(text)
    assert StatesFile(tmp_path / "states.json", list, SystemClock()).read() == {}


async def test_a_disk_that_refuses_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(tmp_path)
    stage.path.parent.write_text("a file where the folder should be")
    await stage.file.save()
    await stage.file.save()
    assert sum("cannot be written" in line for line in caplog.messages) == 1
    stage.path.parent.unlink()
    await stage.file.save()
    assert set(stage.written()) == {"a", "b", "c"}


async def test_only_the_agent_may_read_it(stage: Stage) -> None:
    assert stage.path.stat().st_mode & 0o077 == 0
