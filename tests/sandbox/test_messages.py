"""Messages: mentions, replies, files, edits, pins, reactions, history, as the client sends them and as people see them."""

import io

import discord
import pytest
from aiohttp import ClientSession

from sandbox.app import Sandbox
from sandbox.person import Person, Refused
from tests.sandbox.clients import Api, StartBot


async def test_mentions_honour_what_was_allowed(box: Sandbox, api: Api, general: str, ada: Person, kim: Person) -> None:
    everyone = f"@everyone <@{ada.me['id']}> <@{kim.me['id']}> `<@{ada.me['id']}>`"
    guild = next(iter(box.state.guilds.values()))
    guild.roles[guild.members[box.state.bot.id].roles[0]].permissions |= 1 << 17
    loud = (await api("POST", f"/channels/{general}/messages", {"content": everyone})).body
    assert [one["id"] for one in loud["mentions"]] == [ada.me["id"], kim.me["id"]]
    assert loud["mention_everyone"] is True
    quiet = (await api("POST", f"/channels/{general}/messages", {"content": everyone, "allowed_mentions": {"parse": []}})).body
    assert (quiet["mentions"], quiet["mention_everyone"]) == ([], False)
    one = (await api("POST", f"/channels/{general}/messages", {"content": everyone, "allowed_mentions": {"users": [kim.me["id"]]}})).body
    assert [user["id"] for user in one["mentions"]] == [kim.me["id"]]
    shown = {"flags": 1 << 15, "components": [{"type": 10, "content": f"hello <@{kim.me['id']}>"}]}
    assert [user["id"] for user in (await api("POST", f"/channels/{general}/messages", shown)).body["mentions"]] == [kim.me["id"]]


async def test_everyone_needs_its_permission(api: Api, general: str, ada: Person, kim: Person) -> None:
    assert (await api("POST", f"/channels/{general}/messages", {"content": "@everyone"})).body["mention_everyone"] is False
    said = await ada.say("general", "@here listen")
    assert (await kim.wait_for(lambda message: message["id"] == said))["mention_everyone"] is True
    said = await kim.say("general", "@here me too")
    assert (await kim.wait_for(lambda message: message["id"] == said))["mention_everyone"] is False


async def test_the_same_nonce_posts_once(api: Api, general: str, ada: Person) -> None:
    body = {"content": "once", "nonce": "n1", "enforce_nonce": True}
    first, second = [(await api("POST", f"/channels/{general}/messages", body)).body["id"] for _ in range(2)]
    assert first == second
    assert len(ada.messages("general")) == 1


