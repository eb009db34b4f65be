"""A node whose clock is set right, and one whose control plane is away for ten minutes: nothing hangs, nothing is lost, states are true."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from agent.api.denials import Denials
from agent.app import running
from core.clock import ManualClock
from core.protocol.agent import DenyRequest
from core.protocol.socket import SocketClaims
from core.tokens import new_node_token, sign_socket_token
from core.vocabulary import ServerState
from tests.agent.api.conftest import Bench, config, settings
from tests.agent.api.still import ask, seen
from tests.fakes.panel import standing

DAY = 86_400.0


class Settable(ManualClock):
    """A clock whose date somebody sets; the time that has passed knows nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.off = timedelta()

    def now(self) -> datetime:
        return super().now() + self.off


@asynccontextmanager
async def agent_on(clock: ManualClock, place: Path) -> AsyncIterator[Bench]:
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        async with running(config(panel, place), clock) as agent:
            headers = {"Authorization": f"Bearer {panel.token.secret}"}
            async with aiohttp.ClientSession(agent.url, headers=headers) as http:
                yield Bench(agent, panel, http, uuid)


async def passing(clock: ManualClock, holds: Callable[[], bool], step: float = 0.5) -> None:
    """Let time pass until something holds."""
    async with asyncio.timeout(40):
        while not holds():
            await clock.advance(step)
            await asyncio.sleep(0.01)


async def power(bench: Bench, action: str) -> int:
    async with bench.http.post(bench.path("/power"), json={"action": action}) as answer:
        return answer.status


async def signed_in(bench: Bench, clock: ManualClock) -> bool:
    """Whether a token made just now opens a socket."""
    token = sign_socket_token(bench.panel.token.secret, server_uuid=bench.uuid, permissions=["*"], now=clock.now(), user_uuid="u")
    async with bench.http.ws_connect(bench.path("/ws"), origin=bench.panel.url) as socket:
        await ask(socket, "auth", token)
        return bool(await seen(socket, "auth success"))


@pytest.mark.parametrize("jump", [DAY, -DAY, 400 * DAY, -400 * DAY], ids=["a day on", "a day back", "a year on", "a year back"])
async def test_a_clock_that_is_set_right_changes_nothing(tmp_path: Path, jump: float) -> None:
    clock = Settable()
    async with agent_on(clock, tmp_path) as bench:
        server = bench.agent.manager.get(bench.uuid)
        assert await power(bench, "start") == 202
        await passing(clock, lambda: server.state is ServerState.RUNNING)
        clock.off += timedelta(seconds=jump)
        await clock.advance(5)
        assert server.state is ServerState.RUNNING
        assert await signed_in(bench, clock)
        assert await power(bench, "restart") == 202
        await passing(clock, lambda: server.state is not ServerState.RUNNING)
        await passing(clock, lambda: server.state is ServerState.RUNNING)
        assert await power(bench, "stop") == 202
        await passing(clock, lambda: server.state is ServerState.OFFLINE)
        assert "stopped" in server.reason


def claims(clock: ManualClock) -> SocketClaims:
    second = int(clock.now().timestamp())
    return SocketClaims(iat=second, exp=second + 600, jti="j", user_uuid="u", server_uuid="s", permissions=["*"])


@pytest.mark.parametrize("jump", [DAY, -DAY])
async def test_what_was_ended_stays_ended_and_new_tokens_count_after_the_clock_was_set(jump: float) -> None:
    clock = Settable()
    denials = Denials(clock)
    await clock.advance(100)
    before = claims(clock)
    assert not denials.denies(before)
    denials.deny(DenyRequest(jtis=["j"]))
    assert denials.denies(before)
    clock.off += timedelta(seconds=jump)
    await clock.advance(2)
    assert not denials.denies(claims(clock))
    if jump > 0:
        assert denials.denies(before)


async def test_ten_minutes_without_the_control_plane_lose_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with agent_on(clock, tmp_path) as bench:
        server, panel = bench.agent.manager.get(bench.uuid), bench.panel
        server.folder.mkdir(parents=True, exist_ok=True)
        (server.folder / "world").write_text("a castle")
        panel.status = 502
        assert await power(bench, "start") == 202
        await passing(clock, lambda: server.state is ServerState.RUNNING)
        backup = str(uuid4())
        async with bench.http.post(bench.path("/backup"), json={"adapter": "wings", "uuid": backup}) as answer:
            assert answer.status == 202
        for _ in range(120):  # ten minutes
            await clock.advance(5)
            await asyncio.sleep(0.005)
            assert server.state is ServerState.RUNNING
        assert await power(bench, "stop") == 202
        await passing(clock, lambda: server.state is ServerState.OFFLINE)
        assert [path for path, _ in panel.posts if "backups" in path] == []
        panel.status = 0
        await passing(clock, lambda: any("backups" in path for path, _ in panel.posts), step=5)
        await clock.advance(300)
        (told,) = [body for path, body in panel.posts if path == f"/backups/{backup}"]
        assert told["successful"] is True
        assert await power(bench, "start") == 202
        await passing(clock, lambda: server.state is ServerState.RUNNING)
        assert await power(bench, "kill") == 202
        await passing(clock, lambda: server.state is ServerState.OFFLINE)
