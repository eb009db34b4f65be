"""A sandbox, the bot's own client with a ConsoleBridge, and a console whose lines a test writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import discord
import yarl
from discord.gateway import DiscordWebSocket

from bot.client import AerieClient
from bot.ui import errors
from bot.workers.console_bridge import ConsoleBridge
from bot.workers.console_view import Pace
from core.actor import Actor
from core.bot_settings import ConsoleSection
from core.clock import SystemClock
from core.errors import MissingPermission
from core.fanout import Fanout, Listener
from core.models.guild import ConsoleBridge as Row
from core.models.server import Server
from core.protocol.socket import ConsoleBatch, ConsolePlace
from core.services.build import Services
from core.services.console import checked
from core.services.live import Live
from core.supervise import Supervisor
from core.vocabulary import ServerState
from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import Json, Person
from tests.discord_openapi import Checker

UUID = "0f5b7d1e-0000-4000-8000-000000000001"
QUICK = Pace(interval=1.3, file_every=2.0, file_soonest=1.0, look_every=0.1)


@dataclass
class Guilds:
    """The bindings, in memory."""

    rows: dict[int, Row] = field(default_factory=dict)

    async def consoles(self) -> list[Row]:
        return list(self.rows.values())

    async def remember_message(self, bridge_id: int, message_id: int | None) -> None:
        self.rows[bridge_id].message_id = message_id

    async def remember_place(self, bridge_id: int, last_seq: int | None, boot: str) -> None:
        self.rows[bridge_id].last_seq, self.rows[bridge_id].boot = last_seq, boot

    async def forget_console(self, bridge_id: int) -> None:
        self.rows.pop(bridge_id, None)

    async def bind(self, guild_id: int, owner_id: int, name: str) -> None: ...

    async def command_hash(self, scope: str) -> str | None:
        return None

    async def set_command_hash(self, scope: str, value: str) -> None: ...


@dataclass
class GameConsole:
    """Accepts lines of everybody but Kim, by the service's own rules for a line."""

    typed: list[tuple[str, str]] = field(default_factory=list)

    past: list[str] = field(default_factory=list)

    async def tail(self, actor: Actor, ref: str, lines: int, upto: ConsolePlace | None = None) -> list[str]:
        return self.past[-lines:]

    async def send(self, actor: Actor, ref: str, line: str) -> None:
        if actor.name == "Kim":
            raise MissingPermission("control.console", "send commands to the console of Luanti", grantors="<@1>")
        self.typed.append((actor.name, checked(line)))


class Script:
    """The console's source: lines a test writes, numbered."""

    def __init__(self) -> None:
        self._fanout: Fanout[ConsoleBatch] = Fanout(lambda batch: sum(map(len, batch.lines)) + 64)
        self.next = 1
        self.boot = ""
        self.places: list[ConsolePlace | None] = []
        """Where each reader wanted to begin."""

    def console(self, _uuid: str, place: ConsolePlace | None = None) -> Listener[ConsoleBatch]:
        self.places.append(place)
        return self._fanout.listen(2000, 4 * 1024 * 1024)

    def write(self, *lines: str) -> None:
        self._fanout.publish(ConsoleBatch(first_seq=self.next, lines=list(lines), boot=self.boot))
        self.next += len(lines)

    def lose(self, lines: int) -> None:
        self.next += lines

    async def listened(self) -> None:
        async with asyncio.timeout(5):
            while not len(self._fanout):
                await asyncio.sleep(0.01)


@dataclass
class Stage:
    """Everything a test steers."""

    box: Sandbox
    client: AerieClient
    bridge: ConsoleBridge
    script: Script
    guilds: Guilds
    console: GameConsole
    live: dict[str, Live]
    ada: Person

    async def shows(self, words: str, timeout: float = 8.0) -> Json:
        """The message of #console that holds these words."""
        return await self.ada.wait_for(lambda message: words in message["content"], timeout, channel="console")

    def messages(self) -> list[Json]:
        return self.ada.messages("console")


def row_for(box: Sandbox, message_id: int | None = None) -> Row:
    channel = next(channel for channel in box.state.channels() if channel.name == "console")
    server = Server(id=1, uuid=UUID, short=UUID[:8], name="Luanti", guild_id=int(channel.guild_id or 0))
    return Row(
        id=1,
        guild_id=server.guild_id,
        channel_id=int(channel.id),
        server_id=1,
        message_id=message_id,
        boot="",
        attached_by="test",
        server=server,
    )


@asynccontextmanager
async def bot(
    box: Sandbox, script: Script, rows: Guilds, pace: Pace = QUICK, past: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[Stage]:
    """The bot's client and bridge on a running sandbox."""
    base, gateway = discord.http.Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    discord.http.Route.BASE = box.api_url
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(box.gateway_url)
    clock, console, live = SystemClock(), GameConsole(past=list(past)), {UUID: Live(state=ServerState.RUNNING)}
    keys = SimpleNamespace(owners=set())
    services = cast(Services, SimpleNamespace(guilds=rows, console=console, api_keys=keys, live=SimpleNamespace(of=live.__getitem__)))
    try:
        async with Supervisor("test", clock) as tasks, Person.connect(box.url, "Ada") as ada:
            client = AerieClient(services, tasks, clock, errors.tell)
            client._connection.guild_ready_timeout = 0.1
            bridge = ConsoleBridge(client, services, script, ConsoleSection(**settings), clock, pace=pace)
            client.message_hooks.append(bridge.on_message)
            await client.login(box.token)
            tasks.spawn("gateway", client.connect())
            async with asyncio.timeout(10):
                await client.wait_until_ready()
            tasks.run("console bridge", bridge.run)
            await script.listened()
            yield Stage(box, client, bridge, script, rows, console, live, ada)
            await client.close()
    finally:
        discord.http.Route.BASE = base
        DiscordWebSocket.DEFAULT_GATEWAY = gateway


@asynccontextmanager
async def stage(pace: Pace = QUICK, past: tuple[str, ...] = (), **settings: Any) -> AsyncIterator[Stage]:
    """One console attached to #console. Nothing the bot sends may break Discord's schema or earn a 429."""
    checker = Checker()
    async with running(SandboxConfig(observers=[checker])) as box:
        rows = Guilds({1: row_for(box)})
        async with bot(box, Script(), rows, pace, past, **settings) as made:
            yield made
        assert box.rate_limit_hits == 0
    assert not checker.complaints
