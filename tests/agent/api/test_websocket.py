"""One server's WebSocket: signing in, permissions, console, state, limits, as Wings speaks them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse

from agent import outbox
from agent.api import websocket
from agent.api.websocket import MOST_SOCKETS
from agent.server.console import CUT_MARK
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import JWT_DENIED, JWT_MISSING, JWT_NO_CONNECT, JWT_WRONG_SERVER, ConsoleBatch, CrashReport
from core.tokens import socket_jti
from core.vocabulary import ServerState
from tests.agent.api.conftest import Bench, settings

Frame = dict[str, Any]


@asynccontextmanager
async def opened(bench: Bench, *permissions: str) -> AsyncIterator[ClientWebSocketResponse]:
    async with bench.http.ws_connect(bench.path("/ws"), origin=bench.panel.url, max_msg_size=0) as socket:
        if permissions:
            await socket.send_json({"event": "auth", "args": [bench.jwt(*permissions)]})
            assert (await socket.receive_json())["event"] == "auth success"
        yield socket


async def seen(socket: ClientWebSocketResponse, event: str, holds: str = "") -> Frame:
    async with asyncio.timeout(15):
        while True:
            frame: Frame = await socket.receive_json()
            if frame["event"] == event and holds in "".join(frame.get("args", [])):
                return frame


async def test_ws_5_a_foreign_origin_is_refused(bench: Bench) -> None:
    for origin in (None, "https://evil.example"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await bench.http.ws_connect(bench.path("/ws"), origin=origin)
        assert refused.value.status == 403


async def test_after_signing_in_come_status_and_for_an_offline_server_stats(bench: Bench) -> None:
    async with opened(bench, "websocket.connect") as socket:
        assert await socket.receive_json() == {"event": "status", "args": ["offline"]}
        stats = json.loads((await socket.receive_json())["args"][0])
        assert set(stats) == {"memory_bytes", "memory_limit_bytes", "cpu_absolute", "network", "uptime", "state", "disk_bytes"}


async def test_tok_5_tokens_are_checked_at_once(bench: Bench) -> None:
    for token, words in (
        (bench.jwt("control.console"), JWT_NO_CONNECT),
        (bench.jwt("*", server="11111111-1111-4111-8111-111111111111"), JWT_WRONG_SERVER),
    ):
        async with opened(bench) as socket:
            await socket.send_json({"event": "auth", "args": [token]})
            assert await socket.receive_json() == {"event": "jwt error", "args": [words]}
    async with opened(bench) as socket:
        await socket.send_json({"event": "send stats", "args": [None]})
        assert await socket.receive_json() == {"event": "jwt error", "args": [JWT_MISSING]}
        await socket.send_json({"event": "auth", "args": ["nonsense"]})
        assert (await socket.receive_json())["event"] == "daemon error"


async def test_tok_6_a_denied_token_is_refused_from_then_on(bench: Bench) -> None:
    async with opened(bench, "*") as socket:
        claims_id = socket_jti("u", bench.uuid)
        async with bench.http.post(bench.path("/ws/deny"), json={"jtis": [claims_id]}) as answer:
            assert answer.status == 204
        await socket.send_json({"event": "send stats"})
        assert (await seen(socket, "jwt error"))["args"] == [JWT_DENIED]


async def test_signing_a_user_out_closes_the_sockets(bench: Bench) -> None:
    async with opened(bench, "*") as socket:
        async with bench.http.post("/api/deauthorize-user", json={"user": "u", "servers": [bench.uuid]}) as answer:
            assert answer.status == 204
        async with asyncio.timeout(5):
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert socket.closed


async def test_a_server_is_run_over_the_socket(bench: Bench) -> None:
    async with opened(bench, "*") as socket:
        await socket.send_json({"event": "set state", "args": ["start"]})
        await seen(socket, "status", "starting")
        await seen(socket, "console output", "listening on")
        await socket.send_json({"event": "send command", "args": ["help"]})
        await seen(socket, "console output", "help")
        await socket.send_json({"event": "set state", "args": ["stop"]})
        await seen(socket, "status", "stopping")
        await seen(socket, "status", "offline")


async def test_what_is_not_permitted_does_not_happen(bench: Bench) -> None:
    async with opened(bench, "websocket.connect") as socket:
        await socket.send_json({"event": "set state", "args": ["start"]})
        await socket.send_json({"event": "send stats"})
        await seen(socket, "stats")
        assert bench.agent.manager.get(bench.uuid).state is ServerState.OFFLINE


async def test_wings_clients_get_no_frames_of_ours_and_ours_get_batches(bench: Bench) -> None:
    async with opened(bench, "*") as plain, opened(bench, "*") as ours:
        await ours.send_json({"event": "aerie.batch", "args": ["1"]})
        await plain.send_json({"event": "set state", "args": ["start"]})
        assert json.loads((await seen(ours, "aerie.power", "accepted"))["args"][0])["signal"] == "start"
        lines: list[str] = []
        states: list[str] = []
        async with asyncio.timeout(15):
            while not (any("listening on" in line for line in lines) and "running" in states):
                frame = await ours.receive_json()
                assert frame["event"] != "console output"
                if frame["event"] == "aerie.console":
                    lines += ConsoleBatch.model_validate_json(frame["args"][0]).lines
                elif frame["event"] == "aerie.state":
                    states.append(json.loads(frame["args"][0])["state"])
        assert states == ["starting", "running"]
        async with asyncio.timeout(10):
            while (frame := await plain.receive_json())["args"] != ["running"]:
                assert not frame["event"].startswith("aerie.")


async def test_a_line_of_a_megabyte_is_cut_and_marked_and_invalid_bytes_are_replaced(bench: Bench) -> None:
    server = bench.agent.manager.get(bench.uuid)
    async with opened(bench, "*") as socket:
        server.console.feed(b"x" * 1_000_000 + b"\n" + b"bad \xff\xfe bytes\n@everyone \x07`` ```\n")
        assert (await seen(socket, "console output", "xxx"))["args"][0].endswith(CUT_MARK)
        assert (await seen(socket, "console output", "bad"))["args"][0] == "bad \ufffd\ufffd bytes"
        await seen(socket, "console output", "@everyone")


async def test_ws_4_a_socket_that_does_not_read_holds_up_nobody_and_is_told_what_it_lost(bench: Bench) -> None:
    server = bench.agent.manager.get(bench.uuid)
    server.console._throttle = server.console._throttle.model_copy(update={"enabled": False})
    async with opened(bench, "*") as slow, opened(bench, "*") as quick:
        await quick.send_json({"event": "aerie.batch"})
        await slow.send_json({"event": "aerie.batch"})
        await asyncio.sleep(0.1)
        total, line = 200_000, b"y" * 80 + b"\n"
        for _ in range(total // 1000):
            server.console.feed(line * 1000)
            await asyncio.sleep(0)
        server.console.feed(b"the end\n")
        for socket in (quick, slow):
            got = lost = 0
            while True:
                frame = await seen(socket, "aerie.console")
                batch = ConsoleBatch.model_validate_json(frame["args"][0])
                got, lost = got + len(batch.lines), lost + batch.dropped
                if batch.lines[-1] == "the end":
                    break
            assert got + lost == total + 1


async def test_ws_1_the_thirty_first_socket_is_refused_but_not_the_control_plane_s(bench: Bench) -> None:
    async with aiohttp.ClientSession(bench.agent.url) as people:
        held = []
        for _ in range(MOST_SOCKETS):
            held.append(socket := await people.ws_connect(bench.path("/ws"), origin=bench.panel.url))
            await socket.send_json({"event": "auth", "args": [bench.jwt("*")]})
            await seen(socket, "auth success")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await people.ws_connect(bench.path("/ws"), origin=bench.panel.url)
        assert refused.value.status == 400
        async with opened(bench, "*") as ours:
            await ours.send_json({"event": "send stats"})
            await seen(ours, "stats")


async def test_the_control_plane_s_own_sockets_have_an_end_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MOST_OWN_SOCKETS", 2)
    held = [await bench.http.ws_connect(bench.path("/ws"), origin=bench.panel.url) for _ in range(2)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await bench.http.ws_connect(bench.path("/ws"), origin=bench.panel.url)
    assert refused.value.status == 400
    for socket in held:
        await socket.close()


async def test_too_many_messages_are_dropped_and_told_once(bench: Bench) -> None:
    async with opened(bench, "*") as socket:
        for _ in range(40):
            await socket.send_json({"event": "send stats"})
        await seen(socket, "throttled")


async def test_ws_9_a_suspended_server_sends_its_watchers_away_with_4409(bench: Bench) -> None:
    async with opened(bench, "*") as watching:
        bench.panel.servers[bench.uuid] = settings(bench.uuid, suspended=True)
        async with bench.http.post(bench.path("/sync")) as answer:
            assert answer.status == 204
        async with opened(bench) as late:
            for socket in (watching, late):
                async with asyncio.timeout(5):
                    while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                        pass
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4409)


async def test_a_crash_is_told_to_those_who_ask_and_to_nobody_else(bench: Bench) -> None:
    bench.panel.servers[bench.uuid] = crashing(bench.uuid)
    async with opened(bench, "*") as socket, opened(bench, "*") as stock:
        await socket.send_json({"event": "aerie.batch"})
        await socket.send_json({"event": "set state", "args": ["start"]})
        await seen(socket, "status", "running")
        await seen(stock, "status", "running")
        await socket.send_json({"event": "send command", "args": ["fall"]})
        record = CrashReport.model_validate_json((await seen(socket, "aerie.crash"))["args"][0])
        assert (record.exit_code, record.oom_killed, record.signal, record.restarting) == (3, False, "", False)
        assert "last words" in record.lines
        async with asyncio.timeout(15):
            while (frame := await stock.receive_json())["event"] != "stats" or '"offline"' not in frame["args"][0]:
                assert frame["event"] != "aerie.crash"


async def test_a_crash_that_nobody_heard_is_told_to_the_first_who_asks_and_once(bench: Bench) -> None:
    bench.panel.servers[bench.uuid] = crashing(bench.uuid)
    async with opened(bench, "*") as stock:
        await stock.send_json({"event": "set state", "args": ["start"]})
        await seen(stock, "status", "running")
        await stock.send_json({"event": "send command", "args": ["fall"]})
        await seen(stock, "status", "offline")
    async with opened(bench, "*") as first:
        await first.send_json({"event": "aerie.batch"})
        record = CrashReport.model_validate_json((await seen(first, "aerie.crash"))["args"][0])
        assert record.exit_code == 3
    async with opened(bench, "*") as second:
        await second.send_json({"event": "aerie.batch"})
        await second.send_json({"event": "set state", "args": ["no such action"]})
        async with asyncio.timeout(15):
            while (frame := await second.receive_json())["event"] != "daemon error":
                assert frame["event"] != "aerie.crash"


def crashing(uuid: str) -> ServerConfiguration:
    made = settings(uuid, invocation='echo listening on; echo "last words"; read line; exit 3')
    made.settings.crash_detection_enabled = False
    return made


async def test_what_a_person_does_through_a_socket_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "ACTIVITY_SECONDS", 0.0)
    async with opened(bench, "*") as socket:
        await socket.send_json({"event": "set state", "args": ["start"]})
        await seen(socket, "status", "running")
        await socket.send_json({"event": "send command", "args": ["say hi"]})
        async with asyncio.timeout(30):
            while len(done := [entry for path, body in bench.panel.posts if path == "/activity" for entry in body["data"]]) < 2:
                await asyncio.sleep(0.02)
    assert [(entry["event"], entry["metadata"]) for entry in done] == [
        ("server:power.start", {}),
        ("server:console.command", {"command": "say hi"}),
    ]
    assert {(entry["user"], entry["server"], entry["ip"]) for entry in done} == {("u", bench.uuid, "127.0.0.1")}


async def test_a_reader_that_comes_back_gets_what_it_missed_and_goes_on(bench: Bench) -> None:
    console = bench.agent.manager.get(bench.uuid).console
    console.add_output([f"line {number}" for number in range(1, 11)])
    async with opened(bench, "*") as socket:
        await socket.send_json({"event": "aerie.batch", "args": [json.dumps({"after": 4, "boot": console.count})]})
        resumed = json.loads((await seen(socket, "aerie.resumed"))["args"][0])
        assert resumed == {"after": 4, "boot": console.count, "found": True}
        batch = ConsoleBatch.model_validate_json((await seen(socket, "aerie.console"))["args"][0])
        assert (batch.first_seq, batch.lines, batch.dropped) == (5, [f"line {number}" for number in range(5, 11)], 0)
        console.add_output(["line 11"])
        batch = ConsoleBatch.model_validate_json((await seen(socket, "aerie.console"))["args"][0])
        assert (batch.first_seq, batch.lines, batch.dropped) == (11, ["line 11"], 0)


async def test_a_reader_with_a_place_that_says_nothing_here_begins_now(bench: Bench) -> None:
    console = bench.agent.manager.get(bench.uuid).console
    console.add_output(["one", "two"])
    for place in ({"after": 1, "boot": "another"}, {"after": 77, "boot": console.count}, {}):
        async with opened(bench, "*") as socket:
            await socket.send_json({"event": "aerie.batch", "args": [json.dumps(place)]})
            resumed = json.loads((await seen(socket, "aerie.resumed"))["args"][0])
            assert resumed == {"after": console.last_seq, "boot": console.count, "found": False}
            console.add_output(["more"])
            batch = ConsoleBatch.model_validate_json((await seen(socket, "aerie.console"))["args"][0])
            assert (batch.first_seq, batch.dropped) == (console.last_seq, 0)
    async with opened(bench, "*") as socket:
        await socket.send_json({"event": "aerie.batch", "args": ['{"after": "x"}']})
        assert "place in the console" in (await seen(socket, "daemon error"))["args"][0]
