"""Channels, threads, forums and webhooks over REST, with the client and as the page sees them."""

import discord
import pytest

from sandbox import permissions
from sandbox.app import Sandbox
from sandbox.person import Person, Refused
from tests.sandbox.clients import Api, StartBot


@pytest.fixture
def manager(box: Sandbox) -> None:
    """The bot may manage channels, roles and messages here."""
    guild = next(iter(box.state.guilds.values()))
    guild.roles[guild.members[box.state.bot.id].roles[0]].permissions |= permissions.from_names(
        ["manage_channels", "manage_roles", "manage_messages"]
    )


async def test_channels_are_made_changed_and_deleted(box: Sandbox, manager: None, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        guild = bot.guilds[0]
        category = await guild.create_category("Games")
        made = await guild.create_text_channel("New Console", category=category, topic="lines")
        assert (made.name, made.category_id) == ("new-console", category.id)
        await ada.wait_until(lambda: any(one["name"] == "new-console" and one["parent_id"] == str(category.id) for one in ada.channels))
        await made.edit(slowmode_delay=10, nsfw=True)
        await made.send("hello")
        await made.set_permissions(guild.default_role, send_messages=False)
        await made.delete()
        await ada.wait_until(lambda: all(one["name"] != "new-console" for one in ada.channels))
        with pytest.raises(discord.NotFound):
            await made.send("gone")


async def test_a_hidden_channel_is_not_shown(box: Sandbox, manager: None, api: Api, kim: Person, ada: Person) -> None:
    guild = next(iter(box.state.guilds.values()))
    body = {"name": "staff", "type": 0, "permission_overwrites": [
        {"id": guild.id, "type": 0, "deny": str(permissions.VIEW_CHANNEL)},
        {"id": box.state.bot.id, "type": 1, "allow": str(permissions.VIEW_CHANNEL | permissions.SEND_MESSAGES)},
    ]}  # fmt: skip
    made = await api("POST", f"/guilds/{guild.id}/channels", body)
    assert made.status == 201
    await api("POST", f"/channels/{made.body['id']}/messages", {"content": "secret"})
    await ada.wait_for(lambda message: message["content"] == "secret")
    assert kim.messages() == []
    with pytest.raises(Refused, match="not here"):
        await kim.operate("send", channel_id=made.body["id"], content="let me in")


async def test_threads_hold_messages_archive_and_wake(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        channel = bot.text_channel()
        start = await channel.send("a session")
        thread = await start.create_thread(name="Session 1", auto_archive_duration=60)
        assert thread.id == start.id
        posted = await thread.send("in the thread")
        await ada.wait_for(lambda message: message["content"] == "in the thread")
        await ada.say(str(thread.id), "me too")
        await thread.edit(archived=True)
        with pytest.raises(discord.HTTPException) as caught:
            await posted.edit(content="changed")
        assert caught.value.code == 50083
        await thread.send("awake again")
        await posted.edit(content="changed")
        with pytest.raises(discord.HTTPException) as caught:
            await start.create_thread(name="Session 2")
        assert caught.value.code == 160004
        alone = await channel.create_thread(name="Private", type=discord.ChannelType.private_thread)
        assert await alone.fetch_members()
        await thread.delete()
        with pytest.raises(discord.NotFound):
            await thread.send("gone")


async def test_forum_posts_are_threads_with_a_first_message(box: Sandbox, manager: None, start_bot: StartBot, api: Api) -> None:
    async with start_bot() as bot:
        guild = bot.guilds[0]
        made = await api("POST", f"/guilds/{guild.id}/channels", {"name": "status", "type": 15, "available_tags": [{"name": "up"}]})
        forum = await guild.fetch_channel(int(made.body["id"]))
        assert isinstance(forum, discord.ForumChannel)
        thread, message = await forum.create_thread(name="Luanti", content="running", applied_tags=forum.available_tags)
        assert thread.id == message.id
        assert [tag.name for tag in thread.applied_tags] == ["up"]
        assert (await api("POST", f"/channels/{made.body['id']}/messages", {"content": "x"})).body["code"] == 50008


async def test_webhooks_speak_with_their_own_name(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        channel = bot.text_channel()
        hook = await channel.create_webhook(name="Console")
        view = discord.ui.View(timeout=None)
        view.add_item(discord.ui.Button(label="Stop", custom_id="stop"))
        sent = await hook.send("line 1", username="Luanti", view=view, wait=True)
        await sent.edit(content="line 1, line 2")
        seen = await ada.wait_for(lambda message: message["content"] == "line 1, line 2")
        assert (seen["author"]["username"], seen["webhook_id"]) == ("Luanti", str(hook.id))
        await sent.delete()
        await ada.wait_until(lambda: ada.messages("general") == [])
        assert [one.id for one in await channel.webhooks()] == [hook.id]
        with pytest.raises(discord.HTTPException):
            await channel.create_webhook(name="My Discord")
        await hook.delete()
        with pytest.raises(discord.NotFound):
            await hook.send("gone")


async def test_a_wrong_webhook_token_is_refused(api: Api, general: str) -> None:
    hook = (await api("POST", f"/channels/{general}/webhooks", {"name": "x"})).body
    refused = await api("POST", f"/webhooks/{hook['id']}/wrong", {"content": "x"})
    assert (refused.status, refused.body["code"]) == (401, 50027)
    assert (await api("POST", "/webhooks/1/wrong", {"content": "x"})).body["code"] == 10015


async def test_wrong_channels_are_refused(manager: None, box: Sandbox, api: Api, general: str) -> None:
    guild = next(iter(box.state.guilds))
    assert (await api("POST", f"/guilds/{guild}/channels", {"name": "x" * 101})).body["errors"]["name"]
    assert (await api("POST", f"/guilds/{guild}/channels", {"name": "x", "type": 99})).body["errors"]["type"]
    assert (await api("PATCH", f"/channels/{general}", {"topic": "x" * 1025})).body["errors"]["topic"]
    assert (await api("PATCH", f"/channels/{general}", {"parent_id": "1"})).body["errors"]["parent_id"]
    assert (await api("POST", f"/channels/{general}/threads", {"name": "x", "type": 11, "auto_archive_duration": 61})).body["errors"]


async def test_members_and_roles(box: Sandbox, manager: None, start_bot: StartBot, ada: Person, kim: Person) -> None:
    async with start_bot() as bot:
        guild = bot.guilds[0]
        member = await guild.fetch_member(int(kim.me["id"]))
        moderator = next(role for role in guild.roles if role.name == "Moderator")
        own = next(role for role in guild.roles if role.is_bot_managed())
        await member.add_roles(moderator)
        await ada.wait_until(lambda: any(one["name"] == "Kim" and str(moderator.id) in one["role_ids"] for one in ada.people))
        await member.remove_roles(moderator)
        with pytest.raises(discord.Forbidden):
            await member.add_roles(own)
        await guild.me.edit(nick="Eagle")
        with pytest.raises(discord.NotFound):
            await guild.fetch_member(1)
