"""The live board and those who watch it, in one process and between two."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.backplane.backplane import SERVERS, open_backplane
from core.clock import SystemClock
from core.events import EVENT, NodeBack, NodeLost, ServerDeleted, ServerPowerProgressed, ServerStateChanged, ServerStatsSampled
from core.fanout import Listener
from core.protocol.socket import PowerProgress, StateChange, StatsFrame
from core.rpc.pool import NodePool
from core.seal import Seal, new_key
from core.services.build import build
from core.services.live import Live, LiveBoard
from core.vocabulary import PowerPhase, PowerSignal, ServerState
from tests.control_plane import Stage, owner, staged

AT = datetime(2026, 11, 24, 13, tzinfo=UTC)
RUNNING, OFFLINE = ServerState.RUNNING, ServerState.OFFLINE


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3") as ready:
        yield ready


def turned(uuid: str, state: ServerState, at: datetime = AT, reason: str = "") -> ServerStateChanged:
    return ServerStateChanged(server_uuid=uuid, change=StateChange(state=state, previous=OFFLINE, at=at, reason=reason))


async def test_nothing_is_known_until_it_is_told(stage: Stage) -> None:
    assert stage.services.live.of("nobody") == Live()


async def test_an_event_that_comes_twice_changes_nothing(stage: Stage) -> None:
    live = stage.services.live
    with live.changed.listen() as changed:
        live.apply(turned("a", RUNNING))
        live.apply(turned("a", RUNNING, AT + timedelta(seconds=5)))
        live.apply(ServerStatsSampled(server_uuid="a", stats=StatsFrame(memory_bytes=1)))
        live.apply(ServerStatsSampled(server_uuid="a", stats=StatsFrame(memory_bytes=1)))
        assert await changed.drain() == ["a", "a"]
    assert (live.of("a").state, live.of("a").since) == (RUNNING, AT)


async def test_a_lost_node_shows_on_its_servers_alone(stage: Stage) -> None:
    made = await stage.a_server()
    live = stage.services.live
    live.apply(turned(made.uuid, RUNNING))
    async with live.watching(made.uuid) as events:
        lost = NodeLost(node_id=made.node_id, node_name="local", at=AT, reason="it is gone")
        live.apply(lost)
        live.apply(lost)
        assert await events.drain() == [lost]
    assert (live.of(made.uuid).node_up, live.of(made.uuid).node_reason, live.of(made.uuid).state) == (False, "it is gone", RUNNING)
    assert live.of("elsewhere").node_up
    live.apply(NodeBack(node_id=made.node_id, node_name="local", at=AT))
    assert live.of(made.uuid).node_up


async def test_who_watches_before_sending_sees_how_it_goes(stage: Stage) -> None:
    made = await stage.a_server()
    power, live = stage.services.power, stage.services.live
    async with power.watching(made) as events:
        sent = await power.send(owner(), made.short, PowerSignal.START)
        progress = PowerProgress(signal_id=sent.signal_id, signal=PowerSignal.START, phase=PowerPhase.DONE, state=RUNNING, at=AT)
        live.apply(turned("another server", RUNNING))
        await live.publish(ServerPowerProgressed(server_uuid=made.uuid, progress=progress))
        (event,) = await events.drain()
        assert isinstance(event, ServerPowerProgressed)
        assert event.progress.signal_id == sent.signal_id


async def test_two_processes_share_what_they_see_and_hear_themselves_once(stage: Stage) -> None:
    here = stage.services.live
    there = LiveBoard(stage.services.database, stage.services.backplane)
    workers = [asyncio.create_task(board.run()) for board in (here, there)]
    async with asyncio.timeout(15):
        while here.of("there").state is None or there.of("here").state is None:  # until both listen
            await here.publish(turned("here", RUNNING))
            await there.publish(turned("there", RUNNING))
            await asyncio.sleep(0.02)
    with here.changed.listen() as seen_here, there.changed.listen() as seen_there:
        await here.publish(turned("a", RUNNING))
        await there.publish(turned("b", OFFLINE))
        await stage.services.backplane.publish(SERVERS, b"from another version")
        for gone in ("c", "last"):
            await stage.services.backplane.publish(SERVERS, EVENT.dump_json(ServerDeleted(server_uuid=gone)))
        assert await _until_last(seen_here) == await _until_last(seen_there) == ["a", "b", "c", "last"]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert (here.of("b").state, there.of("a").state) == (OFFLINE, RUNNING)


async def _until_last(heard: Listener[str]) -> list[str]:
    """What is heard up to `last`, sorted; without what was said to find out whether somebody listens."""
    found: list[str] = []
    async with asyncio.timeout(15):
        while "last" not in found:
            found += await heard.drain()
    return sorted(one for one in found if one not in ("here", "there"))


async def test_a_deaf_backplane_costs_no_event_here(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with NodePool() as pool:
        dead = open_backplane("redis://127.0.0.1:1/0")
        services = build(stage.services.database, dead, pool, SystemClock(), Seal(new_key()))
        for state in (RUNNING, OFFLINE):
            await services.live.publish(turned("a", state))
            assert services.live.of("a").state is state
        await dead.close()
    assert caplog.text.count("do not hear of events") == 1
