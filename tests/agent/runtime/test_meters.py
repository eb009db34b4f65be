"""Meters are opened beforehand and read in one pass; trouble with one container, or with the engine, holds up nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.runtime import meters
from agent.runtime.cgroup import CgroupMeter
from agent.runtime.docker_records import Life
from agent.runtime.meters import AGAIN_SECONDS, Meters
from core.clock import ManualClock
from core.errors import EngineUnreachable
from core.supervise import Supervisor
from tests.agent.runtime.cgroup_trees import ID, PID, Tree, plant


def record(usage: int, cpu: int) -> dict[str, Any]:
    """One of Docker's stats, two cores."""
    return {
        "memory_stats": {"usage": usage, "limit": 1_000, "stats": {"inactive_file": 50}},
        "cpu_stats": {"cpu_usage": {"total_usage": cpu}, "system_cpu_usage": 2_000, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 0}, "system_cpu_usage": 0},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
    }


class Engine:
    """Answers what it is told to, and counts how often it was asked."""

    def __init__(self, clock: ManualClock) -> None:
        self.life: Life | None = Life(ID, PID, clock.now())
        self.away = False
        self.asked: list[str] = []
        self.streams: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def find(self, uuid: str) -> Life | None:
        self.asked.append(uuid)
        answer = self.life
        await self.hold.wait()
        if self.away:
            raise EngineUnreachable("The Docker Engine does not answer.")
        return answer

    async def stream(self, uuid: str) -> AsyncIterator[dict[str, Any]]:
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.streams.append(queue)
        while (one := await queue.get()) is not None:
            yield one


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Engine:
    return Engine(clock)


@pytest.fixture
async def tasks() -> AsyncIterator[Supervisor]:
    async with Supervisor("test") as supervisor:
        yield supervisor


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    tree = plant(tmp_path, v2=True)
    monkeypatch.setattr(meters, "CgroupMeter", partial(CgroupMeter, root=tree.root, proc=tree.proc))
    return tree


@pytest.fixture
async def made(engine: Engine, clock: ManualClock, tasks: Supervisor) -> AsyncIterator[Callable[[bool], Meters]]:
    all_of_them: list[Meters] = []

    def make(cgroups: bool = True) -> Meters:
        all_of_them.append(Meters(engine.find, engine.stream, clock, tasks, cgroups=cgroups))
        return all_of_them[-1]

    yield make
    for one in all_of_them:
        one.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)


async def test_a_container_without_a_meter_is_looked_up_for_a_later_pass(made: Callable[..., Meters], tree: Tree) -> None:
    those = made()
    assert those.samples(["a"]) == {}
    await until(lambda: those.samples(["a"]))
    assert those.samples(["a"])["a"].memory_bytes == 90_000_000


async def test_a_pass_does_not_wait_for_an_engine_that_hangs(made: Callable[..., Meters], engine: Engine, tree: Tree) -> None:
    those = made()
    assert engine.life is not None
    those.see("a", engine.life)
    engine.hold.clear()
    assert set(those.samples(["a", "b"])) == {"a"}
    await until(lambda: engine.asked)
    assert set(those.samples(["a", "b"])) == {"a"}


async def test_an_engine_that_is_away_is_not_asked_at_every_pass(
    made: Callable[..., Meters], engine: Engine, clock: ManualClock, tree: Tree
) -> None:
    those, engine.away = made(), True
    those.samples(["a"])
    for _ in range(int(AGAIN_SECONDS) - 1):
        await clock.advance(1.0)
        those.samples(["a"])
    assert engine.asked == ["a"]
    await clock.advance(1.0)
    engine.away = False
    those.samples(["a"])
    await until(lambda: those.samples(["a"]))
    assert engine.asked == ["a", "a"]


async def test_a_container_started_again_is_measured_in_its_new_life(
    made: Callable[..., Meters], engine: Engine, clock: ManualClock, tree: Tree
) -> None:
    those = made()
    assert engine.life is not None
    those.see("a", engine.life)
    await clock.advance(5.0)
    assert those.samples(["a"])["a"].uptime_ms == 5_000
    engine.life = Life(ID, PID, clock.now())
    those.look_up("a")
    await until(lambda: those.samples(["a"])["a"].uptime_ms == 0)


async def test_an_answer_about_the_life_before_is_asked_for_again(
    made: Callable[..., Meters], engine: Engine, clock: ManualClock, tree: Tree
) -> None:
    those = made()
    engine.hold.clear()
    those.look_up("a")
    await until(lambda: engine.asked)
    await clock.advance(5.0)
    engine.life = Life(ID, PID, clock.now())
    those.look_up("a")  # its start was heard of while the first question was under way
    engine.hold.set()
    await until(lambda: those.samples(["a"]))
    assert engine.asked == ["a", "a"]
    assert those.samples(["a"])["a"].uptime_ms == 0


async def test_a_container_that_is_over_is_left_out(made: Callable[..., Meters], engine: Engine, tree: Tree) -> None:
    those = made()
    assert engine.life is not None
    those.see("a", engine.life)
    engine.life = None
    (tree.memory / "memory.current").write_text("")
    assert those.samples(["a"]) == {}
    await until(lambda: engine.asked)
    assert those.samples(["a"]) == {}


async def test_where_cgroups_cannot_be_read_the_engine_is_asked(made: Callable[..., Meters], engine: Engine, clock: ManualClock) -> None:
    those = made(cgroups=False)
    assert engine.life is not None
    those.see("a", engine.life)
    assert those.samples(["a"]) == {}
    await until(lambda: engine.streams)
    await clock.advance(3.0)
    engine.streams[0].put_nowait(record(1_050, 500))
    await until(lambda: those.samples(["a"]))
    sample = those.samples(["a"])["a"]
    assert (sample.memory_bytes, sample.memory_limit_bytes, sample.cpu_absolute) == (1_000, 1_000, 50.0)
    assert (sample.rx_bytes, sample.tx_bytes, sample.uptime_ms) == (11, 22, 3_000)


async def test_a_record_without_figures_changes_nothing(made: Callable[..., Meters], engine: Engine) -> None:
    those = made(cgroups=False)
    assert engine.life is not None
    those.see("a", engine.life)
    await until(lambda: engine.streams)
    engine.streams[0].put_nowait({"memory_stats": {}, "cpu_stats": {}, "precpu_stats": {}})
    engine.streams[0].put_nowait(record(60, 1))
    await until(lambda: those.samples(["a"]))
    assert those.samples(["a"])["a"].memory_bytes == 10


async def test_a_stream_that_ends_is_opened_again(made: Callable[..., Meters], engine: Engine) -> None:
    those = made(cgroups=False)
    assert engine.life is not None
    those.see("a", engine.life)
    await until(lambda: engine.streams)
    engine.streams[0].put_nowait(None)
    await until(lambda: those.samples(["a"]) == {} and len(engine.streams) == 2)
    engine.streams[1].put_nowait(record(60, 1))
    await until(lambda: those.samples(["a"]))


async def test_a_cgroup_that_cannot_be_read_falls_back_to_the_engine(made: Callable[..., Meters], engine: Engine, tree: Tree) -> None:
    (tree.memory / "memory.stat").write_text("nonsense that ends\ninactive_file much\n")
    those = made()
    assert engine.life is not None
    those.see("a", engine.life)
    await until(lambda: engine.streams)
