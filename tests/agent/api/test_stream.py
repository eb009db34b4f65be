"""One socket for a whole node: everything of the servers asked for, in turns, without a gap that is not told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from agent.api.stream import MOST_STREAMS
from agent.app import running
from core.agent_settings import ThrottleSection
from core.tokens import new_node_token
from core.vocabulary import PowerSignal, ServerState
from tests.agent.api.conftest import Bench, config, settings
from tests.fakes.panel import standing

Told = dict[str, Any]


class Ear:
    """A control plane's end of the stream."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[Told] = []

    async def watch(self, *uuids: str, topics: tuple[str, ...] = (), place: dict[str, Any] | None = None) -> None:
        await self.socket.send_json({"event": "watch", "servers": {uuid: place or {} for uuid in uuids}, "topics": topics})

    async def until(self, holds: Callable[[Told], bool]) -> Told:
        """Listen until something like this is told; all on the way is kept."""
        async with asyncio.timeout(30):
            while True:
                told: list[Told] = await self.socket.receive_json()
                self.heard += told
                for one in told:
                    if holds(one):
                        return one

    async def event(self, event: str, uuid: str = "") -> Told:
        return await self.until(lambda told: told["event"] == event and uuid in ("", told["server"]))

    def lines(self, uuid: str) -> list[str]:
        batches = [told["body"] for told in self.heard if told["event"] == "aerie.console" and told["server"] == uuid]
        return [line for batch in batches for line in batch["lines"]]

    def lost(self, uuid: str) -> int:
        return sum(told["body"]["dropped"] for told in self.heard if told["event"] == "aerie.console" and told["server"] == uuid)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An agent that throttles nobody."""
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        unthrottled = config(panel, tmp_path).model_copy(update={"throttles": ThrottleSection(enabled=False)})
        async with running(unthrottled) as agent:
            headers = {"Authorization": f"Bearer {panel.token.secret}"}
            async with aiohttp.ClientSession(agent.url, headers=headers) as http:
                yield Bench(agent, panel, http, uuid)


@asynccontextmanager
async def listening(bench: Bench) -> AsyncIterator[Ear]:
    async with bench.http.ws_connect("/api/aerie/stream", max_msg_size=0) as socket:
        yield Ear(socket)


async def another(bench: Bench) -> str:
    """A second server on the node."""
    uuid = str(uuid4())
    bench.panel.servers[uuid] = settings(uuid)
    async with bench.http.post("/api/servers", json={"uuid": uuid}) as answer:
        assert answer.status == 202
    return uuid


async def test_it_tells_what_a_servers_own_socket_tells(bench: Bench) -> None:
    server = bench.agent.manager.get(bench.uuid)
    async with listening(bench) as ear:
        await ear.watch(bench.uuid)
        await ear.until(lambda _: {told["event"] for told in ear.heard} >= {"status", "stats", "aerie.resumed"})
        assert [told["body"] for told in ear.heard if told["event"] == "status"] == ["offline"]
        assert next(told for told in ear.heard if told["event"] == "stats")["body"]["state"] == "offline"
        server.power(PowerSignal.START)
        wanted = {("aerie.state", "running"), ("aerie.power", "done")}
        while wanted:
            await ear.until(lambda told: told["event"] in ("aerie.state", "aerie.power"))
            news = [told for told in ear.heard if told["event"] in ("aerie.state", "aerie.power")]
            wanted -= {(told["event"], told["body"].get("phase") or told["body"]["state"]) for told in news}
        assert any("listening on" in line for line in ear.lines(bench.uuid))
        server.power(PowerSignal.KILL)
        await ear.until(lambda told: told["event"] == "aerie.state" and told["body"]["state"] == "offline")


async def test_only_what_was_asked_for_is_told(bench: Bench) -> None:
    server = bench.agent.manager.get(bench.uuid)
    async with listening(bench) as ear:
        await ear.watch(bench.uuid, topics=("console",))
        await ear.event("aerie.resumed")
        server.console.add_output(["one"])
        await ear.event("aerie.console")
        assert {told["event"] for told in ear.heard} == {"aerie.resumed", "aerie.console"}
        await ear.socket.send_json({"event": "ignore", "servers": {bench.uuid: {}}, "topics": ["console"]})
        await ear.watch(bench.uuid, topics=("state",))
        await ear.event("status")
        server.console.add_output(["not heard"])
        await ear.watch(bench.uuid, topics=("stats",))
        await ear.event("stats")
        assert ear.lines(bench.uuid) == ["one"]


async def test_a_console_goes_on_where_it_was(bench: Bench) -> None:
    console = bench.agent.manager.get(bench.uuid).console
    console.add_output([f"line {number}" for number in range(1, 3001)])
    async with listening(bench) as ear:
        await ear.watch(bench.uuid, topics=("console",), place={"after": 500, "boot": console.count})
        assert (await ear.event("aerie.resumed"))["body"] == {"after": 500, "boot": console.count, "found": True}
        console.add_output(["line 3001"])
        await ear.until(lambda told: told["event"] == "aerie.console" and told["body"]["lines"][-1] == "line 3001")
        assert ear.lines(bench.uuid) == [f"line {number}" for number in range(501, 3002)]
        assert ear.lost(bench.uuid) == 0
        await ear.watch(bench.uuid, topics=("console",), place={"after": 1, "boot": "another"})
        assert not (await ear.event("aerie.resumed"))["body"]["found"]


async def test_a_flood_loses_its_own_lines_alone_and_every_one_is_counted(bench: Bench) -> None:
    quiet = await another(bench)
    loud_console = bench.agent.manager.get(bench.uuid).console
    async with listening(bench) as ear:
        await ear.watch(bench.uuid, quiet, topics=("console",))
        await ear.event("aerie.resumed", bench.uuid)
        if not any(told["server"] == quiet for told in ear.heard):
            await ear.event("aerie.resumed", quiet)
        before = loud_console.last_seq
        for _ in range(100):
            loud_console.add_output(["x" * 80] * 1000)
        bench.agent.manager.get(quiet).console.add_output(["a word"])
        last = loud_console.last_seq
        await ear.until(lambda told: told["server"] == quiet and told["body"]["lines"] == ["a word"])
        assert len(ear.lines(bench.uuid)) <= 3000  # it did not wait until the flood was over
        while len(ear.lines(bench.uuid)) + ear.lost(bench.uuid) < last - before:
            await ear.event("aerie.console", bench.uuid)
        told = [one["body"] for one in ear.heard if one["event"] == "aerie.console" and one["server"] == bench.uuid]
        following = before + 1
        for batch in told:
            assert batch["first_seq"] == following + batch["dropped"]
            following = batch["first_seq"] + len(batch["lines"])
        assert following == last + 1


async def test_a_server_that_comes_later_is_heard_as_soon_as_it_is_there(bench: Bench) -> None:
    uuid = str(uuid4())
    async with listening(bench) as ear:
        await ear.watch(uuid)
        bench.panel.servers[uuid] = settings(uuid)
        async with bench.http.post("/api/servers", json={"uuid": uuid}) as answer:
            assert answer.status == 202
        await ear.event("status", uuid)
        async with asyncio.timeout(20):
            while bench.agent.manager.get(uuid).end_installation is not None:
                await asyncio.sleep(0.02)
        async with bench.http.delete(f"/api/servers/{uuid}") as answer:
            assert answer.status == 204
        await ear.event("deleted", uuid)


async def test_a_renewed_token_ends_it(bench: Bench) -> None:
    async with listening(bench) as ear:
        await ear.watch(bench.uuid)
        await ear.event("status")
        async with bench.http.post("/api/update", json={"token": "n" * 64}) as answer:
            assert (await answer.json())["applied"]
        bench.agent.manager.get(bench.uuid).console.add_output(["secret"])
        async with asyncio.timeout(20):
            while (message := await ear.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                assert "secret" not in message.data
        assert ear.socket.close_code == 1008


async def test_who_may_not_and_what_cannot_be_read(bench: Bench) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await bench.http.ws_connect("/api/aerie/stream", headers={"Authorization": f"Bearer {bench.jwt('*')}"})
    assert refused.value.status == 403
    async with listening(bench) as ear:
        for text in ("{", '{"event":"dance"}', '{"event":"watch","topics":["all"]}'):
            await ear.socket.send_str(text)
            assert "cannot be read" in (await ear.event("error"))["body"]
        assert bench.agent.manager.get(bench.uuid).state is ServerState.OFFLINE


async def test_there_is_an_end_to_how_many(bench: Bench) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_STREAMS):
            await stack.enter_async_context(listening(bench))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await bench.http.ws_connect("/api/aerie/stream")
        assert refused.value.status == 429
