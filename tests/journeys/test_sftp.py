"""From Discord to a server's files and back: a password from /account, a real SFTP client on a real agent, a revocation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncssh
import pytest
from sqlalchemy import select

from agent.app import Agent
from agent.app import running as agent_running
from bot.app import Bot
from core.clock import SystemClock
from core.config import AgentConfig
from core.models.activity import Activity
from sandbox.person import Person
from tests.journeys.stage import SYSTEM, Stage, until
from tests.journeys.test_accounts import password_in
from tests.journeys.test_power import says
from tests.journeys.test_real_agent import egg, free_port

PATIENT = 30.0


@pytest.fixture
async def agent(stage: Stage, bot: Bot, tmp_path: Path) -> AsyncIterator[Agent]:
    """A node with SFTP that the bot knows."""
    port = free_port()
    await bot.services.nodes.create("n1", f"http://127.0.0.1:{port}", stage.token)
    async with agent_running(config(stage, bot, port, tmp_path)) as app:
        yield app


def config(stage: Stage, bot: Bot, port: int, folder: Path) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "api": {"host": "127.0.0.1", "port": port},
            "remote": {"url": f"http://127.0.0.1:{bot.port}", "token_id": stage.token.id, "token": stage.token.secret},
            "system": {"root_directory": str(folder / "agent"), "data": str(folder / "agent" / "volumes")},
            "docker": {"runtime": "process"},
            "sftp": {"host": "127.0.0.1", "port": 0},
        }
    )


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


class Hasty(SystemClock):
    """The real time, in which nobody sleeps long; what they asked for is kept."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await super().sleep(min(seconds, 0.02))


async def test_a_hundred_guessed_passwords_are_slowed_down_and_told_of_once(
    stage: Stage, bot: Bot, ada: Person, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port, clock = free_port(), Hasty()
    node, _ = await bot.services.nodes.create("n1", f"http://127.0.0.1:{port}", stage.token)
    made = await bot.services.eggs.import_ptdl(egg())
    guild = next(iter(stage.box.state.guilds.values()))
    server = await bot.services.servers.create(
        SYSTEM, name="guess", egg_id=made.id, node_id=node.id, ip="127.0.0.1", port=free_port(), guild_id=int(guild.id)
    )
    await ada.answer(await ada.run("account sftp", "general"), says(ada, "Password"), timeout=PATIENT)
    await ada.answer(await ada.run("alert channel", "general", options={"channel": ada.channel_id("status")}), timeout=PATIENT)
    async with agent_running(config(stage, bot, port, tmp_path), clock) as agent:
        for _ in range(20):
            await asyncio.gather(*(guess(agent, f"ada.{server.short}") for _ in range(5)))
        told = await ada.wait_for(says(ada, "Wrong SFTP passwords on n1", "10 tries"), PATIENT, channel="status")
    delays = [seconds for seconds in clock.asked if seconds in (0.5, 1.0, 2.0, 4.0, 5.0)]
    assert delays.count(5.0) > 50
    assert [one["id"] for one in ada.messages("status") if says(ada, "Wrong SFTP passwords")(one)] == [told["id"]]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    async with bot.services.database.session() as session:
        failed = list(await session.scalars(select(Activity).where(Activity.event == "auth:sftp.fail")))
    assert len(failed) == 10


async def guess(agent: Agent, username: str) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with asyncssh.connect(
            "127.0.0.1", agent.sftp.port, username=username, password="guess", known_hosts=None, client_keys=None, config=None
        ):
            pass
