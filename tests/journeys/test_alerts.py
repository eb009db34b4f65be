"""Alerts from a sender's request to a channel, through the real bot: opened, counted, looked after, resolved, across restarts."""

import asyncio
import json
import re
from typing import Any

import pytest
from aiohttp import ClientSession

from bot.app import Bot
from core.actor import Actor
from core.clock import SystemClock
from core.events import NodeLost
from core.vocabulary import ActorKind
from sandbox.person import Person
from tests.fakes.node import FakeNode
from tests.journeys.stage import Stage
from tests.journeys.test_power import says

CHANNEL = "status"


def alert(title: str, status: str = "firing", **more: Any) -> dict[str, Any]:
    return {"title": title, "status": status, **more}


async def a_source(ada: Person, **options: Any) -> str:
    """The path of a new source's address."""
    answer = await ada.answer(await ada.run("alert source create", CHANNEL, name="prometheus", **options), says(ada, "/webhooks/"))
    assert answer["ephemeral_for"] == ada.me["id"]
    found = re.search(r"/webhooks/[\w-]{43}", ada.text_of(answer))
    assert found is not None
    return found[0]


async def send(bot: Bot, path: str, *bodies: dict[str, Any]) -> None:
    async with ClientSession() as session:
        for body in bodies:
            async with session.post(f"http://127.0.0.1:{bot.port}{path}", json=body) as answer:
                assert answer.status == 202, await answer.text()


def owner_of(ada: Person, guild_id: int) -> Actor:
    return Actor(ActorKind.DISCORD, "Ada", discord_id=int(ada.me["id"]), guild_id=guild_id, guild_owner=True)


def cards(ada: Person) -> list[dict[str, Any]]:
    """The channel's messages, without answers to commands."""
    return [message for message in ada.messages(CHANNEL) if message["ephemeral_for"] is None]


async def test_an_alert_opens_counts_and_resolves_in_one_message(stage: Stage, bot: Bot, ada: Person) -> None:
    path = await a_source(ada)
    await send(bot, path, alert("Load is high", severity="critical", value=97, labels={"host": "a"}, url="https://grafana.example/1"))
    message = await ada.wait_for(says(ada, "Load is high", "Critical", "97", "host"), 20, channel=CHANNEL)
    assert [button["label"] for button in ada.buttons(message)] == ["Acknowledge", "Silence 1 h", "Open"]
    await send(bot, path, alert("Load is high", severity="critical"), alert("Load is high", severity="critical"))
    await send(bot, path, alert("Load is high", "resolved"))
    done = await ada.wait_for(says(ada, "Load is high", "Resolved"), 30, channel=CHANNEL)
    assert done["id"] == message["id"]
    assert says(ada, "reported 3 times")(done)
    assert len(cards(ada)) == 1
    assert stage.box.rate_limit_hits == 0


async def test_who_looks_after_it_is_shown_and_a_member_may_not(bot: Bot, ada: Person, cleo: Person) -> None:
    await send(bot, await a_source(ada), alert("Backup failed"))
    message = await ada.wait_for(says(ada, "Backup failed"), 20, channel=CHANNEL)
    refused = await cleo.answer(await cleo.press(message, "Acknowledge"))
    assert "control.console" in cleo.text_of(refused)
    await ada.answer(await ada.press(message, "Acknowledge"), says(ada, "You look after it now"))
    await ada.wait_for(lambda m: m["id"] == message["id"] and says(ada, f"<@{ada.me['id']}> looks after it")(m), 20)
    await ada.answer(await ada.press(message, "Silence 1 h"), says(ada, "no new message"))
    await ada.wait_for(lambda m: m["id"] == message["id"] and says(ada, "silenced until")(m), 20)


async def test_words_of_a_sender_do_no_harm(stage: Stage, bot: Bot, ada: Person) -> None:
    hostile = "@everyone @here <@1> **x** [y](https://evil.example) ``` \u202e \x1b[31m"
    await send(bot, await a_source(ada), alert(hostile, text="# big\n@everyone\n```", labels={"@everyone": "<#1>"}, value="@here"))
    message = await ada.wait_for(lambda m: bool(cards(ada)) and m["ephemeral_for"] is None, 20, channel=CHANNEL)
    assert message["mention_everyone"] is False
    assert message["mentions"] == message["mention_roles"] == []
    assert "@everyone" not in ada.text_of(message)


