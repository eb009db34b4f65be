"""Sockets in bad hands: too many, too much, too large, in the wrong form, never read; told by a clock that the test moves (WS ids)."""

import asyncio
import base64
import json
import os
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.api import doors, limits, peer
from agent.api.doors import Doors
from agent.api.websocket import DOORS, MOST_SOCKETS
from agent.server.console import Batch
from core.vocabulary import ServerState
from tests.agent.api.still import Still, answered, ask, close_code, frames_until, seen, standing_still, until

RAW_LIMIT = 60.0


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[Still]:
    async with standing_still(tmp_path) as ready:
        yield ready


async def refused(still: Still, **more: Any) -> int:
    """The status of a handshake that does not succeed."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as told:
        await still.open(**more)
    return told.value.status


async def test_ws_1_who_shows_no_token_within_ten_seconds_is_sent_away(still: Still) -> None:
    silent, signed = await still.open(), await still.open("*")
    await still.clock.advance(9.9)
    await ask(silent, "send stats")
    await seen(silent, "jwt error")
    await still.clock.advance(0.2)
    assert await close_code(silent) == 1008
    await ask(signed, "send stats")
    await seen(signed, "stats")


async def test_ws_1_a_household_holds_ten_sockets_that_have_not_signed_in(still: Still) -> None:
    held = [await still.open() for _ in range(doors.MOST_UNSIGNED)]
    assert await refused(still) == 429
    assert await refused(still, headers={"X-Forwarded-For": "198.51.100.7"}) == 429  # nobody's proxy: not believed
    await ask(held[0], "auth", still.jwt("*"))
    await seen(held[0], "auth success")
    held.append(await still.open())  # who has signed in is counted elsewhere
    held.append(await still.open(headers=still.node))  # the control plane is not counted at all
    assert await refused(still) == 429
    await held[1].close()
    await until(lambda: len(still.sockets) == doors.MOST_UNSIGNED + 1)
    held.append(await still.open())


async def test_ws_1_behind_a_proxy_each_household_is_counted_for_itself(tmp_path: Path) -> None:
    async with standing_still(tmp_path, api={"trusted_proxies": ["127.0.0.0/8"]}) as still:
        one, other = {"X-Forwarded-For": "198.51.100.7"}, {"X-Forwarded-For": "203.0.113.1, 198.51.100.8"}
        held = [await still.open(headers=one) for _ in range(doors.MOST_UNSIGNED)]
        assert await refused(still, headers=one) == 429
        assert await refused(still, headers={"X-Forwarded-For": "203.0.113.99, 198.51.100.7"}) == 429  # its own words do not count
        held.append(await still.open(headers=other))


def test_ws_1_all_households_together_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "MOST", 3)
    monkeypatch.setattr(doors, "MOST_SIGNED", 1)
    counted = Doors()
    places = [counted.enter(f"198.51.100.{number}") for number in range(3)]
    assert counted.enter("198.51.100.99") is None
    first = places[0]
    assert first is not None
    assert first.sign_in()
    assert first.sign_in()  # again is the same
    first.leave()
    again, twin = counted.enter("198.51.100.0"), counted.enter("198.51.100.0")
    assert again is not None
    assert twin is None
    assert again.sign_in()
    again.leave()
    assert not [who for count in (counted.signed, counted.unsigned) for who in count if who.endswith((".99", ".0"))]


async def test_ws_1_two_thousand_knocks_leave_nothing_behind(still: Still) -> None:
    """The bounded form of ten thousand sockets, which a household is not let open."""
    held = [await still.open() for _ in range(doors.MOST_UNSIGNED)]
    gate = asyncio.Semaphore(50)

    async def knock() -> int:
        async with gate:
            return await refused(still)

    assert set(await asyncio.gather(*(knock() for _ in range(2000)))) == {429}
    for socket in held:
        await socket.close()
    await until(lambda: not still.sockets)
    assert not still.app[DOORS].unsigned
    signed = await still.open("*")
    await seen(signed, "stats")


async def test_ws_1_sockets_of_a_server_that_leave_make_room(still: Still) -> None:
    held = []
    for _ in range(MOST_SOCKETS):
        held.append(await still.open("*"))
        await still.clock.advance(0.1)
    assert await refused(still) == 400
    await held[3].close()
    await until(lambda: len(still.sockets) == MOST_SOCKETS - 1)
    held.append(await still.open())


@pytest.mark.parametrize(
    ("event", "burst", "seconds"),
    [("auth", 2, 5), ("send logs", 2, 5), ("send command", 10, 1), ("send stats", 4, 1), ("set state", 4, 1), ("nonsense", 4, 1)],
)
async def test_ws_2_each_event_has_wings_measure(
    still: Still, monkeypatch: pytest.MonkeyPatch, event: str, burst: int, seconds: float
) -> None:
    monkeypatch.setitem(limits._RATES, limits.GLOBAL, (1e6, 1e6))  # which has its own test
    socket = await still.open("websocket.connect", autoping=False)
    words = still.jwt("websocket.connect") if event == "auth" else ""
    await still.clock.advance(60)  # every bucket is full
    for room in (burst, 1, 1):  # after a pause of one measure there is room for one
        for _ in range(room):
            assert "throttled" not in await told(socket, event, words)
        assert await told(socket, event, words) == ["throttled"]
        assert await told(socket, event, words) == []  # told once, until there is room again
        await still.clock.advance(seconds)


async def told(socket: aiohttp.ClientWebSocketResponse, event: str, words: str) -> list[str]:
    """The names of what comes back, throttles with the event's own name alone."""
    await ask(socket, event, words)
    frames = await answered(socket)
    assert all(frame["args"] == [event] for frame in frames if frame["event"] == "throttled")
    return [frame["event"] for frame in frames]


