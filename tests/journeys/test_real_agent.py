"""The same stories with the real agent: its process runtime runs a real game, and only Docker is missing."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from agent.app import Agent
from agent.app import running as agent_running
from bot.app import Bot
from core.actor import Actor
from core.config import AgentConfig
from core.models.server import Server
from core.vocabulary import ActorKind, ServerState
from sandbox.person import Person
from tests.journeys.stage import EGG, SYSTEM, Stage, until
from tests.journeys.test_power import says

PATIENT = 25.0
GAME = Path(__file__).resolve().parents[2] / "demo" / "game_server.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def egg() -> bytes:
    """The demo's egg, for the small game that runs anywhere."""
    body = json.loads(EGG.read_text(encoding="utf-8"))
    body["name"] = "Guess"
    body["startup"] = f"{sys.executable} {GAME} --name guess --port {{{{SERVER_PORT}}}}"
    body["config"] = {"files": "{}", "startup": json.dumps({"done": "listening on"}), "logs": "{}", "stop": "quit"}
    body["variables"] = []
    return json.dumps(body).encode()


@pytest.fixture
async def agent(stage: Stage, bot: Bot, tmp_path: Path) -> AsyncIterator[Agent]:
    """A node that the bot knows."""
    port = free_port()
    await bot.services.nodes.create("n1", f"http://127.0.0.1:{port}", stage.token)
    async with agent_running(config(stage, bot, port, tmp_path)) as app:
        yield app


def config(stage: Stage, bot: Bot, port: int, folder: Path) -> AgentConfig:
    root = folder / "agent"
    return AgentConfig.model_validate(
        {
            "api": {"host": "127.0.0.1", "port": port},
            "remote": {"url": f"http://127.0.0.1:{bot.port}", "token_id": stage.token.id, "token": stage.token.secret},
            "system": {"root_directory": str(root), "data": str(root / "volumes")},
            "docker": {"runtime": "process"},
            "sftp": {"enabled": False},
        }
    )


async def made_on(stage: Stage, bot: Bot, node_id: int) -> Server:
    made = await bot.services.eggs.import_ptdl(egg())
    guild = next(iter(stage.box.state.guilds.values()))
    return await bot.services.servers.create(
        SYSTEM, name="guess", egg_id=made.id, node_id=node_id, ip="127.0.0.1", port=free_port(), guild_id=int(guild.id)
    )


@pytest.fixture
async def game(stage: Stage, bot: Bot, agent: Agent) -> Server:
    """A server of the guessing game."""
    server = await made_on(stage, bot, (await bot.services.nodes.by_name("n1")).id)
    bot.streams.look()
    await until(lambda: bot.services.live.of(server.uuid).state is not None, "the state of the game")
    return server


async def test_a_server_made_while_its_node_was_away_is_there_once_the_node_is(
    stage: Stage, bot: Bot, ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.services.servers.TOLD_WITHIN", -5.0)
    port = free_port()
    node, _ = await bot.services.nodes.create("n1", f"http://127.0.0.1:{port}", stage.token)
    made = await made_on(stage, bot, node.id)
    assert made.waits_for_node
    refused = await ada.answer(await ada.run("server start", "general", server="guess"), timeout=PATIENT)
    assert "is not on its node yet" in ada.text_of(refused)
    async with agent_running(config(stage, bot, port, tmp_path)):
        async with asyncio.timeout(60):
            while (await bot.services.servers.get(made.uuid)).waits_for_node:
                await asyncio.sleep(0.1)
        bot.streams.look()
        await until(lambda: bot.services.live.of(made.uuid).state is not None, "the state of the game", PATIENT)
        await ada.answer(await ada.run("server start", "general", server="guess"), says(ada, "is running"), timeout=PATIENT)
        assert (tmp_path / "agent" / "volumes" / made.uuid).is_dir()


async def test_one_real_game_is_driven_from_discord(bot: Bot, game: Server, ada: Person, cleo: Person) -> None:
    card = await ada.answer(await ada.run("server info", "status", server="guess"))
    assert says(ada, "Offline")(card)
    await ada.answer(await ada.run("server start", "general", server="guess"), says(ada, "is running"), timeout=20)
    await ada.wait_for(lambda m: m["id"] == card["id"] and says(ada, "🟢 Running")(m), 12)

    await ada.answer(await ada.run("console send", "general", server="guess", line="limit 7"), says(ada, "Sent"))
    tail = await ada.answer(await ada.run("console tail", "general", server="guess"))
    assert "listening on" in ada.text_of(tail)

    await ada.answer(await ada.run("server restart", "general", server="guess"), says(ada, "running again"), timeout=30)
    refused = await cleo.answer(await cleo.run("server stop", "general", server="guess"))
    assert "control.stop" in cleo.text_of(refused)

    await ada.answer(await ada.run("server stop", "general", server="guess"), says(ada, "offline"), timeout=30)
    await ada.wait_for(lambda m: m["id"] == card["id"] and says(ada, "⚫ Offline")(m), 12)


async def test_a_backup_is_made_and_put_back_from_discord(bot: Bot, game: Server, agent: Agent, ada: Person, cleo: Person) -> None:
    folder = agent.manager.get(game.uuid).folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "world.dat").write_text("a castle")
    none = await ada.answer(await ada.run("backup list", "general", server="guess"))
    assert "has no backups yet" in ada.text_of(none)
    refused = await ada.answer(await ada.run("backup create", "general", server="guess"))
    assert "may have 0 backups" in ada.text_of(refused)
    async with bot.services.database.begin() as session:
        (await session.get_one(Server, game.id)).backup_limit = 2

    told = await ada.answer(
        await ada.run("backup create", "general", server="guess", name="castle"), says(ada, "is backed up"), timeout=PATIENT
    )
    assert "castle" in ada.text_of(told)
    (folder / "world.dat").write_text("a ruin")
    listed = await ada.answer(await ada.run("backup list", "general", server="guess"))
    assert "1 of 2" in ada.text_of(listed)
    (backup,) = (await bot.services.backups.of(SYSTEM, game.uuid))[1]
    refused = await cleo.answer(await cleo.run("backup restore", "general", server="guess", backup=backup.uuid))
    assert "backup.restore" in cleo.text_of(refused)

    question = await ada.answer(await ada.run("backup restore", "general", server="guess", backup=backup.uuid))
    assert "Restore" in ada.text_of(question)
    await ada.press(question, "Restore")
    await ada.wait_for(lambda m: m["id"] == question["id"] and says(ada, "is as it was")(m), PATIENT)
    assert (folder / "world.dat").read_text() == "a castle"
    await ada.answer(await ada.run("backup lock", "general", server="guess", backup=backup.uuid), says(ada, "locked"))
    refused = await ada.answer(await ada.run("backup delete", "general", server="guess", backup=backup.uuid))
    assert "Unlock it first" in ada.text_of(refused)
    url = ada.text_of(await ada.answer(await ada.run("backup download", "general", server="guess", backup=backup.uuid)))
    async with ClientSession() as http, http.get(url[url.index("<") + 1 : url.index(">")]) as answer:
        assert (answer.status, (await answer.read())[:2]) == (200, b"\x1f\x8b")