async def test_a_role_is_called_once_for_its_severity(stage: Stage, bot: Bot, ada: Person) -> None:
    path = await a_source(ada)
    role = next(role for role in ada.guild["roles"] if role["name"] == "Moderators")
    mention = await ada.run("alert mention", CHANNEL, severity="critical", role=role["id"])
    await ada.answer(mention, says(ada, "is called", "Discord will not call it yet"))
    next(one for guild in stage.box.state.guilds.values() for one in guild.roles.values() if one.id == role["id"]).mentionable = True
    await send(bot, path, alert("Fire", severity="critical"), alert("Draught", severity="warning"))
    called = await ada.wait_for(says(ada, "Fire"), 20, channel=CHANNEL)
    other = await ada.wait_for(says(ada, "Draught"), 20, channel=CHANNEL)
    assert called["mention_roles"] == [role["id"]]
    assert other["mention_roles"] == []


async def test_a_restart_in_the_middle_loses_and_doubles_nothing(stage: Stage, ada: Person) -> None:
    titles = {f"Trouble {number:02}" for number in range(12)}
    async with stage.bot() as bot:
        path = await a_source(ada)
        await send(bot, path, *(alert(title) for title in sorted(titles)))
        await ada.wait_until(lambda: len(cards(ada)) >= 2, 30, "the first messages")
    async with stage.bot() as bot:
        await send(bot, path, *(alert(title, "resolved") for title in sorted(titles)))
        await ada.wait_until(lambda: sum(says(ada, "Resolved")(m) for m in cards(ada)) >= len(titles), 90, "all to be resolved")
    shown = sorted(title for message in cards(ada) for title in titles if says(ada, title)(message))
    assert shown == sorted(titles)
    assert stage.box.rate_limit_hits == 0


async def test_a_channel_that_is_closed_is_told_once_and_its_alerts_wait(stage: Stage, bot: Bot, ada: Person) -> None:
    path = await a_source(ada)
    await ada.answer(await ada.run("alert channel", "general"), says(ada, "Aerie's own alerts"))
    status = ada.channel_id(CHANNEL)
    stage.box.refuse("POST", rf"/channels/{status}/messages", 403, 50013, times=1000)
    await send(bot, path, alert("Load is high"), alert("Disk is full"))
    told = await ada.wait_for(says(ada, "Alerts of prometheus cannot be shown", "may not write"), 30, channel="general")
    listed = await ada.answer(await ada.run("alert source list", "general"))
    moved = {"source": "prometheus", "channel": ada.channel_id("luanti-console")}
    assert says(ada, "nothing can be shown", "2 firing")(listed)
    await ada.answer(await ada.run("alert source move", "general", options=moved))
    for title in ("Load is high", "Disk is full"):
        await ada.wait_for(says(ada, title), 30, channel="luanti-console")
    await ada.wait_for(lambda m: m["id"] == told["id"] and says(ada, "Resolved")(m), 30)
    assert sum(says(ada, "cannot be shown")(m) for m in ada.messages("general") if m["ephemeral_for"] is None) == 1


async def test_a_test_alert_arrives(bot: Bot, ada: Person) -> None:
    await a_source(ada)
    await ada.answer(await ada.run("alert source test", CHANNEL, source="prometheus"), says(ada, "on its way"))
    await ada.wait_for(says(ada, "Test of prometheus", "Resolved"), 40, channel=CHANNEL)


