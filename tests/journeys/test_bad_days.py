"""What the bot does when Discord, a node or a person misbehaves."""

from bot.app import Bot
from sandbox.person import Person
from tests.fakes.node import FakeNode
from tests.journeys.stage import Stage, until
from tests.journeys.test_power import says


def puts(stage: Stage) -> int:
    """How often the command tree was sent."""
    return sum(one.method == "PUT" and one.path_template.endswith("/commands") for one in stage.box.requests)


async def test_a_node_that_hangs_is_answered_at_once_and_told_in_the_answer(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    node.hang.clear()
    stop = await ada.run("server stop", "general", server="luanti")
    assert "Stopping" in ada.text_of(await ada.answer(stop))
    await ada.answer(stop, says(ada, "was not stopped", "n1"), timeout=40)
    node.hang.set()


async def test_commands_that_discord_forgot_are_sent_again(stage: Stage, ada: Person) -> None:
    async with stage.bot() as bot:
        assert puts(stage) == 1
        await bot.client.http.bulk_upsert_global_commands(bot.client.application_id or 0, [])
    assert puts(stage) == 2
    async with stage.bot() as bot:
        assert puts(stage) == 3
        await ada.wait_until(lambda: len(ada.commands) == len(bot.client.tree.get_commands()))


async def test_a_deleted_card_is_forgotten(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti")
    card = await ada.answer(await ada.run("server info", "status", server="luanti"))
    while not await bot.services.guilds.cards():
        await bot.client.clock.sleep(0.02)
    await bot.client.get_partial_messageable(int(card["channel_id"])).get_partial_message(int(card["id"])).delete()
    await ada.run("server start", "general", server="luanti")
    for _ in range(150):
        if not await bot.services.guilds.cards():
            break
        await bot.client.clock.sleep(0.1)
    assert await bot.services.guilds.cards() == []


async def test_an_answer_that_somebody_deleted_does_not_hold_anything_up(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti")
    server.step = 2.0
    answer = await ada.answer(await ada.run("server start", "general", server="luanti"))
    await bot.client.get_partial_messageable(int(answer["channel_id"])).get_partial_message(int(answer["id"])).delete()
    await until(lambda: server.state == "running", "the start")
    await ada.answer(await ada.run("server stop", "general", server="luanti"), says(ada, "offline"), timeout=15)


async def test_a_story_says_so_when_the_bot_is_stopped_in_the_middle(stage: Stage, node: FakeNode, ada: Person) -> None:
    async with stage.bot() as bot:
        server = await stage.server(bot, node, "luanti")
        server.step = 20
        start = await ada.run("server start", "general", server="luanti")
        await ada.answer(start, says(ada, "is starting"))
    await ada.answer(start, says(ada, "Aerie restarts"))


async def test_discord_that_is_down_is_tried_again(stage: Stage) -> None:
    stage.box.refuse("GET", "/users/@me", 503, times=2)
    async with stage.bot(wait=False) as bot:
        await until(lambda: bot.discord.ready, "the second try", 40)


async def test_a_dropped_gateway_is_taken_up_again(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    stage.box.drop_gateway(resumable=False)
    await ada.wait_until(lambda: ada.bot["online"], timeout=20)
    await until(lambda: bot.client.is_ready(), "the bot", 20)
    assert puts(stage) == 1
    for _ in range(50):
        try:
            answer = await ada.answer(await ada.run("server list", "general"), timeout=3)
        except AssertionError:
            continue
        assert "luanti" in ada.text_of(answer)
        return
    raise AssertionError("the bot never answered again")


async def test_an_interaction_delivered_twice_sends_one_signal(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti")
    stage.box.deliver_twice(1)
    await ada.answer(await ada.run("server start", "general", server="luanti"), says(ada, "running"), timeout=15)
    assert server.signals == ["start"]


async def test_names_full_of_markup_do_no_harm(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "**@everyone** `<@1>`", "running")
    answer = await ada.answer(await ada.run("server info", "general", server="**@everyone** `<@1>`"))
    assert answer["mention_everyone"] is False
    assert answer["mentions"] == []
    assert "@everyone" not in ada.text_of(answer)
