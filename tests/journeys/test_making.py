"""Making a server from Discord, from the egg's file to the end of its installation, and everything that can stand in the way."""

import json
from typing import Any

from aiohttp import ClientSession

from bot.app import Bot
from core.protocol.egg import MOST_BYTES
from core.vocabulary import ServerStatus
from sandbox.person import Json, Person
from tests.control_plane import an_egg
from tests.fakes.node import FakeNode
from tests.journeys.stage import SYSTEM, Stage, until
from tests.journeys.test_power import says

PATIENT = 25.0
SCRIPT = {"installation": {"script": "echo hi", "container": "debian", "entrypoint": "bash"}}
VARIABLES = [
    {"name": "Motd", "env_variable": "MOTD", "default_value": "hi", "rules": "string|max:5", "user_viewable": True, "user_editable": True},
    {"name": "Licence", "env_variable": "LICENSE", "default_value": "", "rules": "required|alpha_num"},
    {"name": "Public", "env_variable": "PUBLIC", "default_value": "1", "rules": "boolean", "user_viewable": True, "user_editable": True},
    *(
        {
            "name": f"More {n}",
            "env_variable": f"MORE_{n}",
            "default_value": "",
            "rules": "string",
            "user_viewable": True,
            "user_editable": 1,
        }
        for n in range(4)
    ),
]


def egg(name: str = "Game", **changes: object) -> bytes:
    return an_egg(name=name, scripts=SCRIPT, variables=VARIABLES, **changes)


async def prepared(bot: Bot, stage: Stage, node: FakeNode, ports: str = "30000-30003") -> None:
    """A node with ports, and the egg Game."""
    await bot.services.nodes.create("n1", node.url, stage.token)
    if ports:
        await bot.services.allocations.add(SYSTEM, "n1", ports, ip="127.0.0.1")
    await bot.services.eggs.take(SYSTEM, egg())


async def reported(bot: Bot, stage: Stage, uuid: str, **report: Any) -> None:
    """What the node says of the end, over HTTP as nodes say it."""
    headers = {"Authorization": f"Bearer {stage.token.id}.{stage.token.secret}"}
    async with (
        ClientSession() as session,
        session.post(f"{bot.url}/api/remote/servers/{uuid}/install", json=report, headers=headers) as answer,
    ):
        assert answer.status == 204


async def summary(ada: Person, **options: Any) -> Json:
    asked = await ada.run("server create", "general", options={"egg": "Game", "name": "Isle", "memory": "1 GiB", **options})
    return await ada.answer(asked, says(ada, "### 🏗️"), timeout=PATIENT)


async def filled(ada: Person, message: Json, button: str, values: Json) -> None:
    press = await ada.press(message, button)
    modal = await ada.wait_for_modal(PATIENT, interaction_id=press)
    await ada.submit(values, modal)


async def now(ada: Person, message: Json, *words: str) -> Json:
    return await ada.wait_for(lambda found: found["id"] == message["id"] and says(ada, *words)(found), PATIENT)


async def created(bot: Bot, ada: Person) -> tuple[Json, str]:
    """A server being installed, and the message that follows it."""
    message = await summary(ada)
    await filled(ada, message, "Variables 1 of 2", {"Licence": "abc"})
    message = await now(ada, message, "when it is right")
    await ada.press(message, "Create")
    message = await now(ada, message, "is being created")
    (server,) = await bot.services.servers.all()
    return message, server.uuid


