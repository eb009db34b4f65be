"""A whole stage in one process: the sandbox, the bot with its database, and a node; people come and go as the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.app import Bot, running
from core.actor import Actor
from core.bot_settings import BackplaneSection, ConsoleSection, DatabaseSection, DiscordSection, EndpointSection
from core.clock import Clock
from core.config import BotConfig
from core.models.server import Server
from core.services.servers import Limits
from core.tokens import NodeToken, new_node_token
from sandbox.app import Sandbox, SandboxConfig
from sandbox.app import running as sandbox_running
from tests.discord_openapi import Checker
from tests.fakes.node import FakeNode, FakeServer

SEED = Path(__file__).resolve().parents[2] / "demo" / "seed.json"
EGG = Path(__file__).resolve().parents[2] / "demo" / "eggs" / "freeciv.json"
SYSTEM = Actor.system("test")


@dataclass
class Stage:
    """What stands, and how to start more of it."""

    box: Sandbox
    folder: Path
    token: NodeToken
    stack: AsyncExitStack
    checker: Checker
    servers: dict[str, Server] = field(default_factory=dict)

    def config(self, **discord: str) -> BotConfig:
        """The bot's settings; its database is kept between two starts."""
        section = {"token": self.box.token, "sandbox_url": self.box.url, **discord}
        return BotConfig(
            discord=DiscordSection.model_validate(section),
            database=DatabaseSection.model_validate({"url": f"sqlite+aiosqlite:///{self.folder / 'aerie.sqlite3'}"}),
            backplane=BackplaneSection(),
            endpoint=EndpointSection(port=0),
            console=ConsoleSection(),
        )

    @asynccontextmanager
    async def bot(self, *, wait: bool = True, clock: Clock | None = None, **discord: str) -> AsyncIterator[Bot]:
        """The bot, with Discord connected unless `wait` is False."""
        async with running(self.config(**discord), clock) as bot:
            if wait:
                await until(lambda: bot.discord.ready, "the bot to be ready")
            yield bot

    async def server(self, bot: Bot, node: FakeNode, name: str, state: str = "offline") -> FakeServer:
        """A game server in the sandbox's guild, on this node."""
        guild = next(iter(self.box.state.guilds.values()))
        known = {one.name: one.id for one in await bot.services.nodes.all()}
        if "n1" not in known:
            row, _ = await bot.services.nodes.create("n1", node.url, self.token)
            known["n1"] = row.id
        eggs = await bot.services.eggs.all()
        egg = eggs[0] if eggs else await bot.services.eggs.import_ptdl(EGG.read_bytes())
        port = 30000 + len(self.servers)
        made = await bot.services.servers.create(
            SYSTEM,
            name=name,
            egg_id=egg.id,
            node_id=known["n1"],
            ip="127.0.0.1",
            port=port,
            guild_id=int(guild.id),
            limits=Limits(memory=512),
        )
        self.servers[name] = made
        fake = await node.become(made.uuid, state)
        bot.streams.look()
        await until(lambda: bot.services.live.of(made.uuid).state == state, f"the state of {name}")
        return fake


async def until(fact: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Wait until a fact holds."""
    for _ in range(int(seconds / 0.05)):
        if fact():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Stage]:
    """A sandbox whose every accepted body fits Discord's own schema."""
    checker = Checker()
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(sandbox_running(SandboxConfig(seed=SEED, observers=[checker])))
        yield Stage(box, folder, new_node_token(), stack, checker)
    assert not checker.complaints, checker.complaints
