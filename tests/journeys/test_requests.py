"""Restart requests from Discord: asked, voted, warned, restarted, through the sandbox, the bot and a scripted node; and their bad days.

Deadlines and countdowns pass by leaps of the calendar, never by waiting for them.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.app import Bot
from core.actor import Actor
from core.vocabulary import ActorKind
from sandbox.person import Json, Person
from tests.fakes.node import FakeNode, FakeServer
from tests.journeys.leaping import LeapingClock
from tests.journeys.stage import SYSTEM, Stage, until
from tests.journeys.test_power import says

WAIT = 30.0  # s, generous: the machine is busy


@pytest.fixture
def clock() -> LeapingClock:
    return LeapingClock()


@pytest.fixture
async def bot(stage: Stage, clock: LeapingClock) -> AsyncIterator[Bot]:
    async with stage.bot(clock=clock) as running:
        yield running


@pytest.fixture
async def ben(stage: Stage) -> AsyncIterator[Person]:
    async with Person.connect(stage.box.url, "Ben") as person:
        yield person


async def open_stage(stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, *viewers: Person) -> FakeServer:
    """A running server that the viewers may see, and rules of two votes."""
    node.now = clock.now
    game = await stage.server(bot, node, "luanti", "running")
    for viewer in viewers:
        granted = await ada.run("access grant", "general", who=viewer.me["id"], level="viewer")
        await ada.answer(granted, says(ada, "is now viewer"), timeout=WAIT)
    await ada.answer(
        await ada.run("settings requests", "general", quorum=2, countdown="60 30 10"), says(ada, "Votes needed", "2"), timeout=WAIT
    )
    return game


async def ask(person: Person) -> Json:
    """Ask in #general; answers the message that is voted on."""
    asked = await person.run("request restart", "general", server="luanti", reason="it lags")
    await person.answer(asked, says(person, "Asked for a restart", "first of 2"), timeout=WAIT)
    return await person.wait_for(says(person, "Restart luanti?", "1 of 2"), WAIT, channel="general")


async def shows(person: Person, message: Json, *words: str) -> Json:
    """The same message, once it says so."""
    return await person.wait_for(lambda m: m["id"] == message["id"] and says(person, *words)(m), WAIT)


async def recorded(bot: Bot) -> None:
    """The bot has written down which message it posted."""
    for _ in range(int(WAIT / 0.05)):
        if (await bot.services.request_desk.due())[0].message_id is not None:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the message was not recorded")


def labels(person: Person, message: Json) -> list[str]:
    return [button["label"] for button in person.buttons(person.message(message["id"]))]


async def count_down(clock: LeapingClock, game: FakeServer) -> None:
    """From the first warning to the signal, leap by leap; a busy machine may let two warnings become one."""
    await until(lambda: bool(game.typed), "the first warning", WAIT)
    for seconds in (30, 20, 10):
        given = len(game.typed)
        clock.leap(seconds)
        await until(lambda: len(game.typed) > given or bool(game.signals), "a warning or the signal", WAIT)  # noqa: B023 — awaited here
    await until(lambda: bool(game.signals), "the restart", WAIT)


def warnings(game: FakeServer) -> list[int]:
    """Seconds that were told in the game."""
    return [int(line.removeprefix("say This server restarts in ").split(" ")[0]) for line in game.typed]


async def test_a_members_request_passes_warns_and_restarts_in_one_message(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, ben: Person, cleo: Person
) -> None:
    game = await open_stage(stage, bot, node, clock, ada, ben, cleo)
    message = await ask(cleo)
    assert says(cleo, "Why", "it lags", "Votes", "Cleo")(message)
    assert labels(cleo, message) == ["Vote for a restart", "Withdraw my vote", "Cancel request", "Approve", "Veto"]
    again = await cleo.answer(await cleo.press(message, "Vote for a restart"), says(cleo, "voted for this already"), timeout=WAIT)
    assert again["ephemeral_for"] == cleo.me["id"]
    refused = await cleo.answer(await cleo.press(message, "Approve"), says(cleo, "control.restart"), timeout=WAIT)
    assert refused["ephemeral_for"] == cleo.me["id"]
    await ben.press(message, "Vote for a restart")
    await shows(cleo, message, "luanti is about to restart", "Cleo, Ben")
    await count_down(clock, game)
    done = await shows(cleo, message, "luanti restarted", "Restarted, ")
    assert labels(cleo, done) == []
    assert game.signals == ["restart"]
    assert warnings(game) == sorted(warnings(game), reverse=True)
    assert [m["id"] for m in ada.messages("general") if says(ada, "luanti restarted")(m)] == [message["id"]]
    late = await cleo.answer(await cleo.run("request restart", "general", server="luanti"), says(cleo, "a short while ago"), timeout=WAIT)
    assert "<t:" in cleo.text_of(late)
    assert says(cleo, "luanti restarted")(await cleo.answer(await cleo.run("request list", "general"), says(cleo, "luanti"), timeout=WAIT))


