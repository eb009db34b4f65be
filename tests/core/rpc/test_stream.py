"""One server's socket, over a real WebSocket, on good days and bad ones."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.clock import ManualClock, SystemClock
from core.protocol.socket import JWT_EXPIRED, ConsoleBatch, PowerProgress, StateChange, StatsFrame
from core.rpc import stream as limits
from core.rpc.client import NodeAddress
from core.rpc.pool import NodePool
from core.rpc.stream import Lost, Notice, Opened, ServerStream, Status, StreamFrame
from core.tokens import NodeToken, new_node_token, read_socket_token, user_key
from core.vocabulary import PowerPhase, ServerState
from tests.fakes.node import FakeNode, FakeServer

UUID = "8d3f01ab-0000-4000-8000-000000000000"
ORIGIN = "http://127.0.0.1:8400"
AT = "2026-11-24T13:00:00Z"
F = TypeVar("F", bound=StreamFrame)

Script = Callable[[web.WebSocketResponse, "Scripted"], Awaitable[None]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(limits, "LONGEST_PAUSE", 0.05)


class Scripted:
    """A node whose sockets do as the script says."""

    def __init__(self, script: Script, token: NodeToken) -> None:
        self.script = script
        self.token = token
        self.clock = SystemClock()
        self.headers: list[str | None] = []
        self.heard: list[tuple[str, str]] = []
        self.sockets = 0
        self.system: dict[str, Any] = {"version": "1.11.13"}
        """What it says of itself."""

    async def show(self, _: web.Request) -> web.Response:
        return web.json_response(self.system)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("Origin"))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets += 1
        await self.script(socket, self)
        return socket

    async def hear(self, socket: web.WebSocketResponse, event: str) -> str:
        """Read frames until one has this event; its first argument."""
        while True:
            frame = json.loads(await socket.receive_str())
            self.heard.append((frame["event"], frame["args"][0]))
            if frame["event"] == event:
                return str(frame["args"][0])

    async def let_in(self, socket: web.WebSocketResponse) -> None:
        await self.hear(socket, "auth")
        await say(socket, "auth success")
        await self.hear(socket, "aerie.batch")


async def say(socket: web.WebSocketResponse, event: str, body: Any = None) -> None:
    args = [] if body is None else [body if isinstance(body, str) else json.dumps(body)]
    await socket.send_json({"event": event, "args": args})


@asynccontextmanager
async def streamed(
    script: Script, clock: ManualClock | None = None
) -> AsyncIterator[tuple[AsyncIterator[StreamFrame], Scripted, ServerStream]]:
    node = Scripted(script, new_node_token())
    app = web.Application()
    app.router.add_get(f"/api/servers/{UUID}/ws", node.handle)
    app.router.add_get("/api/system", node.show)
    async with TestServer(app) as server, NodePool(SystemClock()) as pool:
        address = NodeAddress(1, "kite", str(server.make_url("")).rstrip("/"), node.token, ORIGIN)
        stream = ServerStream(pool.client(address), UUID, clock or SystemClock())
        try:
            yield aiter(stream), node, stream
        finally:
            await stream.close()


async def expect(frames: AsyncIterator[StreamFrame], kind: type[F]) -> F:
    """The next frame of this kind; the ones before it are passed over."""
    async with asyncio.timeout(5):
        while True:
            frame = await anext(frames)
            if isinstance(frame, kind):
                return frame


async def test_every_kind_of_frame_comes_out_typed() -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.let_in(socket)
        await say(socket, "status", "running")
        await say(socket, "stats", {"memory_bytes": 5, "cpu_absolute": 1.5, "state": "running", "aerie_players": ["Ann"]})
        await say(socket, "aerie.state", {"state": "running", "previous": "starting", "at": AT, "reason": "ready"})
        await say(socket, "aerie.power", {"signal_id": "f", "signal": "start", "phase": "done", "state": "running", "at": AT})
        await say(socket, "aerie.console", {"first_seq": 7, "lines": ["a", "b"], "dropped": 3})
        await say(socket, "install output", "pulling")
        await node.hear(socket, "never")

    async with streamed(script) as (frames, node, _):
        async with asyncio.timeout(5):
            seen = [await anext(frames) for _ in range(7)]
        opened, status, stats, change, power, batch, notice = seen
        assert isinstance(opened, Opened)
        assert isinstance(status, Status)
        assert status.state is ServerState.RUNNING
        assert isinstance(stats, StatsFrame)
        assert stats.aerie_players == ["Ann"]
        assert isinstance(change, StateChange)
        assert change.reason == "ready"
        assert isinstance(power, PowerProgress)
        assert power.phase is PowerPhase.DONE
        assert batch == ConsoleBatch(first_seq=7, lines=["a", "b"], dropped=3)
        assert notice == Notice("install output", "pulling")
        assert node.headers == [ORIGIN]


async def test_the_token_is_for_this_server_and_everything() -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        token = await node.hear(socket, "auth")
        claims = read_socket_token(node.token.secret, token, now=node.clock.now())
        assert claims.server_uuid == UUID
        assert "*" in claims.permissions
        assert claims.scope == "websocket"
        await say(socket, "auth success")
        await node.hear(socket, "never")

    async with streamed(script) as (frames, _, stream):
        await expect(frames, Opened)
        assert stream.connected


@pytest.mark.parametrize(
    ("says", "derived"),
    [({}, False), ({"aerie": None}, False), ({"aerie": {}}, False), ({"aerie": {"derived_keys": True}}, True)],
)
async def test_tok_11_who_says_so_is_signed_for_with_the_derived_key(says: dict[str, Any], derived: bool) -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        token = await node.hear(socket, "auth")
        shared = node.token.secret
        claims = jwt.decode(token, user_key(shared) if derived else shared, algorithms=["HS256"], options={"verify_aud": False})
        assert claims["server_uuid"] == UUID
        await say(socket, "auth success")
        await node.hear(socket, "never")

    async with streamed(script) as (frames, node, _):
        node.system |= says
        await expect(frames, Opened)


async def test_a_stock_wings_is_numbered_here() -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.hear(socket, "auth")
        await say(socket, "auth success")
        for line in ("one", "two", ""):
            await say(socket, "console output", line)
        await node.hear(socket, "never")

    async with streamed(script) as (frames, _, _):
        batches = [await expect(frames, ConsoleBatch) for _ in range(3)]
        assert [(batch.first_seq, batch.lines) for batch in batches] == [(0, ["one"]), (1, ["two"]), (2, [""])]


async def test_a_broken_connection_is_told_made_again_and_its_gap_counted() -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.let_in(socket)
        if node.sockets == 1:
            await say(socket, "aerie.console", {"first_seq": 0, "lines": ["a", "b"]})
            await socket.close()
            return
        await say(socket, "aerie.console", {"first_seq": 10, "lines": ["c"]})
        await node.hear(socket, "never")

    async with streamed(script) as (frames, _, _):
        await expect(frames, ConsoleBatch)
        lost = await expect(frames, Lost)
        assert lost.code == "node_unreachable"
        assert "kite" in lost.reason
        await expect(frames, Opened)
        assert await expect(frames, ConsoleBatch) == ConsoleBatch(first_seq=10, lines=["c"], dropped=8)


async def test_tokens_are_renewed_when_the_node_says_and_when_time_says() -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.let_in(socket)
        await say(socket, "token expiring")
        await node.hear(socket, "auth")
        await say(socket, "auth success")
        await say(socket, "jwt error", JWT_EXPIRED)
        await node.hear(socket, "auth")
        await say(socket, "auth success")
        await say(socket, "status", "offline")
        await node.hear(socket, "auth")
        await say(socket, "auth success")
        await say(socket, "daemon message", "done")
        await node.hear(socket, "never")

    clock = ManualClock()
    async with streamed(script, clock) as (frames, node, _):
        await expect(frames, Opened)
        await clock.advance(limits.RENEW_AFTER + timedelta(seconds=1).total_seconds())
        assert await expect(frames, Notice) == Notice("daemon message", "done")
        assert [event for event, _ in node.heard].count("auth") == 4


async def test_a_token_that_is_refused_is_told_and_not_hammered() -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.hear(socket, "auth")
        await say(socket, "jwt error", "jwt: server uuid mismatch")
        await node.hear(socket, "never")

    async with streamed(script) as (frames, _, _):
        assert (await expect(frames, Lost)).code == "node_refused"


async def test_a_node_that_never_lets_us_in_is_lost_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOTAL_LIMIT", 0.1)

    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.hear(socket, "never")

    async with streamed(script) as (frames, _, _):
        assert (await expect(frames, Lost)).code == "node_timeout"


@pytest.mark.parametrize(
    "junk", ["", "{", "[]", '{"event": 5}', '{"event": "stats", "args": ["{"]}', '{"event": "status", "args": ["dancing"]}']
)
async def test_junk_is_passed_over(junk: str) -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.let_in(socket)
        await socket.send_str(junk)
        await say(socket, "status", "running")
        await node.hear(socket, "never")

    async with streamed(script) as (frames, _, _):
        assert (await expect(frames, Status)).state is ServerState.RUNNING


async def test_a_deleted_server_ends_the_stream() -> None:
    async def script(socket: web.WebSocketResponse, node: Scripted) -> None:
        await node.let_in(socket)
        await say(socket, "deleted", "null")
        await node.hear(socket, "never")

    async with streamed(script) as (frames, _, _):
        async with asyncio.timeout(5):
            seen = [frame async for frame in frames]
        assert seen[-1] == Notice("deleted", "null")


async def test_closing_ends_the_stream_even_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_PAUSE", 60.0)
    async with NodePool(SystemClock()) as pool:
        stream = ServerStream(pool.client(NodeAddress(1, "kite", "http://127.0.0.1:1", new_node_token(), ORIGIN)), UUID, SystemClock())
        frames = aiter(stream)
        assert (await expect(frames, Lost)).again_in > 30
        waiting = asyncio.ensure_future(anext(frames, None))
        await asyncio.sleep(0.05)
        await stream.close()
        async with asyncio.timeout(15):
            assert await waiting is None


async def test_a_server_the_node_does_not_have_is_told_as_such() -> None:
    fake = FakeNode(new_node_token())
    await fake.up()
    try:
        async with NodePool(SystemClock()) as pool:
            client = pool.client(NodeAddress(1, "kite", fake.url, fake.token, ORIGIN))
            stream = ServerStream(client, UUID, SystemClock())
            frames = aiter(stream)
            lost = await expect(frames, Lost)
            assert lost.code in ("not_found", "node_refused")
            assert client.circuit.health.up
            fake.servers[UUID] = FakeServer()
            await stream.close()
    finally:
        await fake.close()
