"""Bounded broadcast: nothing is lost uncounted, nothing comes twice or out of order, and the source never waits."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.fanout import Fanout, Listener

Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(st.tuples(st.just("publish"), st.integers(1, 30)), st.tuples(st.just("take"), st.integers(1, 20))),
    max_size=40,
)


async def _play(listener: Listener[int], fanout: Fanout[int], steps: list[Step]) -> tuple[list[int], int]:
    """Publish 0, 1, 2 … and read as the steps say, then read the rest; answers what was read and how many were published."""
    read: list[int] = []
    published = 0
    for what, count in steps:
        if what == "publish":
            for _ in range(count):
                fanout.publish(published)
                published += 1
        elif len(read) + listener.dropped < published:
            read += await listener.drain(count)
    fanout.close()
    while batch := await listener.drain():
        read += batch
    return read, published


@given(steps=STEPS, capacity=st.integers(1, 15))
def test_every_item_is_either_read_once_in_order_or_counted_as_dropped(steps: list[Step], capacity: int) -> None:
    fanout: Fanout[int] = Fanout()
    listener = fanout.listen(capacity)
    read, published = asyncio.run(_play(listener, fanout, steps))
    assert len(read) + listener.dropped == published
    assert read == sorted(set(read))


@given(steps=STEPS, budget=st.integers(1, 60))
def test_a_budget_holds_and_its_losses_are_counted(steps: list[Step], budget: int) -> None:
    fanout: Fanout[int] = Fanout(size_of=lambda item: item % 7 + 1)
    listener = fanout.listen(capacity=1000, budget=budget)
    read, published = asyncio.run(_play(listener, fanout, steps))
    assert len(read) + listener.dropped == published
    assert read == sorted(set(read))


@given(sizes=st.lists(st.integers(1, 100), min_size=1), budget=st.integers(1, 150))
def test_what_is_held_fits_the_budget_or_is_one_item(sizes: list[int], budget: int) -> None:
    fanout: Fanout[int] = Fanout(size_of=lambda item: item)
    listener = fanout.listen(capacity=1000, budget=budget)
    for size in sizes:
        fanout.publish(size)
    held = asyncio.run(listener.drain())
    assert sum(held) <= budget or len(held) == 1
    assert held == sizes[len(sizes) - len(held) :]


async def test_the_oldest_are_lost_first() -> None:
    fanout: Fanout[int] = Fanout()
    listener = fanout.listen(capacity=3)
    for item in range(10):
        fanout.publish(item)
    assert await listener.drain() == [7, 8, 9]
    assert listener.dropped == 7


async def test_a_slow_listener_costs_a_fast_one_nothing() -> None:
    fanout: Fanout[int] = Fanout()
    slow, fast = fanout.listen(capacity=1), fanout.listen(capacity=100)
    for item in range(50):
        fanout.publish(item)
    assert await fast.drain() == list(range(50))
    assert (fast.dropped, slow.dropped) == (0, 49)


async def test_drain_waits_for_the_first_item() -> None:
    fanout: Fanout[str] = Fanout()
    listener = fanout.listen()
    waiting = asyncio.create_task(listener.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    fanout.publish("now")
    assert await asyncio.wait_for(waiting, 1) == ["now"]


async def test_a_cancelled_reader_loses_nothing() -> None:
    fanout: Fanout[str] = Fanout()
    listener = fanout.listen()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listener.drain(), 0.01)
    fanout.publish("kept")
    assert await listener.drain() == ["kept"]


async def test_a_closed_source_is_read_to_its_end() -> None:
    fanout: Fanout[int] = Fanout()
    listener = fanout.listen()
    fanout.publish(1)
    fanout.publish(2)
    fanout.close()
    assert [item async for item in listener] == [1, 2]
    assert len(fanout) == 0


async def test_a_listener_leaves_with_its_block() -> None:
    fanout: Fanout[int] = Fanout()
    with fanout.listen() as listener:
        assert len(fanout) == 1
    assert len(fanout) == 0
    fanout.publish(1)
    listener.close()
    assert await listener.drain() == []