async def test_a_bot_restarted_in_the_middle_goes_on_and_its_buttons_work(
    stage: Stage, node: FakeNode, clock: LeapingClock, ada: Person, ben: Person, cleo: Person
) -> None:
    async with stage.bot(clock=clock) as bot:
        game = await open_stage(stage, bot, node, clock, ada, ben, cleo)
        message = await ask(cleo)
        await recorded(bot)
    async with stage.bot(clock=clock) as bot:
        await ben.press(message, "Vote for a restart")
        await shows(cleo, message, "about to restart")
        await until(lambda: len(game.typed) == 1, "the first warning", WAIT)
    async with stage.bot(clock=clock) as bot:
        await count_down(clock, game)
        await shows(cleo, message, "luanti restarted")
    assert game.signals == ["restart"]
    assert warnings(game) == sorted(set(warnings(game)), reverse=True)


async def test_a_veto_in_the_countdown_is_told_in_the_game(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, cleo: Person
) -> None:
    game = await open_stage(stage, bot, node, clock, ada, cleo)
    message = await ask(cleo)
    await ada.press(message, "Approve")
    await shows(ada, message, "about to restart", "Approved by")
    await until(lambda: len(game.typed) == 1, "the first warning", WAIT)
    assert labels(ada, message) == ["Veto"]
    await ada.press(message, "Veto")
    await shows(cleo, message, "was not restarted", "Vetoed by")
    await until(lambda: len(game.typed) == 2, "the call-off", WAIT)
    assert "called off by a moderator" in game.typed[1]
    assert game.signals == []


async def test_a_request_without_enough_votes_ends_at_its_time(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, cleo: Person
) -> None:
    await open_stage(stage, bot, node, clock, ada, cleo)
    message = await ask(cleo)
    clock.leap(600)
    await shows(cleo, message, "Too few votes: 1 of 2")
    assert labels(cleo, message) == []


async def test_the_cards_button_is_for_those_who_may_not_restart(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, cleo: Person
) -> None:
    await open_stage(stage, bot, node, clock, ada, cleo)
    card = await ada.answer(await ada.run("server info", "status", server="luanti"), timeout=WAIT)
    own = await ada.answer(await ada.press(card, "Ask for a restart"), says(ada, "restart luanti yourself"), timeout=WAIT)
    assert own["ephemeral_for"] == ada.me["id"]
    await cleo.answer(await cleo.press(card, "Ask for a restart"), says(cleo, "Asked for a restart"), timeout=WAIT)
    await cleo.wait_for(says(cleo, "Restart luanti?"), WAIT, channel="status")
    await cleo.answer(await cleo.run("request cancel", "general", server="luanti"), says(cleo, "is cancelled"), timeout=WAIT)
    await cleo.wait_for(says(cleo, "took the request back"), WAIT, channel="status")


async def test_a_deleted_message_is_posted_anew(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, ben: Person, cleo: Person
) -> None:
    await open_stage(stage, bot, node, clock, ada, ben, cleo)
    message = await ask(cleo)
    await _delete_message(bot, message)
    await bot.services.votes.vote(_actor(ben), (await bot.services.request_desk.due())[0].id)
    fresh = await cleo.wait_for(lambda m: m["id"] != message["id"] and says(cleo, "about to restart")(m), WAIT, channel="general")
    assert labels(cleo, fresh) == ["Veto"]