async def test_ws_2_all_events_together_have_wings_measure(still: Still) -> None:
    socket = await still.open("*", autoping=False)
    await still.clock.advance(60)
    await answered(socket)
    for number in range(10):
        await socket.send_str("no JSON" if number % 2 else '{"event": 5}')
    assert await answered(socket) == []
    for _ in range(5):
        await ask(socket, "send stats")
    assert await answered(socket) == [{"event": "throttled", "args": ["global"]}]
    await still.clock.advance(0.2)
    await ask(socket, "send stats")
    assert [frame["event"] for frame in await answered(socket)] == ["stats"]


async def test_ws_3_logs_are_sent_again_every_five_seconds_at_most(still: Still) -> None:
    socket = await still.open("*", autoping=False)
    await ask(socket, "set state", "start")
    await until(lambda: still.server.state is ServerState.RUNNING)
    await still.clock.advance(60)
    await answered(socket)
    for _ in range(6):
        await ask(socket, "send logs")
    frames = await answered(socket)
    assert sum("listening on" in str(frame) for frame in frames) == 2
    assert [frame["args"] for frame in frames if frame["event"] == "throttled"] == [["send logs"]]


@pytest.mark.parametrize("size", [4096, 4097, 10_000_000])
async def test_ws_2_a_message_has_4096_bytes_at_most(still: Still, size: int) -> None:
    socket = await still.open("*")
    await seen(socket, "stats")
    with suppress(ConnectionError, aiohttp.ClientError):  # a node need not wait for the end of what it refuses
        await socket.send_str(json.dumps({"event": "send stats", "args": ["x" * 10]}).ljust(size))
    if size <= 4096:
        await seen(socket, "stats")
    else:
        assert await close_code(socket) in (1009, 1006)
    await until(lambda: len(still.sockets) == (1 if size <= 4096 else 0))


async def test_ws_2_bytes_are_no_messages_and_depth_is_harmless(still: Still) -> None:
    socket = await still.open("*")
    await seen(socket, "stats")
    await socket.send_bytes(b'{"event": "send stats"}')
    for text in ("[" * 4000, '{"event":' * 400, '{"event": "send stats", "args": [[["x"]]]}', "null", "\x00", '"' + "\\ud800" * 10 + '"'):
        await socket.send_str(text)
        await still.clock.advance(1)
    await ask(socket, "send command", "x")
    await ask(socket, "send stats")
    assert [frame["event"] for frame in await frames_until(socket, "stats")] == ["stats"]


