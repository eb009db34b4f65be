"""Starts that nobody asked for give way to whatever somebody asks for."""

from collections.abc import AsyncIterator

import pytest

from agent.server.own_start import OwnStart
from agent.server.power import Order, PowerQueue
from agent.server.start_gate import StartGate
from core.clock import ManualClock
from core.errors import Conflict
from core.supervise import Supervisor
from core.vocabulary import PowerSignal, ServerState


class Stage:
    def __init__(self, tasks: Supervisor, clock: ManualClock) -> None:
        async def step(order: Order) -> str:
            return ""

        self.sent: list[PowerSignal] = []
        self.clock = clock
        queue = PowerQueue(dict.fromkeys(PowerSignal, step), lambda: ServerState.OFFLINE, lambda told: None, clock, tasks)
        self.own = OwnStart(self.power, queue, clock, tasks, StartGate())

    def power(self, signal: PowerSignal) -> str:
        self.own.forget()
        self.sent.append(signal)
        if self.sent.count(signal) > 1:
            raise Conflict("no")
        return "id"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    clock = ManualClock()
    async with Supervisor("test", clock) as tasks:
        yield Stage(tasks, clock)


async def test_it_starts_after_its_wait_and_a_refusal_is_the_end_of_it(stage: Stage) -> None:
    stage.own.soon(10)
    await stage.clock.advance(9)
    assert stage.sent == []
    await stage.clock.advance(2)
    assert stage.sent == [PowerSignal.START]
    stage.own.soon()
    await stage.clock.advance(1)
    assert stage.sent == [PowerSignal.START] * 2


async def test_whoever_asks_for_something_meanwhile_wins(stage: Stage) -> None:
    stage.own.soon(10)
    stage.power(PowerSignal.KILL)
    await stage.clock.advance(60)
    assert stage.sent == [PowerSignal.KILL]