async def test_a_console_is_live_in_its_channel_and_takes_replies(bot: Bot, game: Server, ada: Person) -> None:
    await ada.answer(await ada.run("console attach", "luanti-console", server="guess"), says(ada, "live"))
    await ada.answer(await ada.run("server start", "general", server="guess"), says(ada, "is running"), timeout=20)
    live = await ada.wait_for(says(ada, "listening on"), 15, channel="luanti-console")
    await ada.say("luanti-console", "limit 7", reply_to=live)
    await ada.wait_for(says(ada, "Numbers now go up to 7"), 15, channel="luanti-console")
    await ada.answer(await ada.run("console detach", "luanti-console", server="guess"), says(ada, "no longer shown"))


async def test_a_live_console_goes_on_after_a_restart_of_the_bot(stage: Stage, ada: Person, tmp_path: Path) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        async with stage.bot() as bot:
            node, _ = await bot.services.nodes.create("n1", f"http://127.0.0.1:{port}", stage.token)
            agent = await stack.enter_async_context(agent_running(config(stage, bot, port, tmp_path)))
            made = await made_on(stage, bot, node.id)
            bot.streams.look()
            await until(lambda: bot.services.live.of(made.uuid).state is not None, "the state of the game", PATIENT)
            await ada.answer(await ada.run("console attach", "luanti-console", server="guess"), says(ada, "live"), timeout=PATIENT)
            console = agent.manager.get(made.uuid).console
            await until(lambda: len(console.fanout) > 0, "the bot to ask for the console", PATIENT)
            console.add_output(["said before"])
            await ada.wait_for(says(ada, "said before"), PATIENT, channel="luanti-console")
        console.add_output([f"said meanwhile {number}" for number in range(3)])
        async with stage.bot() as bot:
            bot.streams.look()
            message = await ada.wait_for(says(ada, "said before", "meanwhile 0", "meanwhile 2"), PATIENT, channel="luanti-console")
            assert "skipped" not in ada.text_of(message)
            await until(lambda: len(console.fanout) > 0, "the bot to ask for the console", PATIENT)
            console.add_output(["said afterwards"])
            message = await ada.wait_for(says(ada, "meanwhile 2", "said afterwards"), PATIENT, channel="luanti-console")
            assert "skipped" not in ada.text_of(message)


async def test_a_kill_overtakes_a_start(bot: Bot, game: Server, ada: Person) -> None:
    await ada.run("server start", "general", server="guess")
    question = await ada.answer(await ada.run("server kill", "general", server="guess"))
    await ada.answer(await ada.press(question, "Kill guess"), says(ada, "killed"), timeout=20)
    await until(lambda: bot.services.live.of(game.uuid).state is ServerState.OFFLINE, "the end")


async def test_a_console_token_that_was_given_out_ends_with_the_grant(bot: Bot, game: Server, ada: Person, cleo: Person) -> None:
    granted = await ada.run("access grant", "general", who=cleo.me["id"], level="viewer", server="guess")
    await ada.answer(granted, says(ada, "is now viewer"), timeout=PATIENT)
    like = Actor(ActorKind.DISCORD, "Cleo", discord_id=int(cleo.me["id"]), guild_id=game.guild_id)
    user = await bot.services.users.of(like)
    let_in = bot.services.sockets.admit(user, game, await bot.services.access.permissions_of(user, game))

    async def told(socket: ClientWebSocketResponse) -> str:
        await socket.send_json({"event": "auth", "args": [let_in.token]})
        return str((await socket.receive_json(timeout=PATIENT))["event"])

    async with ClientSession() as http:
        async with http.ws_connect(let_in.socket, origin=f"http://127.0.0.1:{bot.port}") as socket:
            assert await told(socket) == "auth success"
            revoked = await ada.run("access revoke", "general", who=cleo.me["id"], server="guess")
            await ada.answer(revoked, says(ada, "no longer granted"), timeout=PATIENT)
            async with asyncio.timeout(PATIENT):
                while (await socket.receive()).type is WSMsgType.TEXT:
                    pass
        async with http.ws_connect(let_in.socket, origin=f"http://127.0.0.1:{bot.port}") as socket:
            assert await told(socket) == "jwt error"