async def test_a_server_is_made_step_by_step_and_its_message_follows(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await prepared(bot, stage, node)
    offered = await ada.autocomplete("server create", "egg", "ga", "general", name="x", memory="1")
    assert [choice["name"] for choice in offered] == ["Game"]
    message = await summary(ada, cpu="2 cores", egg=offered[0]["value"])
    assert says(ada, "Isle", "n1 (chosen automatically)", "1 GiB", "200 %", "Licence (LICENSE) must not be empty")(message)
    (create,) = [button for button in ada.buttons(message) if button["label"] == "Create"]
    assert create["disabled"]
    await filled(ada, message, "Variables 1 of 2", {"Licence": "abc123", "Motd": "far too long", "Public": ["0"]})
    message = await now(ada, message, "must have at most 5 characters", "•••")
    assert "abc123" not in ada.text_of(message)
    await filled(ada, message, "Variables 1 of 2", {"Licence": "abc123", "Motd": "yo", "Public": ["0"]})
    message = await now(ada, message, "Motd: yo", "Public: 0", "when it is right")
    await filled(ada, message, "Variables 2 of 2", {"More 3": "x"})
    message = await now(ada, message, "More 3: x", "when it is right")
    await ada.press(message, "Create")
    message = await now(ada, message, "is being created")
    await until(lambda: bool(node.servers), "the node to be told", PATIENT)
    ((uuid, fake),) = node.servers.items()
    await until(lambda: bool(fake.sockets), "the stream", PATIENT)
    await node.installer(uuid, "install started")
    await now(ada, message, "fetching the image of its installer")
    await node.installer(uuid, "install output", "\x1b[32mDownloading the game\x1b[0m\r\nUnpacking")
    seen = await now(ada, message, "is being installed", "Downloading the game\nUnpacking")
    assert "\x1b" not in ada.text_of(seen)
    await reported(bot, stage, uuid, successful=True)
    message = await now(ada, message, "is ready", "127.0.0.1:30000")
    settings = (await bot.services.servers.settings(uuid)).settings
    assert {key: settings.environment[key] for key in ("MOTD", "LICENSE", "PUBLIC", "MORE_3")} == {
        "MOTD": "yo",
        "LICENSE": "abc123",
        "PUBLIC": "0",
        "MORE_3": "x",
    }
    await ada.answer(await ada.press(message, "Start"), says(ada, "is running"), timeout=PATIENT)


async def test_a_failed_installation_says_why_and_is_tried_again_in_its_message(
    stage: Stage, bot: Bot, node: FakeNode, ada: Person
) -> None:
    await prepared(bot, stage, node)
    message, uuid = await created(bot, ada)
    await reported(bot, stage, uuid, successful=False, aerie_reason="The script ended with code 3.")
    message = await now(ada, message, "could not be installed", "ended with code 3")
    await ada.press(message, "Try again")
    message = await now(ada, message, "installed again")
    await until(lambda: node.servers[uuid].installs == ["install"], "the node to be asked", PATIENT)
    await reported(bot, stage, uuid, successful=True)
    await now(ada, message, "is ready")


async def test_a_restart_of_the_bot_loses_neither_a_draft_nor_a_message(stage: Stage, node: FakeNode, ada: Person) -> None:
    async with stage.bot() as bot:
        await prepared(bot, stage, node)
        message = await summary(ada)
    async with stage.bot() as bot:
        await filled(ada, message, "Variables 1 of 2", {"Licence": "abc"})
        message = await now(ada, message, "when it is right")
        await ada.press(message, "Create")
        message = await now(ada, message, "is being created on n1")
        (uuid,) = node.servers
    async with stage.bot() as bot:
        await reported(bot, stage, uuid, successful=True)
        await now(ada, message, "is ready")


async def test_a_cancelled_server_is_not_made(stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person) -> None:
    await prepared(bot, stage, node)
    message = await summary(ada)
    refused = await cleo.answer(await cleo.press(message, "Cancel"), timeout=PATIENT)
    assert refused["ephemeral_for"] == cleo.me["id"]
    assert "lack the permission" in cleo.text_of(refused)
    await ada.press(message, "Cancel")
    await now(ada, message, "No server was made")
    assert await bot.services.servers.all() == []


async def test_what_cannot_work_is_said_at_once(stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person) -> None:
    await prepared(bot, stage, node, ports="")

    async def refusal(person: Person, **options: Any) -> str:
        wanted = {"egg": "Game", "name": "Isle", "memory": "1 GiB", **options}
        return person.text_of(await person.answer(await person.run("server create", "general", options=wanted), timeout=PATIENT))

    assert "has no ports" in await refusal(ada)
    await bot.services.allocations.add(SYSTEM, "n1", "30000", ip="127.0.0.1")
    assert "not an amount of memory" in await refusal(ada, memory="lots")
    assert "B of memory left" in await refusal(ada, memory="99 GiB")
    assert "no such egg" in await refusal(ada, egg="Nothing")
    assert "no such node" in await refusal(ada, node="nowhere")
    assert "no such image" in await refusal(ada, image="evil:1")
    assert "lack the permission" in await refusal(cleo)
    assert await cleo.autocomplete("server create", "egg", "", "general", name="x", memory="1") == []


async def test_eggs_come_in_as_files_and_bad_ones_are_refused_in_words(
    stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person
) -> None:
    async def taken(person: Person, body: bytes, name: str = "egg.json") -> str:
        asked = await person.run("egg import", "general", file=person.file(name, body))
        return person.text_of(await person.answer(asked, timeout=PATIENT))

    assert "was imported: 7 variables" in await taken(ada, egg())
    assert "brought up to date" in await taken(ada, egg(startup="other"))
    assert "meta.version" in await taken(ada, egg(meta={"version": "PTDL_v9"}))
    assert "variables must be a list" in await taken(ada, an_egg(variables="x"))
    assert "YAML aliases" in await taken(ada, b"a: &a [x]\nb: *a\n", "egg.yaml")
    assert "larger than 1 MB" in await taken(ada, b" " * (MOST_BYTES + 1))
    assert "lack the permission" in await taken(cleo, egg("Other"))
    listed = ada.text_of(await ada.answer(await ada.run("egg list", "general"), timeout=PATIENT))
    assert "Game" in listed
    shown = await ada.answer(await ada.run("egg info", "general", options={"egg": "Game", "export": "PTDL_v2"}), timeout=PATIENT)
    assert says(ada, "Game", "MOTD", "egg-1.json")(shown)
    gone = await ada.answer(await ada.run("egg delete", "general", egg="Game"), timeout=PATIENT)
    assert "is deleted" in ada.text_of(gone)


async def test_a_node_is_added_given_ports_and_removed(stage: Stage, bot: Bot, node: FakeNode, ada: Person, cleo: Person) -> None:
    async def said(person: Person, command: str, **options: Any) -> Json:
        return await person.answer(await person.run(command, "general", options=options), timeout=PATIENT)

    made = await said(ada, "node create", name="n2", address=node.url, memory="8 GiB")
    text = ada.text_of(made)
    assert made["ephemeral_for"] == ada.me["id"]
    (row,) = await bot.services.nodes.all()
    secret = bot.services.nodes.address(row).token.secret
    assert f"aerie agent configure --panel-url {bot.services.nodes.origin} --token {row.token_id}.{secret} --port" in text
    assert says(ada, "SFTP", "127.0.0.1:2022")(await said(ada, "node info", node="n2"))
    assert "at `play.example.net`, port 2222" in ada.text_of(await said(ada, "node sftp", node="n2", at="play.example.net:2222"))
    assert "no place for SFTP" in ada.text_of(await said(ada, "node sftp", node="n2", at="play.example.net:99999"))
    assert "lack the permission" in cleo.text_of(await said(cleo, "node sftp", node="n2", at=""))
    assert says(ada, "play.example.net:2222")(await said(ada, "node info", node="n2"))
    await said(ada, "node create", name="n3", address=node.url, sftp="2023")
    assert says(ada, "127.0.0.1:2023")(await said(ada, "node info", node="n3"))
    await said(ada, "node delete", node="n3")
    assert "16 new ports" in ada.text_of(await said(ada, "node ports", node="n2", do="add", ports="25565-25580"))
    assert "is not a port" in ada.text_of(await said(ada, "node ports", node="n2", do="add", ports="many"))
    assert "1 port of" in ada.text_of(await said(ada, "node ports", node="n2", do="remove", ports="25580"))
    assert says(ada, "n2", "15 of 15 ports free")(await said(ada, "node list"))
    assert says(ada, "25565-25579")(await said(ada, "node info", node="n2"))
    assert "lack the permission" in cleo.text_of(await said(cleo, "node create", name="n3", address=node.url))
    assert "is deleted" in ada.text_of(await said(ada, "node delete", node="n2"))


async def test_a_server_is_renamed_reinstalled_and_deleted_by_its_name(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await stage.server(bot, node, "luanti")
    (server,) = await bot.services.servers.all()
    await ada.answer(await ada.run("server rename", "general", options={"server": "luanti", "name": "Isle"}), says(ada, "called"), PATIENT)
    assert (await bot.services.servers.get(server.uuid)).name == "Isle"
    question = await ada.answer(await ada.run("server reinstall", "general", server="Isle"), timeout=PATIENT)
    await ada.press(question, "Reinstall")
    follower = await ada.wait_for(says(ada, "is being installed again"), PATIENT, channel="general")
    assert (await bot.services.servers.get(server.uuid)).status == ServerStatus.INSTALLING
    await reported(bot, stage, server.uuid, successful=True, reinstall=True)
    await now(ada, follower, "is ready")
    asked = await ada.run("server delete", "general", server="Isle")
    modal = await ada.wait_for_modal(PATIENT, interaction_id=asked)
    wrong = await ada.answer(await ada.submit({"Name of the server": "Other"}, modal), timeout=PATIENT)
    assert "Nothing was deleted" in ada.text_of(wrong)
    asked = await ada.run("server delete", "general", server="Isle")
    modal = await ada.wait_for_modal(PATIENT, interaction_id=asked)
    await ada.answer(await ada.submit({"Name of the server": "isle"}, modal), says(ada, "are deleted"), timeout=PATIENT)
    assert await bot.services.servers.all() == []
    assert json.dumps(list(node.servers)) == "[]"


async def test_a_node_that_goes_away_meanwhile_is_told(stage: Stage, bot: Bot, node: FakeNode, ada: Person) -> None:
    await prepared(bot, stage, node)
    message, uuid = await created(bot, ada)
    await node.down()
    await now(ada, message, "does not answer")
    await node.up()
    await now(ada, message, "is being created")
    await reported(bot, stage, uuid, successful=True)
    await now(ada, message, "is ready")