def masked(opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0) -> bytes:
    """A client's frame by hand (RFC 6455)."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([(0x80 if final else 0) | reserved | opcode]) + length + b"\0\0\0\0" + payload


async def by_hand(still: Still, *frames: bytes) -> bytes:
    """What the node says to these frames, up to its end or its silence after `stats`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", still.agent.port)
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET /api/servers/{still.uuid}/ws HTTP/1.1\r\nHost: node\r\nOrigin: {still.panel.url}\r\nConnection: Upgrade\r\n"
    writer.write((head + f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n").encode())
    writer.write(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
    said = b""
    try:
        async with asyncio.timeout(RAW_LIMIT):
            while b"\r\n\r\n" not in said:
                said += await reader.read(4096)
            writer.write(b"".join(frames))
            while b"jwt: no jwt" not in said and (chunk := await reader.read(4096)):
                said += chunk
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    return said


async def test_ws_2_a_message_in_pieces_is_one_message_and_no_larger(still: Still) -> None:
    whole = b'{"event": "send stats"}'
    pieces = [masked(0 if n else 1, whole[n : n + 1], final=n == len(whole) - 1) for n in range(len(whole))]
    assert b"jwt: no jwt present" in await by_hand(still, *pieces)
    large = [masked(0 if n else 1, b" " * 120, final=False) for n in range(40)]
    said = await by_hand(still, *large)
    assert b"jwt" not in said
    assert (1009).to_bytes(2, "big") in said.partition(b"\r\n\r\n")[2] or said.endswith(b"\r\n\r\n")
    await until(lambda: not still.sockets)


async def test_ws_2_compression_is_not_offered_and_what_is_compressed_ends_the_socket(still: Still) -> None:
    said = await by_hand(still, masked(1, b"\x00" * 100, reserved=0x40))
    assert b"101 Switching" in said
    assert b"sec-websocket-extensions" not in said.lower()
    assert b"jwt" not in said
    await until(lambda: not still.sockets)


async def test_ws_4_a_reader_that_never_reads_is_cut_off(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "STALLED_SECONDS", 0.3)
    deaf = await still.open("*")
    ours = deaf.get_extra_info("socket")
    ours.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    assert deaf._conn is not None and deaf._conn.transport is not None
    deaf._conn.transport.pause_reading()
    await until(lambda: any(socket.listening for socket in still.sockets))
    lines = ["x" * 1000] * 100
    async with asyncio.timeout(RAW_LIMIT):
        number = 1
        while still.sockets:
            still.server.console.fanout.publish(Batch(number, lines))
            number += len(lines)
            await still.clock.advance(0.01)
            await asyncio.sleep(0.005)
    friend = await still.open("*")
    await seen(friend, "status")


async def test_ws_4_a_peer_that_answers_no_ping_is_cut_off(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "PING_SECONDS", 0.2)
    dead = await still.open(autoping=False)
    await until(lambda: not still.sockets)
    await dead.close()


@pytest.mark.parametrize("shape", ["{}", "null", "https://evil.example", "{}/", "{}.evil.example", "http://{}@evil.example", "{}:443", ""])
async def test_ws_5_an_origin_is_compared_letter_by_letter(still: Still, shape: str) -> None:
    origin = shape.format(still.panel.url)
    if origin == still.panel.url:
        await (await still.open("*")).close()
        origin = still.panel.url.upper()
    assert await refused(still, origin=None, headers={"Origin": origin}) == 403


@pytest.mark.parametrize("args", ["explode", "", ["start"], {"action": "start"}, None, 1, True, "START", " start", "start\n", "x" * 4000])
async def test_ws_7_an_odd_power_action_does_nothing(still: Still, args: object) -> None:
    socket = await still.open("*")
    await seen(socket, "stats")
    await ask(socket, "set state", args)
    await ask(socket, "send stats")
    frames = await frames_until(socket, "stats")
    assert {frame["event"] for frame in frames} <= {"daemon error", "stats"}
    assert all(len(frame["args"][0]) < 300 for frame in frames[:-1])
    assert still.server.state is ServerState.OFFLINE
    assert not still.panel.posts


async def test_ws_8_a_command_of_two_lines_is_refused_whole(still: Still) -> None:
    socket = await still.open("*")
    await ask(socket, "set state", "start")
    await seen(socket, "status", "running")
    for line in ("say a\nstop", "say a\rstop", "say\x00a"):
        await ask(socket, "send command", line)
        assert "one line" in (await seen(socket, "daemon error"))["args"][0]
    await ask(socket, "send command", "help")
    frames = await frames_until_line(socket, "help")
    assert not [frame for frame in frames if "say a" in str(frame)]


async def frames_until_line(socket: aiohttp.ClientWebSocketResponse, words: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while not frames or words not in str(frames[-1]):
        frames += await frames_until(socket, "console output")
    return frames


async def test_ws_9_a_deleted_servers_sockets_hear_it_and_are_closed(still: Still) -> None:
    signed, silent = await still.open("websocket.connect"), await still.open()
    async with still.http.delete(f"/api/servers/{still.uuid}", headers=still.node) as answer:
        assert answer.status == 204
    assert (await frames_until(signed, "deleted"))[-1]["args"] == ["null"]
    assert [await close_code(signed), await close_code(silent)] == [1001, 1001]
    assert await refused(still) == 404


async def test_ws_9_words_to_a_suspended_server_end_the_socket(still: Still) -> None:
    socket = await still.open("*")
    still.server.configuration.settings.suspended = True
    await ask(socket, "send command", "x")
    assert await close_code(socket) == 4409
    late = await still.open()
    assert await close_code(late) == 4409


async def test_a_closing_peer_that_says_no_goodbye_holds_nothing_up(still: Still) -> None:
    socket = await still.open("*")
    assert socket._conn is not None and socket._conn.transport is not None
    socket._conn.transport.abort()
    await until(lambda: not still.sockets)


async def test_every_handshake_bears_a_request_id(still: Still) -> None:
    socket = await still.open()
    assert len(socket._response.headers["X-Request-Id"]) == 36
