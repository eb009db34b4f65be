"""Rate limits with Discord's numbers, visible and hidden, and how discord.py meets them."""

import time

import discord
import pytest
from aiohttp import ClientSession

from sandbox import limits
from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.permissions import MANAGE_CHANNELS
from sandbox.person import Person
from tests.sandbox.clients import Api, StartBot


async def test_posts_are_counted_in_the_headers_and_refused_with_via(box: Sandbox, api: Api, general: str) -> None:
    for left in (4, 3, 2, 1, 0):
        answer = await api("POST", f"/channels/{general}/messages", {"content": "x"})
        assert answer.status == 200
        assert answer.headers["X-RateLimit-Limit"] == "5"
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
        assert 0 < float(answer.headers["X-RateLimit-Reset-After"]) <= 5
    bucket = answer.headers["X-RateLimit-Bucket"]
    refused = await api("POST", f"/channels/{general}/messages", {"content": "x"})
    assert refused.status == 429
    assert refused.headers["Content-Type"] == "application/json"
    assert refused.headers["Via"]
    assert refused.headers["X-RateLimit-Scope"] == "user"
    assert refused.headers["X-RateLimit-Bucket"] == bucket
    assert refused.body["global"] is False
    assert 0 < refused.body["retry_after"] <= 5
    assert box.rate_limit_hits == 1
    box.clock.advance(5)
    assert (await api("POST", f"/channels/{general}/messages", {"content": "x"})).status == 200


async def test_the_client_paces_itself_by_the_headers(box: Sandbox, start_bot: StartBot) -> None:
    async with start_bot() as bot:
        channel = bot.text_channel()
        began = time.monotonic()
        for number in range(7):
            await channel.send(str(number))
        assert 4.5 < time.monotonic() - began < 8
        assert box.rate_limit_hits == 0
        assert [message.content async for message in channel.history(limit=3)] == ["6", "5", "4"]


async def test_a_rename_beyond_two_in_ten_minutes_is_refused_without_headers(box: Sandbox, api: Api, start_bot: StartBot) -> None:
    guild = next(iter(box.state.guilds.values()))
    guild.roles[guild.members[box.state.bot.id].roles[0]].permissions |= MANAGE_CHANNELS
    async with start_bot(max_ratelimit_timeout=30) as bot:
        channel = bot.text_channel("servers")
        await channel.edit(topic="one")
        await channel.edit(topic="two")
        with pytest.raises(discord.RateLimited) as caught:
            await channel.edit(topic="three")
        assert caught.value.retry_after > 590
        await channel.edit(slowmode_delay=5)
    refused = await api("PATCH", f"/channels/{channel.id}", {"name": "other"})
    assert refused.status == 429
    assert "X-RateLimit-Limit" not in refused.headers


async def test_edits_of_messages_older_than_an_hour_have_their_own_hidden_limit(box: Sandbox, api: Api, general: str) -> None:
    sent = (await api("POST", f"/channels/{general}/messages", {"content": "x"})).body["id"]
    path = f"/channels/{general}/messages/{sent}"
    for _ in range(4):
        assert (await api("PATCH", path, {"content": "y"})).status == 200
    box.clock.advance(3601)
    for _ in range(3):
        assert (await api("PATCH", path, {"content": "z"})).status == 200
    refused = await api("PATCH", path, {"content": "z"})
    assert (refused.status, refused.body["code"]) == (429, 30046)
    assert refused.headers["X-RateLimit-Remaining"] != "0"
    assert refused.body["retry_after"] <= 6


async def test_webhooks_of_a_channel_share_thirty_a_minute(box: Sandbox, api: Api, general: str) -> None:
    hooks = [(await api("POST", f"/channels/{general}/webhooks", {"name": f"hook {number}"})).body for number in range(2)]
    sent = 0
    for _ in range(20):
        for hook in hooks:
            answer = await api("POST", f"/webhooks/{hook['id']}/{hook['token']}", {"content": "x"}, headers={"Authorization": ""})
            if answer.status == 429:
                assert sent == 30
                assert answer.body["retry_after"] > 5
                return
            sent += 1
            assert answer.status == 204
        box.clock.advance(1)
    pytest.fail(f"{sent} posts went through")


async def test_interaction_answers_are_exempt_from_the_global_limit(box: Sandbox, api: Api, general: str) -> None:
    statuses = [(await api("GET", f"/channels/{general}")).status for _ in range(60)]
    assert statuses.count(429) >= 1
    refused = await api("GET", f"/channels/{general}") if statuses[-1] != 429 else await api("GET", "/users/@me")
    if refused.status == 429:
        assert refused.body["global"] is True
        assert refused.headers["X-RateLimit-Global"] == "true"
        assert refused.headers["X-RateLimit-Scope"] == "global"
    callback = await api("POST", "/interactions/1/x/callback", {"type": 5})
    assert (callback.status, callback.body["code"]) == (404, 10062)


async def test_without_strictness_nothing_is_refused() -> None:
    async with running(SandboxConfig(strict=False)) as box, ClientSession() as session:
        api = Api(box, session)
        channel = next(one.id for one in box.state.channels())
        assert {(await api("POST", f"/channels/{channel}/messages", {"content": "x"})).status for _ in range(60)} == {200}


async def test_reactions_bulk_deletes_and_deletes_are_counted(box: Sandbox, api: Api, general: str) -> None:
    sent = (await api("POST", f"/channels/{general}/messages", {"content": "x"})).body["id"]
    first = await api("PUT", f"/channels/{general}/messages/{sent}/reactions/%F0%9F%91%8D/@me")
    assert (first.status, first.headers["X-RateLimit-Limit"]) == (204, "1")
    assert (await api("DELETE", f"/channels/{general}/messages/{sent}/reactions/%F0%9F%91%8D/@me")).status == 429
    box.clock.advance(1)
    assert (await api("DELETE", f"/channels/{general}/messages/{sent}/reactions/%F0%9F%91%8D/@me")).status == 204
    deleted = await api("DELETE", f"/channels/{general}/messages/{sent}")
    assert (deleted.status, deleted.headers["X-RateLimit-Limit"]) == (204, "5")


async def test_ten_thousand_invalid_requests_are_a_ban(box: Sandbox, api: Api) -> None:
    for _ in range(limits.INVALID_REQUESTS):
        box.world.limiter.invalid()
    banned = await api("GET", "/users/@me")
    assert banned.status == 429
    assert "Via" not in banned.headers
    box.clock.advance(600)
    assert (await api("GET", "/users/@me")).status == 200


async def test_a_planned_refusal_is_answered_once(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        box.refuse("POST", r"/channels/\d+/messages$", 403, 50013)
        with pytest.raises(discord.Forbidden) as caught:
            await bot.text_channel().send("no")
        assert caught.value.code == 50013
        box.refuse("POST", r"/channels/\d+/messages$", 502)
        await bot.text_channel().send("after a retry")
        await ada.wait_for(lambda message: message["content"] == "after a retry")