async def test_files_are_served_and_kept_or_dropped_by_edits(box: Sandbox, start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        embed = discord.Embed(title="Map").set_image(url="attachment://map.png")
        sent = await bot.text_channel().send(
            "files",
            embed=embed,
            files=[discord.File(io.BytesIO(b"one two"), "my log.txt"), discord.File(io.BytesIO(b"\x89PNG"), "map.png")],
        )
        assert [item.filename for item in sent.attachments] == ["my_log.txt"]
        assert sent.embeds[0].image.url is not None
        assert sent.embeds[0].image.url.startswith(box.url)
        assert await sent.attachments[0].read() == b"one two"
        async with ClientSession() as session, session.get(sent.embeds[0].image.url) as answer:
            assert await answer.read() == b"\x89PNG"
            assert answer.headers["Content-Type"] == "image/png"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
        edited = await sent.edit(content="same files")
        assert len(edited.attachments) == 1
        added = await edited.edit(attachments=[*edited.attachments, discord.File(io.BytesIO(b"x"), "new.bin")])
        assert [item.filename for item in added.attachments] == ["my_log.txt", "new.bin"]
        url = added.attachments[0].url
        bare = await added.edit(attachments=[])
        assert bare.attachments == []
        async with ClientSession() as session, session.get(url) as answer:
            assert answer.status == 404
        seen = await ada.wait_for(lambda message: message["content"] == "same files" and not message["attachments"])
        assert seen["edited_timestamp"] is not None


async def test_a_reply_points_at_its_message(start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        said = await ada.say("general", "a question")
        question = await bot.text_channel().fetch_message(int(said))
        await question.reply("an answer", mention_author=False)
        seen = await ada.wait_for(lambda message: message["content"] == "an answer")
        assert seen["referenced_message"]["content"] == "a question"
        assert seen["mentions"] == []
        await question.reply("a ringing answer")
        assert (await ada.wait_for(lambda message: message["content"] == "a ringing answer"))["mentions"][0]["id"] == ada.me["id"]


async def test_a_message_can_become_a_layout_but_never_go_back(api: Api, general: str) -> None:
    sent = (await api("POST", f"/channels/{general}/messages", {"content": "old"})).body["id"]
    layout = {"content": None, "embeds": [], "flags": 1 << 15, "components": [{"type": 10, "content": "new"}]}
    path = f"/channels/{general}/messages/{sent}"
    assert (await api("PATCH", path, {"flags": 1 << 15, "components": layout["components"]})).body["errors"]["content"]
    changed = await api("PATCH", path, layout)
    assert (changed.status, changed.body["content"], changed.body["flags"]) == (200, "", 1 << 15)
    assert (await api("PATCH", path, {"flags": 0})).body["errors"]["flags"]
    assert (await api("PATCH", path, {"components": [{"type": 10, "content": "newer"}]})).body["components"][0]["content"] == "newer"


async def test_only_own_messages_can_be_edited(api: Api, general: str, ada: Person) -> None:
    said = await ada.say("general", "mine")
    refused = await api("PATCH", f"/channels/{general}/messages/{said}", {"content": "yours"})
    assert (refused.status, refused.body["code"]) == (403, 50005)
    assert (await api("DELETE", f"/channels/{general}/messages/{said}")).body["code"] == 50013


async def test_pins_and_reactions(start_bot: StartBot, ada: Person) -> None:
    async with start_bot() as bot:
        channel = bot.text_channel()
        sent = await channel.send("status")
        await sent.pin()
        assert [message.id async for message in channel.pins()] == [sent.id]
        await sent.unpin()
        assert [message.id async for message in channel.pins()] == []
        await sent.add_reaction("✅")
        status = await ada.wait_for(lambda message: bool(message.get("reactions")))
        await ada.react(status, "✅")
        assert (await ada.wait_for(lambda message: (message.get("reactions") or [{}])[0].get("count") == 2))["reactions"][0]["me"] is True
        fetched = await channel.fetch_message(sent.id)
        assert fetched.reactions[0].me
        assert {user.name async for user in fetched.reactions[0].users()} == {"Aerie", "Ada"}
        with pytest.raises(discord.NotFound):
            await sent.add_reaction("not an emoji")
        await ada.react(status, "✅")
        await ada.wait_for(lambda message: bool(message.get("reactions")) and message["reactions"][0]["count"] == 1)


async def test_many_messages_go_at_once(box: Sandbox, api: Api, general: str, ada: Person) -> None:
    guild = next(iter(box.state.guilds.values()))
    guild.roles[guild.members[box.state.bot.id].roles[0]].permissions |= 1 << 13
    ids = [await ada.say("general", str(number)) for number in range(3)]
    assert (await api("POST", f"/channels/{general}/messages/bulk-delete", {"messages": ids[:1]})).body["errors"]["messages"]
    box.clock.advance(2)
    assert (await api("POST", f"/channels/{general}/messages/bulk-delete", {"messages": ids})).status == 204
    await ada.wait_until(lambda: ada.messages("general") == [])
    old = await ada.say("general", "old")
    box.clock.advance(15 * 24 * 3600)
    assert (await api("POST", f"/channels/{general}/messages/bulk-delete", {"messages": [old, ids[0]]})).body["code"] == 50034


async def test_history_comes_in_pages(start_bot: StartBot, api: Api, general: str, ada: Person) -> None:
    ids = [await ada.say("general", str(number)) for number in range(12)]
    assert [message["id"] for message in (await api("GET", f"/channels/{general}/messages?limit=3")).body] == ids[:-4:-1]
    assert [message["id"] for message in (await api("GET", f"/channels/{general}/messages?limit=2&after={ids[3]}")).body] == [
        ids[5],
        ids[4],
    ]
    around = [message["id"] for message in (await api("GET", f"/channels/{general}/messages?limit=5&around={ids[6]}")).body]
    assert around == [ids[8], ids[7], ids[6], ids[5], ids[4]]
    assert [message["id"] for message in await ada.history("general", before=ids[5], limit=2)] == ids[3:5]
    async with start_bot() as bot:
        assert len([message async for message in bot.text_channel().history(limit=None)]) == 12


async def test_rest_hides_content_as_the_gateway_does(api: Api, general: str, ada: Person) -> None:
    said = await ada.say("general", "private talk")
    assert (await api("GET", f"/channels/{general}/messages/{said}")).body["content"] == ""


async def test_a_person_may_not_say_what_a_client_would_not_send(ada: Person) -> None:
    with pytest.raises(Refused, match="2000 characters"):
        await ada.say("general", "x" * 2001)
    with pytest.raises(Refused, match="empty message"):
        await ada.say("general", "  ")
    with pytest.raises(Refused, match="not here any more"):
        await ada.say("general", "x", reply_to="1")


async def test_a_direct_message_reaches_one_person(start_bot: StartBot, ada: Person, kim: Person) -> None:
    async with start_bot() as bot:
        user = await bot.fetch_user(int(ada.me["id"]))
        await user.send("for you alone")
        seen = await ada.wait_for(lambda message: message["content"] == "for you alone")
        assert kim.messages() == []
        await ada.say(seen["channel_id"], "thank you")
        await ada.wait_until(lambda: any(message.content == "thank you" for message in bot.heard))


async def test_a_poll_is_shown(start_bot: StartBot, ada: Person) -> None:
    import datetime

    async with start_bot() as bot:
        poll = discord.Poll(question="Restart?", duration=datetime.timedelta(hours=2))
        poll.add_answer(text="Yes")
        poll.add_answer(text="No", emoji="🚫")
        await bot.text_channel().send(poll=poll)
        seen = await ada.wait_for(lambda message: bool(message.get("poll")))
        assert [answer["poll_media"]["text"] for answer in seen["poll"]["answers"]] == ["Yes", "No"]
