"""Finding what a request names, and refusing what the bot may not see or do.

Every handler goes through here for channels, messages, guilds and members. Must never change anything.
"""

from sandbox import errors, permissions
from sandbox.errors import DiscordError
from sandbox.rest.router import Call
from sandbox.state import Channel, Guild, Member, Message


def channel_of(call: Call, *needed: int, key: str = "channel_id") -> Channel:
    """The channel in the path, visible to the bot. Raises 10003, 50001, or 50013 when a needed permission is missing."""
    channel = call.world.state.channel(call.ids[key])
    if channel is None:
        raise errors.unknown_channel()
    bits = call.world.state.permissions_in(call.world.state.bot.id, channel)
    if not bits & permissions.VIEW_CHANNEL:
        raise errors.missing_access()
    for bit in needed:
        if not bits & bit:
            raise errors.missing_permissions()
    return channel


def may(call: Call, channel: Channel, bit: int) -> bool:
    """Whether the bot has a permission in a channel."""
    return bool(call.world.state.permissions_in(call.world.state.bot.id, channel) & bit)


def may_send(call: Call, channel: Channel) -> None:
    """Raises unless the bot may post here: text, not a forum or category, SEND_MESSAGES or its thread twin."""
    if channel.type in (4, 14, 15):
        raise DiscordError(400, 50008, "Cannot send messages in a non-text channel")
    bit = permissions.SEND_MESSAGES_IN_THREADS if channel.thread is not None else permissions.SEND_MESSAGES
    if not may(call, channel, bit):
        raise errors.missing_permissions()
    if channel.thread is not None and channel.thread.locked and not may(call, channel, permissions.MANAGE_THREADS):
        raise DiscordError(400, 50083, "Thread is archived")


def message_of(call: Call, channel: Channel, *, history: bool = True) -> Message:
    """The message in the path. Raises 10008; 50013 without READ_MESSAGE_HISTORY."""
    if history and not may(call, channel, permissions.READ_MESSAGE_HISTORY):
        raise errors.missing_permissions()
    message = channel.messages.get(call.ids["message_id"])
    if message is None:
        raise errors.unknown_message()
    return message


def guild_of(call: Call) -> Guild:
    """The guild in the path. Raises 10004."""
    guild = call.world.state.guilds.get(call.ids["guild_id"])
    if guild is None:
        raise errors.unknown_guild()
    return guild


def member_of(call: Call, guild: Guild) -> Member:
    """The member in the path. Raises 10007, or 10013 when there is no such user at all."""
    member = guild.members.get(call.ids["user_id"])
    if member is None:
        raise errors.unknown_member() if call.ids["user_id"] in call.world.state.users else errors.unknown_user()
    return member


def guild_permission(call: Call, guild: Guild, bit: int) -> None:
    """Raises 50013 unless the bot has a permission in the guild."""
    if not guild.member_permissions(call.world.state.bot.id) & bit:
        raise errors.missing_permissions()


def application(call: Call) -> None:
    """Raises unless the application in the path is the bot's own."""
    if call.ids["application_id"] != call.world.state.application_id:
        raise DiscordError(403, 20012, "You are not authorized to perform this action on this application")


def editable(channel: Channel) -> None:
    """Raises 50083 when messages in an archived thread would be changed."""
    if channel.thread is not None and channel.thread.archived:
        raise DiscordError(400, 50083, "Thread is archived")
