"""All of a node's events: over one stream that goes on where it was, or over a socket per server where there is no such stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.clock import SystemClock
from core.protocol.socket import ConsoleBatch, ConsolePlace, StateChange, StatsFrame
from core.rpc import stream as limits
from core.rpc.client import NodeAddress
from core.rpc.node_events import NodeEvents
from core.rpc.pool import NodePool
from core.rpc.stream import Lost, Notice, Opened, Status, StreamFrame
from core.supervise import Supervisor
from core.tokens import NodeToken, new_node_token
from core.vocabulary import ServerState
from tests.fakes.node import fake_node

ONE, TWO = "8d3f01ab-0000-4000-8000-000000000001", "8d3f01ab-0000-4000-8000-000000000002"
ORIGIN = "http://127.0.0.1:8400"
Script = Callable[[web.WebSocketResponse, "Node"], Awaitable[None]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(limits, "LONGEST_PAUSE", 0.05)


class Node:
    """An agent of ours whose stream does as the scripts say, one for each connection, the last one for all further."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.asked: list[dict[str, Any]] = []
        self.bearers: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bearers.append(request.headers["Authorization"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        await script(socket, self)
        return socket

    async def hear(self, socket: web.WebSocketResponse, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            ask: dict[str, Any] = json.loads(await socket.receive_str())
            self.asked.append(ask)
            if holds(ask):
                return ask


def for_console(ask: dict[str, Any]) -> bool:
    return bool(ask["event"] == "watch" and ask["topics"] == ["console"])


async def tell(socket: web.WebSocketResponse, *told: tuple[str, str, Any]) -> None:
    await socket.send_json([{"server": server, "event": event, "body": body} for server, event, body in told])


async def until_left(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


class Heard:
    """What the other side took."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, StreamFrame]] = []
        self.news = asyncio.Event()

    async def take(self, uuid: str, frame: StreamFrame) -> None:
        self.frames.append((uuid, frame))
        self.news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self.news.clear()
                await self.news.wait()

    def of(self, kind: type) -> list[Any]:
        return [frame for _, frame in self.frames if isinstance(frame, kind)]


@asynccontextmanager
async def events(url: str, token: NodeToken) -> AsyncIterator[tuple[NodeEvents, Heard]]:
    heard, clock = Heard(), SystemClock()
    async with NodePool() as pool, Supervisor("test", clock) as tasks:
        made = NodeEvents(pool.client(NodeAddress(1, "kite", url, token, ORIGIN)), clock, tasks, heard.take)
        tasks.spawn("events", made.run())
        yield made, heard
        await made.close()


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[tuple[NodeEvents, Heard, Node]]:
    node, app = Node(*scripts), web.Application()
    app.router.add_get("/api/aerie/stream", node.handle)
    async with TestServer(app) as server, events(str(server.make_url("")), new_node_token()) as (made, heard):
        yield made, heard, node


async def test_frames_are_those_of_a_servers_own_socket() -> None:
    async def script(socket: web.WebSocketResponse, node: Node) -> None:
        await node.hear(socket, lambda ask: ask["event"] == "watch")
        change = {"state": "running", "previous": "starting", "reason": "", "at": "2026-11-24T13:00:00Z"}
        await tell(socket, (ONE, "status", "offline"), (ONE, "stats", {"cpu_absolute": 7.5}), (TWO, "aerie.state", change))
        await socket.send_str('[{"server": "x", "event": "stats", "body": 7}, {"server": "x"}]')
        await tell(socket, (TWO, "stats", {"cpu_absolute": "many"}), (TWO, "install output", "unpacking"))
        await until_left(socket)

    async with scripted(script) as (made, heard, node):
        await made.want({ONE, TWO}, {})
        await heard.until(lambda: bool(heard.of(Notice)))
        kinds = [(uuid, type(frame)) for uuid, frame in heard.frames]
        assert kinds == [("", Opened), (ONE, Status), (ONE, StatsFrame), (TWO, StateChange), (TWO, Notice)]
        assert heard.of(Status)[0].state is ServerState.OFFLINE
        assert set(node.asked[0]["servers"]) == {ONE, TWO}
        assert "console" not in node.asked[0]["topics"]
        assert made.together


async def test_after_a_break_each_console_goes_on_where_it_was() -> None:
    async def first(socket: web.WebSocketResponse, node: Node) -> None:
        await node.hear(socket, for_console)
        await tell(socket, (ONE, "aerie.resumed", {"after": 4, "boot": "b", "found": False}))
        await tell(socket, (ONE, "aerie.console", {"first_seq": 5, "lines": ["five", "six"], "dropped": 0}))
        await socket.close()

    async def second(socket: web.WebSocketResponse, node: Node) -> None:
        ask = await node.hear(socket, for_console)
        assert ask["servers"] == {ONE: {"after": 6, "boot": "b"}}
        await tell(socket, (ONE, "aerie.resumed", {"after": 6, "boot": "b", "found": True}))
        await tell(socket, (ONE, "aerie.console", {"first_seq": 9, "lines": ["nine"], "dropped": 2}))
        await until_left(socket)

    async with scripted(first, second) as (made, heard, _):
        await made.want({ONE}, {ONE: ConsolePlace()})
        await heard.until(lambda: len(heard.of(ConsoleBatch)) == 2)
        assert [(batch.first_seq, batch.dropped, batch.boot) for batch in heard.of(ConsoleBatch)] == [(5, 0, "b"), (9, 2, "b")]
        assert len(heard.of(Lost)) == 1


async def test_a_console_is_asked_for_while_somebody_reads_it_and_from_where_they_were() -> None:
    async def script(socket: web.WebSocketResponse, node: Node) -> None:
        async for message in socket:
            node.asked.append(json.loads(message.data))

    async with scripted(script) as (made, heard, node):

        async def asked(event: str, servers: dict[str, Any], topics: list[str]) -> None:
            async with asyncio.timeout(20):
                while not any((ask["event"], ask["servers"]) == (event, servers) and ask["topics"] == topics for ask in node.asked):
                    await asyncio.sleep(0.01)

        now = {"after": None, "boot": ""}
        await made.want({ONE, TWO}, {ONE: ConsolePlace(after=7, boot="b")})
        await asked("watch", {ONE: {"after": 7, "boot": "b"}}, ["console"])
        made.go_back(ONE, ConsolePlace(after=3, boot="b"))
        await asked("watch", {ONE: {"after": 3, "boot": "b"}}, ["console"])
        await made.want({ONE, TWO}, {})
        await asked("ignore", {ONE: now}, ["console"])
        await made.want({ONE}, {})
        await asked("ignore", {TWO: now}, [])
        assert heard.of(Lost) == []


async def test_a_node_without_the_stream_is_heard_over_a_socket_per_server() -> None:
    token = new_node_token()
    async with fake_node(token, ours=False) as node, events(node.url, token) as (made, heard):
        await node.become(ONE, "offline")
        await node.become(TWO, "running")
        await made.want({ONE, TWO}, {})
        await heard.until(lambda: {uuid for uuid, frame in heard.frames if isinstance(frame, StatsFrame)} == {ONE, TWO})
        assert made.together is False
        await node.say(ONE, "hello")
        await heard.until(lambda: bool(heard.of(ConsoleBatch)))
        assert heard.of(ConsoleBatch)[0].lines == ["hello"]
        await made.want({TWO}, {})
        async with asyncio.timeout(20):
            while node.servers[ONE].sockets:
                await asyncio.sleep(0.01)
