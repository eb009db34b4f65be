"""Aerie's own alerts from what servers say of themselves: a disk over its limit, told once, resolved when it is well within it again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.workers.own_alerts import MIB, OwnAlerts
from core.clock import ManualClock
from core.events import ServerStatsSampled
from core.models.alert import Alert
from core.models.server import Server
from core.protocol.socket import StatsFrame
from core.services.servers import Limits
from core.supervise import Supervisor
from tests.control_plane import GUILD, SYSTEM, Stage, owner, staged

WAIT = 30.0


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = ManualClock()
    async with staged(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3", clock=clock) as made, Supervisor("test") as tasks:
        tasks.run("own alerts", OwnAlerts(made.services, clock).run)
        yield made


async def a_server(stage: Stage, name: str, port: int, disk: int) -> Server:
    """`disk` MiB; 0 is no limit."""
    return await stage.services.servers.create(
        SYSTEM,
        name=name,
        egg_id=stage.egg.id,
        node_id=stage.node.id,
        ip="127.0.0.1",
        port=port,
        guild_id=GUILD,
        limits=Limits(memory=512, disk=disk),
    )


async def says(stage: Stage, server: Server, mib: float) -> None:
    """The server's files take so much room."""
    stats = StatsFrame(memory_bytes=1, disk_bytes=int(mib * MIB))
    await stage.services.live.publish(ServerStatsSampled(server_uuid=server.uuid, stats=stats))


async def of(stage: Stage, server: Server) -> list[Alert]:
    return [row for row in await stage.services.alerts.recent(owner()) if row.title.startswith(f"{server.name} is over")]


async def until(said: Callable[[], Awaitable[None]], fact: Callable[[], Awaitable[bool]]) -> None:
    """Say it again and again, as nodes do, until it is heeded."""
    async with asyncio.timeout(WAIT):
        await said()
        while not await fact():
            await asyncio.sleep(0.05)
            await said()


async def test_a_disk_over_its_limit_is_told_once_and_resolved_when_it_is_well_within_it(stage: Stage) -> None:
    isle, mark, free = [
        await a_server(stage, name, 30000 + n, disk) for n, (name, disk) in enumerate((("Isle", 100), ("Mark", 1), ("Free", 0)))
    ]
    marks = 0

    async def heeded() -> None:
        """All that was said before is heeded, once what the marking server says now is."""
        nonlocal marks
        marks += 1
        wanted = "firing" if marks % 2 else "resolved"

        async def now() -> bool:
            return [row.status for row in await of(stage, mark)] == [wanted]

        await until(lambda: says(stage, mark, 2 if marks % 2 else 0.5), now)

    await heeded()  # the worker listens
    await says(stage, free, 10_000)
    await says(stage, isle, 100)
    await heeded()
    assert await of(stage, isle) == await of(stage, free) == []

    for _ in range(3):
        await says(stage, isle, 101)
    await heeded()
    (row,) = await of(stage, isle)
    assert (row.status, row.severity, row.value, row.count, row.episodes) == ("firing", "warning", "101 MiB of 100 MiB", 1, 1)

    await says(stage, isle, 96)  # within it, but not well
    await heeded()
    assert [row.status for row in await of(stage, isle)] == ["firing"]
    await says(stage, isle, 94)
    await heeded()
    assert [row.status for row in await of(stage, isle)] == ["resolved"]
    await says(stage, isle, 120)
    await heeded()
    (row,) = await of(stage, isle)
    assert (row.status, row.value, row.episodes) == ("firing", "120 MiB of 100 MiB", 2)
