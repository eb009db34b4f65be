"""An API key from Discord to the REST API: made by a command, used by a program, taken back."""

import re

from aiohttp import ClientSession

from bot.app import Bot
from sandbox.person import Person
from tests.fakes.node import FakeNode
from tests.journeys.stage import Stage


async def _call(bot: Bot, key: str, path: str) -> tuple[int, str]:
    url, headers = f"http://127.0.0.1:{bot.port}{path}", {"Authorization": f"Bearer {key}"}
    async with ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_key_is_shown_once_works_and_is_taken_back(stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person) -> None:
    await stage.server(bot, node, "luanti")
    answer = await ada.answer(await ada.run("account api-key create", "general", memo="nightly", addresses="127.0.0.0/8"))
    assert answer["ephemeral_for"] == ada.me["id"]
    found = re.search(r"\|\|`(ptlc_\w{43})`\|\|", ada.text_of(answer))
    assert found is not None, ada.text_of(answer)
    key = found[1]
    status, body = await _call(bot, key, "/api/client")
    assert status == 200
    assert '"luanti"' in body.lower()
    listed = ada.text_of(await ada.answer(await ada.run("account api-key list", "general")))
    assert "nightly" in listed
    assert key not in listed
    (choice,) = await ada.autocomplete("account api-key remove", "key", "night", "general")
    await ada.answer(await ada.run("account api-key remove", "general", key=choice["value"]))
    assert (await _call(bot, key, "/api/client"))[0] == 401

    other = await cleo.answer(await cleo.run("account api-key create", "general", memo="mine", kind="application"))
    assert "administrator of Aerie" in cleo.text_of(other)
    wrong = await cleo.answer(await cleo.run("account api-key create", "general", memo="mine", addresses="nonsense"))
    assert "no address" in cleo.text_of(wrong)
