"""The gateway as discord.py and bare sockets see it: identify, intents, resume, close codes, compression."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord
import orjson
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Person
from sandbox.seed import Seed, demo_seed
from tests.sandbox.clients import Api, Bot, StartBot

GUILDS, MESSAGES = 1, 1 << 9


@asynccontextmanager
async def bare(box: Sandbox, query: str = "v=10&encoding=json") -> AsyncIterator[ClientWebSocketResponse]:
    """A bare gateway socket."""
    async with ClientSession() as session, session.ws_connect(f"{box.gateway_url}?{query}") as socket:
        yield socket


async def receive(socket: ClientWebSocketResponse) -> Any:
    """The next payload."""
    return orjson.loads((await socket.receive(timeout=5)).data)


async def identify(socket: ClientWebSocketResponse, box: Sandbox, **changes: Any) -> None:
    """Sends HELLO's answer."""
    await receive(socket)
    await socket.send_json({"op": 2, "d": {"token": box.token, "intents": GUILDS | MESSAGES, "properties": {}, **changes}})


async def close_code(socket: ClientWebSocketResponse) -> int | None:
    """Waits for the close."""
    async with asyncio.timeout(5):
        while (await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED):
            pass
    return socket.close_code


async def test_the_client_knows_the_guild_when_it_is_ready(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    assert ada.bot["online"] is False
    async with start_bot() as bot:
        guild = bot.guilds[0]
        assert guild.name == "The Aerie"
        assert [channel.name for channel in guild.text_channels] == ["general", "servers", "console"]
        assert {role.name for role in guild.roles} == {"@everyone", "Moderator", "Player", "Aerie"}
        assert guild.owner_id == int(next(person["id"] for person in ada.people if person["is_owner"]))
        assert guild.me.guild_permissions.send_messages
        assert bot.application is not None
        assert bot.application.name == "Aerie"
        await ada.wait_until(lambda: ada.bot["online"])
    await ada.wait_until(lambda: not ada.bot["online"])


async def test_a_wrong_token_is_refused(box: Sandbox, start_bot: StartBot) -> None:
    client = discord.Client(intents=discord.Intents.none())
    box.state.token = "another"
    with pytest.raises(discord.LoginFailure):
        await client.login("sandbox-token")
    await client.close()


async def test_privileged_intents_that_are_not_enabled_are_refused(box: Sandbox, start_bot: StartBot) -> None:
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with start_bot(intents=discord.Intents.all()):
            pass


async def test_a_dropped_connection_resumes_and_misses_nothing(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        await ada.say("general", "before")
        box.drop_gateway()
        for number in range(20):
            await ada.say("general", f"line {number}")
        async with asyncio.timeout(10):
            while bot.resumes == 0 or len(bot.heard) < 21:
                await asyncio.sleep(0.02)
        ids = [message.id for message in bot.heard]
        assert len(ids) == len(set(ids)) == 21
        assert bot.readies == 1


async def test_a_forgotten_session_identifies_anew(box: Sandbox, start_bot: StartBot) -> None:
    async with start_bot() as bot:
        box.drop_gateway(resumable=False)
        async with asyncio.timeout(10):
            while bot.readies < 2:
                await asyncio.sleep(0.02)
        assert bot.resumes == 0


async def test_being_asked_to_reconnect_resumes(box: Sandbox, start_bot: StartBot) -> None:
    async with start_bot() as bot:
        box.ask_to_reconnect()
        async with asyncio.timeout(10):
            while bot.resumes < 1:
                await asyncio.sleep(0.02)


async def test_an_event_can_arrive_twice(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        box.deliver_twice(1)
        await ada.say("general", "once")
        await ada.say("general", "other")
        async with asyncio.timeout(5):
            while len(bot.heard) < 3:
                await asyncio.sleep(0.02)
        assert bot.heard[0].id == bot.heard[1].id != bot.heard[2].id


async def test_content_comes_only_for_mentions_and_ping_replies_to_regular_messages(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    def set_up(bot: Bot) -> None:
        @bot.tree.command(description="Answers")
        async def hello(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("an answer")

    async with start_bot(set_up) as bot:
        regular = await bot.text_channel().send("a regular message")
        answer = await ada.answer(await ada.run("hello"))
        await ada.say("general", "plain")
        await ada.say("general", f"<@{bot.application_id}> named")
        await ada.say("general", "replied with ping", reply_to=str(regular.id))
        await ada.say("general", "replied without ping", reply_to=str(regular.id), ping=False)
        await ada.say("general", "replied to an answer", reply_to=answer)
        async with asyncio.timeout(5):
            while len([one for one in bot.heard if one.author.name == "Ada"]) < 5:
                await asyncio.sleep(0.02)
        contents = [one.content for one in bot.heard if one.author.name == "Ada"]
        assert contents == ["", f"<@{bot.application_id}> named", "replied with ping", "", ""]
        replied = next(one for one in bot.heard if one.content == "replied with ping")
        assert replied.reference is not None
        assert replied.reference.message_id == regular.id


async def test_without_the_message_intent_no_message_comes(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot(intents=discord.Intents(guilds=True)) as bot:
        await ada.say("general", f"<@{bot.application_id}> hello")
        await asyncio.sleep(0.2)
        assert bot.heard == []


async def test_members_come_in_chunks_with_the_intent(start_bot: StartBot, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = demo_seed()
    seed = Seed.parse({**seed.model_dump(), "application": {"privileged_intents": ["members", "message_content"]}})
    async with running(SandboxConfig(seed=seed)) as box:
        monkeypatch.setattr(discord.http.Route, "BASE", box.api_url)
        async with bare(box) as socket:
            await identify(socket, box, intents=GUILDS | 2)
            ready, guild = await receive(socket), await receive(socket)
            assert (ready["t"], guild["t"]) == ("READY", "GUILD_CREATE")
            assert len(guild["d"]["members"]) == 4
            await socket.send_json({"op": 8, "d": {"guild_id": guild["d"]["id"], "query": "", "limit": 0, "nonce": "n1"}})
            chunk = (await receive(socket))["d"]
            assert (chunk["nonce"], chunk["chunk_index"], chunk["chunk_count"], len(chunk["members"])) == ("n1", 0, 1, 4)
            await socket.send_json({"op": 8, "d": {"guild_id": guild["d"]["id"], "query": "ki", "limit": 5}})
            assert [one["user"]["username"] for one in (await receive(socket))["d"]["members"]] == ["Kim"]


async def test_without_the_members_intent_only_the_bot_is_listed(box: Sandbox) -> None:
    async with bare(box) as socket:
        await identify(socket, box)
        await receive(socket)
        guild = await receive(socket)
        assert guild["d"]["unavailable"] is False
        assert [one["user"]["id"] for one in guild["d"]["members"]] == [box.state.bot.id]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"op": 2, "d": {"token": "wrong", "intents": 1}}, 4004),
        ({"op": 2, "d": {"token": "sandbox-token", "intents": -1}}, 4013),
        ({"op": 2, "d": {"token": "sandbox-token", "intents": 1 << 15}}, 4014),
        ({"op": 2, "d": {"token": "sandbox-token", "intents": 1, "shard": [2, 1]}}, 4010),
        ({"op": 3, "d": {}}, 4003),
        ({"op": 99, "d": {}}, 4001),
        ({"no": "op"}, 4002),
        ({"op": 6, "d": {"token": "wrong", "session_id": "x", "seq": 1}}, 4004),
        ({"op": 1, "d": "x" * 5000}, 4002),
    ],
)
async def test_close_codes(box: Sandbox, payload: Any, code: int) -> None:
    async with bare(box) as socket:
        await receive(socket)
        await socket.send_json(payload)
        assert await close_code(socket) == code


async def test_other_versions_and_encodings_are_refused(box: Sandbox) -> None:
    async with bare(box, "v=6&encoding=json") as socket:
        assert await close_code(socket) == 4012
    async with bare(box, "v=10&encoding=etf") as socket:
        assert await close_code(socket) == 4012


async def test_identifying_twice_is_refused(box: Sandbox) -> None:
    async with bare(box) as socket:
        await identify(socket, box)
        await socket.send_json({"op": 2, "d": {"token": box.token, "intents": 1}})
        assert await close_code(socket) == 4005


async def test_too_many_sends_close_the_connection(box: Sandbox) -> None:
    async with bare(box) as socket:
        for _ in range(130):
            await socket.send_json({"op": 1, "d": None})
        assert await close_code(socket) == 4008


async def test_a_heartbeat_is_acknowledged_before_identify(box: Sandbox) -> None:
    async with bare(box) as socket:
        assert (await receive(socket))["op"] == 10
        await socket.send_json({"op": 1, "d": None})
        assert (await receive(socket))["op"] == 11


async def test_one_compression_context_serves_the_whole_connection(box: Sandbox) -> None:
    async with bare(box, "v=10&encoding=json&compress=zlib-stream") as socket:
        inflate = zlib.decompressobj()

        async def unpack() -> Any:
            data = (await socket.receive(timeout=5)).data
            assert data.endswith(b"\x00\x00\xff\xff")
            return orjson.loads(inflate.decompress(data))

        assert (await unpack())["op"] == 10
        await socket.send_json({"op": 2, "d": {"token": box.token, "intents": 1}})
        ready = await unpack()
        assert ready["t"] == "READY"
        assert ready["s"] == 1
        assert ready["d"]["resume_gateway_url"] == box.gateway_url


async def test_resume_with_a_sequence_from_the_future_is_refused(box: Sandbox) -> None:
    async with bare(box) as socket:
        await identify(socket, box)
        session = (await receive(socket))["d"]["session_id"]
    box.state.clock.advance(1)
    async with bare(box) as socket:
        await receive(socket)
        await socket.send_json({"op": 6, "d": {"token": box.token, "session_id": session, "seq": 99}})
        # the first socket said goodbye, so its session is gone
        assert await receive(socket) == {"op": 9, "d": False}


async def test_a_session_left_too_long_cannot_be_resumed(box: Sandbox) -> None:
    async with bare(box) as socket:
        await identify(socket, box)
        session = (await receive(socket))["d"]["session_id"]
        box.drop_gateway()
        await asyncio.sleep(0.05)
        box.clock.advance(600)
        async with bare(box) as second:
            await receive(second)
            await second.send_json({"op": 6, "d": {"token": box.token, "session_id": session, "seq": 1}})
            assert await receive(second) == {"op": 9, "d": False}


async def test_identifying_too_soon_is_an_invalid_session_when_paced() -> None:
    async with running(SandboxConfig(pace_identify=True)) as box:
        async with bare(box) as socket:
            await identify(socket, box)
            assert (await receive(socket))["t"] == "READY"
        async with bare(box) as socket:
            await identify(socket, box)
            assert await receive(socket) == {"op": 9, "d": False}


async def test_gateway_bot_counts_identifies(box: Sandbox, api: Api) -> None:
    async with bare(box) as socket:
        await identify(socket, box)
        await receive(socket)
        answer = await api("GET", "/gateway/bot")
        assert answer.body["url"] == box.gateway_url
        assert answer.body["session_start_limit"]["remaining"] == 999
