"""Power from Discord: commands, cards and buttons through the sandbox, the bot and a node over real HTTP."""

import asyncio
from typing import Any

from aiohttp import ClientSession

from bot.app import Bot
from sandbox.person import Person
from tests.fakes.node import FakeNode, fake_node
from tests.journeys.stage import Stage, until


def says(person: Person, *words: str) -> Any:
    return lambda message: all(word.lower() in person.text_of(message).lower() for word in words)


async def test_a_list_shows_what_the_asker_may_see(stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    await stage.server(bot, node, "freeciv")
    answer = await ada.answer(await ada.run("server list", "general"))
    text = ada.text_of(answer)
    assert "luanti** · 🟢 Running" in text
    assert "freeciv** · ⚫ Offline" in text
    assert "127.0.0.1:30000" in text
    assert answer["ephemeral_for"] == ada.me["id"]
    assert "You see no game servers here" in cleo.text_of(await cleo.answer(await cleo.run("server list", "general")))


async def test_a_start_turns_the_card_to_running(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti")
    card = await ada.answer(await ada.run("server info", "status", server="luanti"))
    assert says(ada, "luanti", "Offline", "127.0.0.1:30000")(card)
    answer = await ada.answer(await ada.run("server start", "general", server="luanti"), says(ada, "is running"), timeout=10)
    assert answer["ephemeral_for"] is None
    await ada.wait_for(lambda m: m["id"] == card["id"] and says(ada, "🟢 Running", "2: ann, bob", "128 MiB of 512 MiB")(m), 12)
    open_ones = [button["label"] for button in ada.buttons(ada.message(card["id"])) if not button.get("disabled")]
    assert open_ones == ["Stop", "Restart", "Console", "Ask for a restart"]


async def test_a_restart_edits_its_own_answer_to_the_end(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    server.step = 2.6
    seen: list[str] = []

    def watch(message: Any) -> bool:
        if (text := ada.text_of(message)) not in seen:
            seen.append(text)
        return "running again" in text

    asked = await ada.run("server restart", "general", server="luanti")
    await ada.answer(asked, watch, timeout=20)
    assert len(stage.box.acknowledged_after) == 1
    assert "Restarting" in seen[0]
    assert any("is stopping" in text for text in seen)
    assert any("is starting" in text for text in seen)
    assert "running again, " in seen[-1]


async def test_a_start_that_fails_says_why(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti")
    server.fails = "The port 30000 is already taken."
    answer = await ada.answer(await ada.run("server start", "general", server="luanti"), says(ada, "was not started"), timeout=10)
    assert "The port 30000 is already taken." in ada.text_of(answer)


async def test_a_node_that_refuses_is_told_to_the_asker_alone(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    answer = await ada.answer(await ada.run("server start", "general", server="luanti"))
    assert "already running" in ada.text_of(answer)
    assert answer["ephemeral_for"] == ada.me["id"]


async def test_a_member_is_refused_with_the_permission_and_who_can_grant_it(
    stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person
) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    answer = await cleo.answer(await cleo.run("server stop", "general", server="luanti"))
    text = cleo.text_of(answer)
    assert "control.stop" in text
    assert f"<@{ada.me['id']}> can grant it" in text
    assert answer["ephemeral_for"] == cleo.me["id"]
    assert server.signals == []


async def test_a_grant_opens_what_it_names_and_nothing_more(stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    await stage.server(bot, node, "freeciv", "running")
    assert await cleo.autocomplete("server stop", "server", "", "general") == []
    await ada.answer(
        await ada.run("access grant", "general", who=cleo.me["id"], level="operator", server="luanti"), says(ada, "is now operator")
    )
    offered = await cleo.autocomplete("server stop", "server", "", "general")
    assert [choice["name"] for choice in offered] == ["luanti · 🟢 Running"]
    assert [choice["value"] for choice in offered] == [stage.servers["luanti"].short]
    assert await cleo.autocomplete("console send", "server", "lu", "general") == []
    await cleo.answer(await cleo.run("server stop", "general", server=offered[0]["value"]), says(cleo, "offline"), timeout=10)
    assert "operator of **luanti**" in ada.text_of(await ada.answer(await ada.run("access list", "general")))
    await ada.answer(await ada.run("access revoke", "general", who=cleo.me["id"], server="luanti"), says(ada, "no longer granted"))
    assert await cleo.autocomplete("server stop", "server", "", "general") == []


async def test_an_unknown_server_is_answered_with_near_names(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti")
    text = ada.text_of(await ada.answer(await ada.run("server info", "general", server="luantj")))
    assert "luanti" in text
    assert "no server called" in text


async def test_a_kill_asks_first_and_overtakes_a_start(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti")
    server.step = 5
    start = await ada.run("server start", "general", server="luanti")
    await ada.answer(start)
    question = await ada.answer(await ada.run("server kill", "general", server="luanti"))
    assert server.signals == ["start"]
    press = await ada.press(question, "Kill luanti")
    await ada.answer(press, says(ada, "killed"), timeout=10)
    await ada.answer(start, says(ada, "was not started", "kill overtook it"), timeout=10)
    assert server.signals == ["start", "kill"]


async def test_a_card_pressed_after_a_restart_of_the_bot_still_works(stage: Stage, node: FakeNode, ada: Person) -> None:
    async with stage.bot() as bot:
        server = await stage.server(bot, node, "luanti", "running")
        card = await ada.answer(await ada.run("server info", "status", server="luanti"))
    puts = [one for one in stage.box.requests if one.method == "PUT" and one.path_template.endswith("/commands")]
    assert len(puts) == 1
    async with stage.bot() as bot:
        press = await ada.press(card, "Stop")
        answer = await ada.answer(press, says(ada, "offline"), timeout=10)
        assert answer["ephemeral_for"] == ada.me["id"]
        assert server.signals == ["stop"]
        await ada.wait_for(lambda m: m["id"] == card["id"] and says(ada, "⚫ Offline")(m), 12)
    puts = [one for one in stage.box.requests if one.method == "PUT" and one.path_template.endswith("/commands")]
    assert len(puts) == 1, "the commands were sent again although nothing changed"


async def test_two_presses_at_once_are_both_answered(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti")
    server.step = 1.0
    card = await ada.answer(await ada.run("server info", "status", server="luanti"))
    first, second = await asyncio.gather(ada.press(card, "Start"), ada.press(card, "Start"))
    texts = {ada.text_of(await ada.answer(one, timeout=10)) for one in (first, second)}
    assert any("already" in text for text in texts)
    await until(lambda: server.state == "running", "the start")
    assert server.signals == ["start"]


async def test_a_node_that_is_down_is_said_on_the_card_and_in_the_answer(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    card = await ada.answer(await ada.run("server info", "status", server="luanti"))
    await node.down()
    await ada.wait_for(lambda m: m["id"] == card["id"] and says(ada, "Node down")(m), 15)
    answer = await ada.answer(await ada.run("server stop", "general", server="luanti"), says(ada, "refused the connection"), timeout=10)
    assert "n1" in ada.text_of(answer)
    await node.up()
    await ada.wait_for(lambda m: m["id"] == card["id"] and says(ada, "🟢 Running")(m), 30)


async def test_a_node_lost_in_the_middle_ends_with_the_state_it_comes_back_with(
    stage: Stage, bot: Bot, node: FakeNode, ada: Person
) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    server.step = 3.0
    stop = await ada.run("server stop", "general", server="luanti")
    await ada.answer(stop)
    await node.down()
    await ada.answer(stop, says(ada, "does not answer", "waiting for the node"), timeout=15)
    await until(lambda: server.state == "offline", "the stop")
    await node.up()
    await ada.answer(stop, says(ada, "offline, stopped"), timeout=30)


async def test_stock_wings_tells_a_restart_too(stage: Stage, bot: Bot, ada: Person) -> None:
    async with fake_node(stage.token, ours=False) as wings:
        server = await stage.server(bot, wings, "luanti", "running")
        server.step = 0.5
        await ada.answer(await ada.run("server restart", "general", server="luanti"), says(ada, "running again"), timeout=15)


async def test_the_console_is_read_and_typed_at_for_the_asker_alone(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    server.lines += ["\x1b[31mone\x1b[0m", "two ```"]
    answer = await ada.answer(await ada.run("console tail", "general", server="luanti"))
    assert "one\ntwo" in ada.text_of(answer)
    await ada.answer(await ada.run("console send", "general", server="luanti", line="say hi"), says(ada, "Sent", "say hi"))
    card = await ada.answer(await ada.run("server info", "status", server="luanti"))
    shown = await ada.answer(await ada.press(card, "Console"))
    form = await ada.wait_for_modal(interaction_id=await ada.press(shown, "Send command"))
    await ada.answer(await ada.submit({"Command": "list"}, form), says(ada, "Sent"))
    assert server.typed == ["say hi", "list"]


async def test_buttons_and_forms_of_another_version_are_answered_politely(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    card = await ada.answer(await ada.run("server info", "status", server="luanti"))
    message = next(channel.messages[card["id"]] for channel in stage.box.state.channels() if channel.id == card["channel_id"])
    button = next(item for item in message.components[0]["components"][-1]["components"] if item["label"] == "Stop")
    button["custom_id"] = "ae0:stop:12345678"
    press = await ada.operate("press", channel_id=card["channel_id"], message_id=card["id"], custom_id="ae0:stop:12345678")
    assert "older version" in ada.text_of(await ada.answer(press["interaction_id"]))
    assert server.signals == []


async def test_rest_answers_while_discord_is_down_or_refuses_the_token(stage: Stage, caplog: Any) -> None:
    async with stage.bot(wait=False, token="wrong-token") as bot:
        await until(lambda: bot.discord.state == "refused", "the refusal")
        assert "does not accept the bot's token" in caplog.text
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{bot.port}/health") as answer:
            assert answer.status == 200


async def test_the_guilds_owner_is_known_without_a_command(stage: Stage, bot: Bot, ada: Person) -> None:
    guild = await bot.services.guilds.get(int(ada.guild["id"]))
    assert guild is not None
    assert str(guild.owner_id) == ada.me["id"]
