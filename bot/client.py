"""The Discord client: intents, the command tree, `services`, and hooks that bot/app.py fills. It decides nothing.

Must never hold state of servers or guilds (services do), start work in `on_ready` (it fires after every reconnect), or grow beyond
150 lines.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import discord
import orjson
from discord import app_commands

from core.clock import Clock
from core.errors import AerieError
from core.metrics import Metrics
from core.services.build import Services
from core.supervise import Supervisor

log = logging.getLogger(__name__)

Failed = Callable[[discord.Interaction["AerieClient"], BaseException], Awaitable[None]]
LONGEST_RATE_LIMIT = 30.0  # s; the least discord.py takes: longer waits raise RateLimited instead of holding a handler


class AerieTree(app_commands.CommandTree["AerieClient"]):
    """Commands that exist in guilds only; every failure goes to one renderer."""

    def __init__(self, client: "AerieClient") -> None:
        super().__init__(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )

    async def interaction_check(self, interaction: discord.Interaction["AerieClient"], /) -> bool:
        """No command begins while the database is away: its asker is told before Discord gives up."""
        try:
            await self.client.services.database.awake()
        except AerieError as error:
            await self.client.failed(interaction, error)
            return False
        return True

    async def on_error(self, interaction: discord.Interaction["AerieClient"], error: app_commands.AppCommandError, /) -> None:
        if interaction.command is not None:
            self.client.metrics.commands.labels(interaction.command.qualified_name, "failed").inc()
        await self.client.failed(interaction, error)


class AerieClient(discord.Client):
    """discord.py's client with what commands and buttons need: `services`, `clock`, and `tasks` for stories told over minutes."""

    def __init__(self, services: Services, tasks: Supervisor, clock: Clock, failed: Failed, *, test_guild: int | None = None) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True, guild_messages=True),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            guild_ready_timeout=0.5,  # nothing waits for the cache to be whole
            max_ratelimit_timeout=LONGEST_RATE_LIMIT,
        )
        self.services = services
        self.tasks = tasks
        self.clock = clock
        self.failed = failed
        self.metrics = Metrics()
        self.test_guild = discord.Object(test_guild) if test_guild else None
        self.tree = AerieTree(self)
        self.dynamic_items: list[type[discord.ui.DynamicItem[Any]]] = []
        self.message_hooks: list[Callable[[discord.Message], Awaitable[None]]] = []
        self.interaction_hooks: list[Callable[[discord.Interaction[AerieClient]], Awaitable[None]]] = []
        self.modal_hooks: list[Callable[[discord.Interaction[AerieClient]], Awaitable[None]]] = []
        self.console_attached: Callable[[Any], Awaitable[None]] | None = None
        self.console_detached: Callable[[Any], Awaitable[None]] | None = None
        self.card_posted: Callable[[], None] | None = None
        self.request_changed: Callable[[], None] | None = None
        self.server_made: Callable[[], None] = lambda: None

    async def setup_hook(self) -> None:
        """Runs after the sign-in and before the gateway: persistent buttons and, only when it changed, the command tree."""
        self.add_dynamic_items(*self.dynamic_items)
        if self.application is not None:
            team = self.application.team
            self.services.api_keys.owners |= {member.id for member in team.members} if team else {self.application.owner.id}
        await self.sync()

    async def wait_until_ready(self) -> None:
        """discord.py's own raises before the first sign-in, and a sign-in after a failed one leaves its waiters behind."""
        while not self.is_ready():
            await self.clock.sleep(0.2)

    async def sync(self) -> bool:
        """Send the command tree when it differs from what was last sent, or when Discord no longer has it. Answers whether it was sent."""
        scope = str(self.test_guild.id) if self.test_guild else "global"
        if self.test_guild:
            self.tree.copy_global_to(guild=self.test_guild)
        commands = self.tree.get_commands(guild=self.test_guild)
        body = orjson.dumps([command.to_dict(self.tree) for command in commands], option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(discord.__version__.encode() + str(self.application_id).encode() + body).hexdigest()
        known = {command.name for command in await self.tree.fetch_commands(guild=self.test_guild)}
        if known == {command.name for command in commands} and await self.services.guilds.command_hash(scope) == digest:
            return False
        try:
            await self.tree.sync(guild=self.test_guild)
        except app_commands.CommandSyncFailure:
            log.exception("Discord does not take the slash commands; the old ones stay")
            return False
        await self.services.guilds.set_command_hash(scope, digest)
        log.info("sent %d slash commands to Discord (%s)", len(commands), scope)
        return True

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Tell nobody of what a command that outlived the client still does: discord.py would make a coroutine that is never run."""
        if self.loop is not discord.utils.MISSING:
            super().dispatch(event, *args, **kwargs)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        await self._bind(guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        await self._bind(guild)

    async def on_guild_update(self, _before: discord.Guild, after: discord.Guild) -> None:
        await self._bind(after)

    async def _bind(self, guild: discord.Guild) -> None:
        """Remember who owns the guild: the one who may do everything in it and whom a refusal names."""
        if guild.owner_id is None:
            return
        try:
            await self.services.guilds.bind(guild.id, guild.owner_id, guild.name)
        except AerieError as error:
            log.warning("guild %s could not be recorded: %s", guild.id, error)

    async def on_message(self, message: discord.Message) -> None:
        for hook in self.message_hooks:
            await hook(message)

    async def on_app_command_completion(
        self, _: discord.Interaction["AerieClient"], command: app_commands.Command[Any, ..., Any] | app_commands.ContextMenu
    ) -> None:
        self.metrics.commands.labels(command.qualified_name, "ok").inc()

    async def on_interaction(self, interaction: discord.Interaction["AerieClient"]) -> None:
        """Forms: discord.py forgets them when it restarts, so their state is in the custom_id and they are answered here."""
        hooks = self.modal_hooks if interaction.type is discord.InteractionType.modal_submit else []
        for hook in [*hooks, *self.interaction_hooks]:
            await hook(interaction)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        log.exception("handling %s failed", event_method)
