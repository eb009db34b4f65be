"""A socket's token in time: warned of, ended, renewed, lowered, revoked; told by a clock that the test moves (WS and TOK ids)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.server.standing import DaemonNotice
from core.protocol.agent import DenyRequest
from core.protocol.socket import JWT_DENIED, JWT_EXPIRED, JWT_WRONG_SERVER, Outbound
from core.tokens import socket_jti
from core.vocabulary import ServerState
from tests.agent.api.still import Still, ask, close_code, frames_until, seen, standing_still


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[Still]:
    async with standing_still(tmp_path, servers=2) as ready:
        yield ready


async def test_ws_10_a_token_is_warned_of_ended_once_and_the_socket_closed_after_a_minute(still: Still) -> None:
    socket = await still.open("*")
    await still.clock.advance(541)
    await seen(socket, "token expiring")
    await still.clock.advance(59)
    await seen(socket, "token expired")
    still.server.console.feed(b"after the end\n")  # nothing of this goes out
    still.server.notice("nor of this")
    await still.clock.advance(1)
    await ask(socket, "send stats")
    (only,) = await frames_until(socket, "jwt error")
    assert only["args"] == [JWT_EXPIRED]
    await still.clock.advance(60)
    assert await close_code(socket) == 1008


async def test_a_new_token_goes_on_as_if_nothing_had_been_and_says_no_status_twice(still: Still) -> None:
    socket = await still.open("*")
    await seen(socket, "stats")
    await still.clock.advance(541)
    await seen(socket, "token expiring")
    await ask(socket, "auth", still.jwt("*"))
    assert [frame["event"] for frame in await frames_until(socket, "auth success")] == ["auth success"]
    await still.clock.advance(300)
    still.server.console.feed(b"still here\n")
    assert [frame["event"] for frame in await frames_until(socket, "console output")] == ["console output"]
    await still.clock.advance(241)
    await seen(socket, "token expiring")


async def test_an_expired_token_is_told_in_words_the_panels_page_knows(still: Still) -> None:
    old = still.jwt("*")
    await still.clock.advance(601)
    socket = await still.open()
    await ask(socket, "auth", old)
    assert (await seen(socket, "jwt error"))["args"] == [JWT_EXPIRED]
    await ask(socket, "auth", still.jwt("*"))
    await seen(socket, "auth success")


async def test_ws_6_what_needs_a_permission_is_sent_to_those_who_have_it(still: Still) -> None:
    admin = await still.open("*", "admin.websocket.install", "admin.websocket.transfer")
    owner = await still.open("*")
    viewer = await still.open("websocket.connect")
    gated = {
        Outbound.INSTALL_OUTPUT: "the installer says",
        Outbound.TRANSFER_LOGS: "moving",
        Outbound.BACKUP_COMPLETED: '{"uuid":"b"}',
        Outbound.INSTALL_STARTED: "",
        Outbound.INSTALL_COMPLETED: "",
    }
    for event, text in gated.items():
        still.server.events.publish(DaemonNotice(event, text))
    still.server.events.publish(DaemonNotice(Outbound.DAEMON_MESSAGE, "the end"))
    told = [{frame["event"] for frame in await frames_until(socket, "daemon message")} & set(gated) for socket in (admin, owner, viewer)]
    assert told[0] == set(gated)
    assert told[1] == {"backup completed", "install started", "install completed"}
    assert told[2] == {"install started", "install completed"}


async def test_ws_6_a_token_of_fewer_permissions_counts_from_then_on(still: Still) -> None:
    socket = await still.open("*", "admin.websocket.install")
    await ask(socket, "auth", still.jwt("websocket.connect"))
    await seen(socket, "auth success")
    still.server.events.publish(DaemonNotice(Outbound.INSTALL_OUTPUT, "the installer says"))
    still.server.events.publish(DaemonNotice(Outbound.DAEMON_MESSAGE, "the end"))
    assert "install output" not in {frame["event"] for frame in await frames_until(socket, "daemon message")}
    await ask(socket, "set state", "start")
    await ask(socket, "send stats")
    await seen(socket, "stats")
    assert still.server.state is ServerState.OFFLINE


async def test_tok_6_an_id_is_denied_up_to_this_second_on_every_server(still: Still) -> None:
    """The panel names the ids for one server, Wings takes them for the node."""
    held = await still.open("*")
    foreign = await still.open("*", server=still.others[0])
    ids = [socket_jti("u", still.uuid), socket_jti("u", still.others[0])]
    assert await still.post(f"/api/servers/{still.uuid}/ws/deny", DenyRequest(jtis=ids).model_dump()) == 204
    for socket in (held, foreign):
        await ask(socket, "send stats")
        assert (await seen(socket, "jwt error"))["args"] == [JWT_DENIED]
    fresh = await still.open()
    await ask(fresh, "auth", still.jwt("*"))  # made in the second of the denial
    assert (await seen(fresh, "jwt error"))["args"] == [JWT_DENIED]
    await still.clock.advance(6)
    await ask(fresh, "auth", still.jwt("*"))
    await seen(fresh, "auth success")


async def test_a_revoked_socket_hears_no_console_and_is_told_once(still: Still) -> None:
    socket = await still.open("*")
    await seen(socket, "stats")
    assert await still.post(f"/api/servers/{still.uuid}/ws/deny", {"jtis": [socket_jti("u", still.uuid)]}) == 204
    for number in range(5):
        still.server.console.feed(b"secret %d\n" % number)
        await still.clock.advance(0.1)
    still.server.notice("as secret")
    assert (await frames_until(socket, "jwt error"))[0]["args"] == [JWT_DENIED]
    await still.clock.advance(5)
    await ask(socket, "auth", still.jwt("*"))
    assert [frame["event"] for frame in await frames_until(socket, "auth success")] == ["auth success"]


async def test_tok_6_a_user_is_signed_out_of_the_servers_named_or_of_the_node(still: Still) -> None:
    here, there = await still.open("*"), await still.open("*", server=still.others[0])
    body = {"user": "u", "servers": [still.uuid, "11111111-1111-4111-8111-111111111111"]}
    assert await still.post("/api/deauthorize-user", body) == 204
    assert await close_code(here) == 1008
    await ask(there, "send stats")
    await seen(there, "stats")
    again = await still.open()
    await ask(again, "auth", still.jwt("*"))
    assert (await seen(again, "jwt error"))["args"] == [JWT_DENIED]
    for everywhere in ({"user": "u"}, {"user": "u", "servers": []}):
        await still.clock.advance(6)
        there = await still.open("*", server=still.others[0])
        assert await still.post("/api/deauthorize-user", everywhere) == 204
        assert await close_code(there) == 1008
        late = await still.open(server=still.others[0])
        await ask(late, "auth", still.jwt("*", server=still.others[0]))
        assert (await seen(late, "jwt error"))["args"] == [JWT_DENIED]
    friend = await still.open("*", user="v")  # whoever else was there may come back at once
    await seen(friend, "status")


async def test_tok_5_another_servers_token_is_refused_at_the_door(still: Still) -> None:
    socket = await still.open()
    await ask(socket, "auth", still.jwt("*", server=still.others[0]))
    assert [frame["args"] for frame in await frames_until(socket, "jwt error")] == [[JWT_WRONG_SERVER]]


async def test_tok_7_a_token_from_before_the_agents_start_is_refused(tmp_path: Path) -> None:
    async with standing_still(tmp_path) as still:
        socket = await still.open()
        await ask(socket, "auth", still.jwt("*", age=2))  # the agent is one second old
        assert (await seen(socket, "jwt error"))["args"] == [JWT_DENIED]


async def test_tok_8_an_owners_star_opens_nothing_of_admins(still: Still) -> None:
    socket = await still.open("*")
    still.server.events.publish(DaemonNotice(Outbound.INSTALL_OUTPUT, "the installer says"))
    still.server.events.publish(DaemonNotice(Outbound.DAEMON_MESSAGE, "the end"))
    assert "install output" not in {frame["event"] for frame in await frames_until(socket, "daemon message")}


async def test_tok_11_a_node_may_be_told_to_take_the_derived_form_alone(tmp_path: Path) -> None:
    async with standing_still(tmp_path, api={"shared_key": False}) as still:
        socket = await still.open()
        await ask(socket, "auth", still.jwt("*"))
        assert "not one of ours" in (await seen(socket, "daemon error"))["args"][0]
        await ask(socket, "auth", still.jwt("*", derived=True))
        await seen(socket, "auth success")
