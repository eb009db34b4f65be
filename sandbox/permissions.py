"""Discord's permission bits and how a member's permissions in a channel are computed.

Pure functions over numbers; must never touch the state.
"""

from collections.abc import Iterable
from dataclasses import dataclass

BITS: dict[str, int] = {
    "create_instant_invite": 0, "kick_members": 1, "ban_members": 2, "administrator": 3, "manage_channels": 4, "manage_guild": 5,
    "add_reactions": 6, "view_audit_log": 7, "priority_speaker": 8, "stream": 9, "view_channel": 10, "send_messages": 11,
    "send_tts_messages": 12, "manage_messages": 13, "embed_links": 14, "attach_files": 15, "read_message_history": 16,
    "mention_everyone": 17, "use_external_emojis": 18, "view_guild_insights": 19, "connect": 20, "speak": 21, "mute_members": 22,
    "deafen_members": 23, "move_members": 24, "use_vad": 25, "change_nickname": 26, "manage_nicknames": 27, "manage_roles": 28,
    "manage_webhooks": 29, "manage_guild_expressions": 30, "use_application_commands": 31, "request_to_speak": 32,
    "manage_events": 33, "manage_threads": 34, "create_public_threads": 35, "create_private_threads": 36,
    "use_external_stickers": 37, "send_messages_in_threads": 38, "use_embedded_activities": 39, "moderate_members": 40,
    "view_creator_monetization_analytics": 41, "use_soundboard": 42, "create_guild_expressions": 43, "create_events": 44,
    "use_external_sounds": 45, "send_voice_messages": 46, "set_voice_channel_status": 48, "send_polls": 49, "use_external_apps": 50,
    "pin_messages": 51, "bypass_slowmode": 52,
}  # fmt: skip

ADMINISTRATOR = 1 << BITS["administrator"]
MANAGE_CHANNELS = 1 << BITS["manage_channels"]
MANAGE_ROLES = 1 << BITS["manage_roles"]
MANAGE_MESSAGES = 1 << BITS["manage_messages"]
MANAGE_WEBHOOKS = 1 << BITS["manage_webhooks"]
MANAGE_THREADS = 1 << BITS["manage_threads"]
MANAGE_NICKNAMES = 1 << BITS["manage_nicknames"]
ADD_REACTIONS = 1 << BITS["add_reactions"]
VIEW_CHANNEL = 1 << BITS["view_channel"]
SEND_MESSAGES = 1 << BITS["send_messages"]
SEND_MESSAGES_IN_THREADS = 1 << BITS["send_messages_in_threads"]
EMBED_LINKS = 1 << BITS["embed_links"]
ATTACH_FILES = 1 << BITS["attach_files"]
READ_MESSAGE_HISTORY = 1 << BITS["read_message_history"]
MENTION_EVERYONE = 1 << BITS["mention_everyone"]
CREATE_PUBLIC_THREADS = 1 << BITS["create_public_threads"]
CREATE_PRIVATE_THREADS = 1 << BITS["create_private_threads"]
PIN_MESSAGES = 1 << BITS["pin_messages"]
USE_APPLICATION_COMMANDS = 1 << BITS["use_application_commands"]

ALL = sum(1 << bit for bit in BITS.values())


def from_names(names: Iterable[str]) -> int:
    """The bits of a list of names as in Discord's documentation, in lower case.

    Raises ValueError naming an unknown permission.
    """
    bits = 0
    for name in names:
        key = name.lower()
        if key not in BITS:
            raise ValueError(f"unknown permission {name!r}; known are {', '.join(sorted(BITS))}")
        bits |= 1 << BITS[key]
    return bits


def names_of(bits: int) -> list[str]:
    """The names of the bits that are set."""
    return [name for name, bit in BITS.items() if bits >> bit & 1]


EVERYONE_DEFAULT = from_names((
    "view_channel", "send_messages", "send_messages_in_threads", "create_public_threads", "embed_links", "attach_files",
    "read_message_history", "add_reactions", "use_external_emojis", "use_application_commands", "change_nickname", "connect",
    "speak", "use_vad", "send_polls", "create_instant_invite",
))  # fmt: skip

BOT_DEFAULT = from_names((
    "view_channel", "send_messages", "send_messages_in_threads", "create_public_threads", "create_private_threads", "embed_links",
    "attach_files", "read_message_history", "add_reactions", "manage_webhooks", "manage_threads", "pin_messages", "create_events",
))  # fmt: skip


@dataclass(frozen=True)
class Overwrite:
    """What a channel adds to or takes from one role or member."""

    id: str
    type: int  # 0 role, 1 member
    allow: int
    deny: int


def compute(
    *, guild_id: str, member_id: str, is_owner: bool, everyone: int, roles: Iterable[tuple[str, int]], overwrites: Iterable[Overwrite]
) -> int:
    """A member's permissions in a channel, in the order Discord documents.

    `roles` are (id, permissions) of the member's roles without @everyone; `overwrites` are the channel's (its parent's for a thread).
    """
    if is_owner:
        return ALL
    role_bits = dict(roles)
    bits = everyone
    for permissions in role_bits.values():
        bits |= permissions
    if bits & ADMINISTRATOR:
        return ALL
    by_id = {overwrite.id: overwrite for overwrite in overwrites}
    if (general := by_id.get(guild_id)) is not None:
        bits = bits & ~general.deny | general.allow
    allow = deny = 0
    for role_id in role_bits:
        if (overwrite := by_id.get(role_id)) is not None:
            allow |= overwrite.allow
            deny |= overwrite.deny
    bits = bits & ~deny | allow
    if (personal := by_id.get(member_id)) is not None:
        bits = bits & ~personal.deny | personal.allow
    return bits if bits & VIEW_CHANNEL else bits & ~(SEND_MESSAGES | READ_MESSAGE_HISTORY | ADD_REACTIONS)
