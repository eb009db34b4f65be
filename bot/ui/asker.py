"""Who pressed or typed: an interaction or a message as an Actor.

Everything comes from Discord's own payload, so no member cache is needed.
"""

import discord

from core.actor import Actor
from core.errors import Forbidden
from core.vocabulary import ActorKind


def actor_of(interaction: discord.Interaction) -> Actor:
    """The member behind an interaction, with roles and rights as Discord resolved them. Raises Forbidden outside a guild."""
    user, guild = interaction.user, interaction.guild
    if interaction.guild_id is None or not isinstance(user, discord.Member):
        raise Forbidden("Game servers belong to a community.", hint="Use this command in its channels, not in a private chat.")
    rights = interaction.permissions
    return Actor(
        ActorKind.DISCORD,
        user.display_name,
        discord_id=user.id,
        guild_id=interaction.guild_id,
        role_ids=frozenset(role.id for role in user.roles),
        guild_owner=guild is not None and guild.owner_id == user.id,
        guild_admin=rights.administrator or rights.manage_guild,
        origin=f"discord:{interaction.channel_id}",
    )


def author_of(message: discord.Message) -> Actor | None:
    """The member who wrote a message; None for webhooks, bots and private chats."""
    user, guild = message.author, message.guild
    if guild is None or not isinstance(user, discord.Member) or user.bot or message.webhook_id:
        return None
    rights = user.guild_permissions
    return Actor(
        ActorKind.DISCORD,
        user.display_name,
        discord_id=user.id,
        guild_id=guild.id,
        role_ids=frozenset(role.id for role in user.roles),
        guild_owner=guild.owner_id == user.id,
        guild_admin=rights.administrator or rights.manage_guild,
        origin=f"discord:{message.channel.id}",
    )
