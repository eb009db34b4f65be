"""/console search: old lines of a console, through the sandbox, the bot and a node over real HTTP."""

from typing import Any

from bot.app import Bot
from sandbox.person import Person
from tests.fakes.node import FakeNode, fake_node
from tests.journeys.stage import Stage


def says(person: Person, *words: str) -> Any:
    return lambda message: all(word in person.text_of(message) for word in words)


async def test_old_lines_are_found_page_by_page_for_the_asker_alone(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    server.lines += [f"[Server] \x1b[33mBob\x1b[0m dug block {number}" for number in range(1, 31)] + ["Cleo joined the game"]
    answer = await ada.answer(await ada.run("console search", "general", server="luanti", text="DUG"), says(ada, "dug block 30"))
    text = ada.text_of(answer)
    assert answer["ephemeral_for"] == ada.me["id"]
    assert "**luanti** · 12 lines with `DUG`" in text
    assert "Bob dug block 19\n" in text
    assert "\x1b" not in text
    assert "dug block 18\n" not in text
    assert "Cleo" not in text
    older, newest = ada.buttons(answer)
    assert (older["label"], newest["label"]) == ("Older lines", "Newest lines")
    for last in (18, 6):
        await ada.press(answer, older["custom_id"])
        answer = await ada.wait_for(says(ada, f"dug block {last}\n"), 10)
        older, newest = ada.buttons(answer)
    assert older["disabled"]
    await ada.press(answer, newest["custom_id"])
    assert (await ada.wait_for(says(ada, "dug block 30"), 10))["id"] == answer["id"]


async def test_a_time_narrows_the_search_and_what_is_none_is_explained(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    server.lines += [f"line {number}" for number in range(1, 200)]
    answer = await ada.answer(await ada.run("console search", "general", server="luanti", since="1m"), says(ada, "line 199"))
    assert "12 lines ·" in ada.text_of(answer)
    answer = await ada.answer(await ada.run("console search", "general", server="luanti", text="line 1", since="1m"), says(ada, "line 199"))
    assert "line 2\n" not in ada.text_of(answer)
    none = await ada.answer(await ada.run("console search", "general", server="luanti", text="nowhere"))
    assert "no lines with `nowhere`" in ada.text_of(none)
    refused = await ada.answer(await ada.run("console search", "general", server="luanti", since="yesterday-ish"))
    assert "30m, 2h, 3d" in ada.text_of(refused)


async def test_who_may_not_read_the_console_finds_nothing_in_it(stage: Stage, bot: Bot, node: FakeNode, cleo: Person) -> None:
    server = await stage.server(bot, node, "luanti", "running")
    server.lines.append("a secret")
    refused = await cleo.answer(await cleo.run("console search", "general", server="luanti", text="secret"))
    assert "a secret" not in cleo.text_of(refused)


async def test_a_node_that_keeps_nothing_is_named(stage: Stage, bot: Bot, ada: Person) -> None:
    async with fake_node(stage.token, ours=False) as wings:
        await stage.server(bot, wings, "luanti", "running")
        answer = await ada.answer(await ada.run("console search", "general", server="luanti", text="x"))
        assert "keeps no old console lines" in ada.text_of(answer)
        assert "/console tail" in ada.text_of(answer)
