"""Which roles a guild's members hold: learnt from every interaction, and asked of Discord for those who are not interacting.

Needs no privileged intent. Must never be waited for without a limit; services.members sets one.
"""

import aiohttp
import discord

from bot.client import AerieClient
from bot.ui.asker import actor_of
from core.errors import NodeUnreachable
from core.services.members import Described, Members

_SILENT = "Discord does not answer."


class MemberRoles:
    """`services.members.discord`, and a hook of the client's interactions."""

    def __init__(self, client: AerieClient, members: Members) -> None:
        self._client = client
        self._members = members

    async def on_interaction(self, interaction: discord.Interaction[AerieClient]) -> None:
        """Remember what Discord says of the asker."""
        if interaction.guild_id is not None and isinstance(interaction.user, discord.Member):
            await self._members.seen(actor_of(interaction))

    async def describe(self, guild_id: int, discord_id: int) -> Described | None:
        """The member now; None when they are not in the guild. Raises NodeUnreachable when Discord cannot be asked."""
        guild = self._client.get_guild(guild_id)
        if not self._client.is_ready() or guild is None or guild.unavailable:
            raise NodeUnreachable(_SILENT)
        try:
            member = await guild.fetch_member(discord_id)
        except discord.NotFound:
            return None
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            raise NodeUnreachable(_SILENT) from error
        rights = member.guild_permissions
        roles = frozenset(role.id for role in member.roles)
        return Described(member.display_name, roles, rights.administrator or rights.manage_guild)
