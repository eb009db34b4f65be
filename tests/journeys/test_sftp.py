"""From Discord to a server's files and back: a password from /account, a real SFTP client on a real agent, a revocation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncssh
import pytest

from agent.app import Agent
from agent.app import running as agent_running
from bot.app import Bot
from core.config import AgentConfig
from sandbox.person import Person
from tests.journeys.stage import SYSTEM, Stage, until
from tests.journeys.test_accounts import password_in
from tests.journeys.test_power import says
from tests.journeys.test_real_agent import egg, free_port


@pytest.fixture
async def agent(stage: Stage, bot: Bot, tmp_path: Path) -> AsyncIterator[Agent]:
    """A node with SFTP that the bot knows."""
    port = free_port()
    await bot.services.nodes.create("n1", f"http://127.0.0.1:{port}", stage.token)
    config = AgentConfig.model_validate(
        {
            "api": {"host": "127.0.0.1", "port": port},
            "remote": {"url": f"http://127.0.0.1:{bot.port}", "token_id": stage.token.id, "token": stage.token.secret},
            "system": {"root_directory": str(tmp_path / "agent"), "data": str(tmp_path / "agent" / "volumes")},
            "docker": {"runtime": "process"},
            "sftp": {"host": "127.0.0.1", "port": 0},
        }
    )
    async with agent_running(config) as app:
        yield app


async def test_a_password_from_discord_opens_the_files_until_it_is_revoked(stage: Stage, bot: Bot, agent: Agent, ada: Person) -> None:
    made = await bot.services.eggs.import_ptdl(egg())
    node = await bot.services.nodes.by_name("n1")
    guild = next(iter(stage.box.state.guilds.values()))
    server = await bot.services.servers.create(
        SYSTEM, name="guess", egg_id=made.id, node_id=node.id, ip="127.0.0.1", port=free_port(), guild_id=int(guild.id)
    )
    bot.streams.look()
    await until(lambda: bot.services.live.of(server.uuid).state is not None, "the state of the game")
    answer = await ada.answer(await ada.run("account sftp", "general"), says(ada, "Password"))
    password = password_in(ada.text_of(answer))

    def sign_in(secret: str) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
        return asyncssh.connect(
            "127.0.0.1", agent.sftp.port, username=f"ada.{server.short}", password=secret, known_hosts=None, client_keys=None, config=None
        )

    with pytest.raises(asyncssh.PermissionDenied):
        async with sign_in("wrong"):
            pass
    async with sign_in(password) as connection:
        async with connection.start_sftp_client() as sftp, sftp.open("motd.txt", "w") as file:
            await file.write("hello")
        await ada.press(answer, "Revoke")
        async with asyncio.timeout(30):
            await connection.wait_closed()
    with pytest.raises(asyncssh.PermissionDenied):
        async with sign_in(password):
            pass
