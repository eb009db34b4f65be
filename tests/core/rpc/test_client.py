"""The hand on a node, over real HTTP, on good days and bad ones."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.clock import ManualClock
from core.errors import (
    AerieError,
    Conflict,
    NodeError,
    NodeRefused,
    NodeTimeout,
    NodeUnreachable,
    NotFound,
    PortTaken,
    ServerOffline,
)
from core.protocol.agent import SIGNAL_HEADER
from core.rpc import client as limits
from core.rpc.client import NodeAddress, NodeClient
from core.rpc.pool import NodePool
from core.tokens import NodeToken
from core.vocabulary import PowerSignal

UUID = "8d3f01ab-0000-4000-8000-000000000000"
TOKEN = NodeToken("i" * 16, "s" * 64)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def node(handler: Handler, clock: ManualClock | None = None) -> AsyncIterator[NodeClient]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server, NodePool(clock or ManualClock()) as pool:
        yield pool.client(NodeAddress(1, "kite", str(server.make_url("")).rstrip("/"), TOKEN))


def answering(status: int, body: object = None, text: str | None = None) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text) if text is not None else web.json_response(body, status=status)

    return handler


async def test_a_signal_carries_the_secret_alone_and_brings_its_id() -> None:
    seen: list[tuple[str, str, object]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return web.Response(status=202, headers={SIGNAL_HEADER: "f" * 32})

    async with node(handler) as client:
        assert await client.power(UUID, PowerSignal.KILL) == "f" * 32
    assert seen == [(f"/api/servers/{UUID}/power", f"Bearer {'s' * 64}", {"action": "kill", "wait_seconds": 0})]


async def test_a_stock_wings_brings_no_id() -> None:
    async with node(answering(202, text="")) as client:
        assert await client.power(UUID, PowerSignal.START) == ""


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": "no"}, NodeRefused),
        (403, {"error": "no"}, NodeRefused),
        (404, {"error": "no"}, NotFound),
        (404, None, NotFound),
        (409, {"error": "The server is already running.", "code": "conflict", "hint": "x"}, Conflict),
        (500, {"error": "Port 30000 is taken.", "code": "port_taken"}, PortTaken),
        (500, {"error": "boom", "request_id": "abc"}, NodeError),
        (500, None, NodeError),
        (302, None, NodeError),
        (422, {"error": "bad action", "code": "made_up"}, NodeError),
    ],
)
async def test_refusals_become_our_errors(status: int, body: object, kind: type[AerieError]) -> None:
    async with node(answering(status, body)) as client:
        with pytest.raises(kind) as caught:
            await client.power(UUID, PowerSignal.START)
        assert type(caught.value) is kind
        assert caught.value.message


async def test_a_502_on_commands_means_offline_and_elsewhere_a_failure() -> None:
    async with node(answering(502, {"error": "stopped"})) as client:
        with pytest.raises(ServerOffline):
            await client.commands(UUID, ["say hi"])
        with pytest.raises(NodeError):
            await client.logs(UUID, 5)


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"state": "dancing"}'])
async def test_an_answer_that_cannot_be_read_is_the_nodes_failure(text: str) -> None:
    async with node(answering(200, text=text)) as client:
        with pytest.raises(NodeError, match="cannot be read"):
            await client.server(UUID)


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 100_000)
    async with node(answering(200, text="x" * 200_000)) as client:
        with pytest.raises(NodeError, match="more than"):
            await client.logs(UUID)


async def test_a_node_that_hangs_costs_one_time_limit_and_then_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TOTAL_LIMIT", 0.2)
    calls = 0
    released = asyncio.Event()
    released.set()

    async def handler(_: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        await released.wait()
        return web.Response(status=202)

    clock = ManualClock()
    async with node(handler, clock) as client:
        released.clear()
        with pytest.raises(NodeTimeout):
            await client.power(UUID, PowerSignal.START)
        for _ in range(5):
            with pytest.raises(NodeUnreachable, match="has not answered for 1 s: "):
                await client.power(UUID, PowerSignal.START)
        assert calls == 1
        health = client.circuit.health
        assert (health.up, health.since) == (False, clock.now())
        released.set()
        await clock.advance(2.1)
        await client.power(UUID, PowerSignal.START)
        assert client.circuit.health.up
        assert calls == 2


async def test_a_dead_node_is_looked_at_by_one_caller_at_a_time_and_ever_more_rarely() -> None:
    clock = ManualClock()
    async with NodePool(clock) as pool:
        client = pool.client(NodeAddress(1, "kite", "http://127.0.0.1:1", TOKEN))
        for _ in range(2):
            with pytest.raises(NodeUnreachable, match="refused the connection"):
                await client.system()
        answers = []
        for _ in range(100):
            try:
                await client.system()
            except NodeUnreachable as error:
                answers.append("looks again" in error.hint)
            await clock.advance(1)
        assert answers.count(False) in range(3, 8)


@pytest.mark.parametrize("url", ["http://no.such.host.invalid:1", "http://127.0.0.1:99999", "https://127.0.0.1:1"])
async def test_an_address_that_leads_nowhere_is_unreachable(url: str) -> None:
    async with NodePool(ManualClock()) as pool:
        with pytest.raises(NodeUnreachable):
            await pool.client(NodeAddress(1, "kite", url, TOKEN)).system()


async def test_a_changed_address_begins_afresh_and_an_equal_one_is_kept() -> None:
    async with NodePool(ManualClock()) as pool:
        one = pool.client(NodeAddress(1, "kite", "http://127.0.0.1:1", TOKEN))
        assert pool.client(NodeAddress(1, "kite", "http://127.0.0.1:1", TOKEN)) is one
        other = pool.client(NodeAddress(1, "kite", "http://127.0.0.1:2", TOKEN))
        assert other is not one
        assert other.circuit is not one.circuit
        assert "s" * 64 not in repr(other.address)