async def test_a_crash_is_told_with_its_last_words_and_ends_when_it_runs(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    await ada.answer(await ada.run("alert channel", CHANNEL), says(ada, "Aerie's own alerts"))
    await node.become(stage.servers["luanti"].uuid, "offline")
    crash = {
        "exit_code": 137,
        "oom_killed": True,
        "uptime": 61.0,
        "lines": ["ERROR: @everyone no memory"],
        "at": "2026-11-24T18:00:00+00:00",
    }
    await node.send(server, "aerie.crash", json.dumps(crash))
    told = await ada.wait_for(says(ada, "luanti crashed", "ran out of memory", "no memory", "stays offline", "61 s"), 30, channel=CHANNEL)
    assert "@everyone" not in ada.text_of(told)
    await node.become(stage.servers["luanti"].uuid, "running")
    await ada.wait_for(lambda m: m["id"] == told["id"] and says(ada, "Resolved", "running again")(m), 30)


async def test_a_node_is_lost_once_and_back_once(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    await stage.server(bot, node, "freeciv", "running")
    await ada.answer(await ada.run("alert channel", CHANNEL), says(ada, "Aerie's own alerts"))
    await node.down()
    lost = await ada.wait_for(says(ada, "The node n1 does not answer", "freeciv, luanti"), 40, channel=CHANNEL)
    guild = int(ada.guild["id"])
    for reason in ("It refuses connections.", "It does not answer in time."):
        await bot.services.live.publish(NodeLost(node_id=1, node_name="n1", at=bot.client.clock.now(), reason=reason))
    await node.up()
    await ada.wait_for(lambda m: m["id"] == lost["id"] and says(ada, "Resolved", "answers again")(m), 60)
    (row,) = [row for row in await bot.services.alerts.recent(owner_of(ada, guild)) if "n1" in row.title]
    assert (row.episodes, row.count) == (1, 1)
    assert len(cards(ada)) == 1


async def test_a_failed_installation_is_told_and_a_good_one_ends_it(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti", "running")
    made = stage.servers["luanti"]
    await ada.answer(await ada.run("alert channel", CHANNEL), says(ada, "Aerie's own alerts"))
    home = (await bot.services.nodes.all())[0]
    await bot.services.servers.report_install(made.uuid, home, successful=False, reinstall=True)
    failed = await ada.wait_for(says(ada, "The reinstallation of luanti failed"), 30, channel=CHANNEL)
    await bot.services.servers.report_install(made.uuid, home, successful=True, reinstall=True)
    await ada.wait_for(lambda m: m["id"] == failed["id"] and says(ada, "Resolved")(m), 30)


async def test_a_bot_that_died_between_posting_an_alert_and_writing_that_down_posts_it_once(
    stage: Stage, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.workers.alert_relay.STALE", -60.0)  # so that what the dead one posted counts as old at once
    async with stage.bot() as bot:
        monkeypatch.setattr(bot.services.alerts, "posted", never)
        path = await a_source(ada)
        await send(bot, path, alert("Disk fills up", value=97))
        message = await ada.wait_for(says(ada, "Disk fills up", "97"), 30, channel=CHANNEL)
        await send(bot, path, alert("Disk fills up", value=98))
    async with stage.bot():
        shown = await ada.wait_for(says(ada, "Disk fills up", "98"), 30, channel=CHANNEL)
    assert shown["id"] == message["id"]
    assert len(cards(ada)) == 1


async def never(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


class Leaping(SystemClock):
    """The machine's clock, which a test can turn forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


async def test_alerts_beyond_what_a_channel_takes_in_a_minute_share_one_message(
    stage: Stage, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.workers.alert_relay.STORM", 2)
    clock = Leaping()
    async with stage.bot(clock=clock) as bot:
        path = await a_source(ada)

        def reported(status: str, *names: str) -> dict[str, Any]:
            return {
                "version": "4",
                "status": status,
                "alerts": [
                    {"status": status, "labels": {"alertname": name}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": f"f{name}"}
                    for name in names
                ],
            }

        await send(bot, path, reported("firing", "One", "Two", "Three", "Four", "Five"))
        shared = await ada.wait_for(says(ada, "+3 more alerts", "0 of 3 resolved"), 30, channel=CHANNEL)
        alone = [one for one in cards(ada) if one["id"] != shared["id"]]
        assert len(alone) == 2
        names = {name for name in ("One", "Two", "Three", "Four", "Five") if says(ada, name)(shared)}
        assert len(names) == 3
        await send(bot, path, reported("resolved", names.pop()))
        await ada.wait_for(lambda m: m["id"] == shared["id"] and says(ada, "1 of 3 resolved")(m), 30)
        clock.ahead += 61.0
        await send(bot, path, reported("firing", "Six"))
        six = await ada.wait_for(says(ada, "Six"), 30, channel=CHANNEL)
        assert len(cards(ada)) == 4
        assert not says(ada, "more alerts")(six)
        await send(bot, path, reported("resolved", *names))
        await ada.wait_for(lambda m: m["id"] == shared["id"] and says(ada, "3 of 3 resolved")(m), 30)
    assert stage.box.rate_limit_hits == 0