async def test_a_deleted_channel_moves_the_message_to_where_it_was_asked(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, cleo: Person
) -> None:
    game = await open_stage(stage, bot, node, clock, ada, cleo)
    status = ada.channel_id("status")
    await ada.answer(
        await ada.run("settings requests", "general", options={"channel": status}), says(ada, "Posted in", status), timeout=WAIT
    )
    asked = await cleo.run("request restart", "general", server="luanti")
    await cleo.answer(asked, says(cleo, "Asked for a restart", status), timeout=WAIT)
    await cleo.wait_for(says(cleo, "Restart luanti?"), WAIT, channel="status")
    del stage.box.state.guilds[str(ada.guild["id"])].channels[status]
    (request,) = await bot.services.request_desk.due()
    await bot.services.votes.approve(_actor(ada, owner=True), request.id)
    await cleo.wait_for(says(cleo, "about to restart"), WAIT, channel="general")
    await count_down(clock, game)
    await cleo.wait_for(says(cleo, "luanti restarted"), WAIT, channel="general")


async def test_a_server_deleted_under_its_request_is_said(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, cleo: Person
) -> None:
    await open_stage(stage, bot, node, clock, ada, cleo)
    message = await ask(cleo)
    await bot.services.servers.delete(SYSTEM, stage.servers["luanti"].uuid)
    await shows(cleo, message, "was not restarted", "the server was deleted")


async def test_a_node_that_is_away_is_said_and_waited_for(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, cleo: Person
) -> None:
    game = await open_stage(stage, bot, node, clock, ada, cleo)
    message = await ask(cleo)
    await node.down()
    await ada.press(message, "Approve")
    await shows(cleo, message, "Waiting until", "n1")
    await node.up()
    await until(lambda: len(game.typed) == 1, "the first warning", WAIT)
    await count_down(clock, game)
    await shows(cleo, message, "luanti restarted")


async def test_a_button_of_another_version_is_answered_politely(
    stage: Stage, bot: Bot, node: FakeNode, clock: LeapingClock, ada: Person, cleo: Person
) -> None:
    await open_stage(stage, bot, node, clock, ada, cleo)
    message = await ask(cleo)
    stored = next(channel.messages[message["id"]] for channel in stage.box.state.channels() if channel.id == message["channel_id"])
    row = next(item for item in stored.components[0]["components"] if item["type"] == 1)
    row["components"][0]["custom_id"] = "ar9:vote:1"
    press = await cleo.operate("press", channel_id=message["channel_id"], message_id=message["id"], custom_id="ar9:vote:1")
    await cleo.answer(press["interaction_id"], says(cleo, "older version"), timeout=WAIT)


async def _delete_message(bot: Bot, message: Json) -> None:
    await bot.client.get_partial_messageable(int(message["channel_id"])).get_partial_message(int(message["id"])).delete()


def _actor(person: Person, *, owner: bool = False) -> Actor:
    return Actor(ActorKind.DISCORD, "Somebody", discord_id=int(person.me["id"]), guild_id=int(person.guild["id"]), guild_owner=owner)


async def test_a_bot_that_died_between_posting_a_request_and_writing_that_down_posts_it_once(
    stage: Stage, node: FakeNode, clock: LeapingClock, ada: Person, ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.bot(clock=clock) as bot:
        await open_stage(stage, bot, node, clock, ada, ben)
        monkeypatch.setattr(bot.services.request_desk, "posted", _never)
        message = await ask(ben)
        (request,) = await bot.services.request_desk.due()
        assert request.message_id is None
    async with stage.bot(clock=clock) as bot:
        async with asyncio.timeout(WAIT):
            while (await bot.services.votes.get(request.id)).message_id is None:
                await asyncio.sleep(0.05)
        assert (await bot.services.votes.get(request.id)).message_id == int(message["id"])
        await ada.press(message, "Vote for a restart")
        await shows(ada, message, "luanti is about to restart")
    assert [one["id"] for one in ada.messages("general") if says(ada, "luanti", "Votes")(one)] == [message["id"]]


async def _never(*_: object, **__: object) -> None:
    await asyncio.Event().wait()
