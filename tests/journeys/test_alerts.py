"""Alerts from a sender's request to a channel, through the real bot: opened, counted, looked after, resolved, across restarts."""

import re
from typing import Any

from aiohttp import ClientSession

from bot.app import Bot
from sandbox.person import Person
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
