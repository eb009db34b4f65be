"""How the records of `state` look as Discord's JSON objects.

Pure functions; must never change the state. Optional keys are left out rather than sent as null where Discord does so.
"""

from urllib.parse import quote

from sandbox.errors import Json
from sandbox.state import Attachment, Channel, Guild, Member, Message, Role, State, User, Webhook


def user(someone: User) -> Json:
    """A user object."""
    return {
        "id": someone.id, "username": someone.name, "discriminator": "0000" if someone.bot else "0",
        "global_name": None if someone.bot else someone.name,
        "avatar": someone.avatar, "bot": someone.bot, "system": False, "public_flags": 0, "flags": 0, "banner": None,
        "accent_color": None, "avatar_decoration_data": None, "collectibles": None, "primary_guild": None, "clan": None,
    }  # fmt: skip


def own_user(state: State) -> Json:
    """The bot's own user, with the keys only the owner of the token sees."""
    return {**user(state.bot), "mfa_enabled": True, "locale": "en-US", "verified": True, "email": None, "premium_type": 0}


def role(item: Role) -> Json:
    """A role object."""
    tags = {"tags": {"bot_id": item.bot_id}} if item.bot_id else {}
    return {
        "id": item.id, "name": item.name, "permissions": str(item.permissions), "position": item.position, "color": item.color,
        "colors": {"primary_color": item.color, "secondary_color": None, "tertiary_color": None}, "hoist": item.hoist,
        "managed": item.managed, "mentionable": item.mentionable, "icon": None, "unicode_emoji": None, "flags": 0, **tags,
    }  # fmt: skip


def partial_member(item: Member) -> Json:
    """A member object without the user."""
    return {
        "roles": list(item.roles), "joined_at": item.joined_at, "nick": item.nick, "avatar": None, "banner": None, "premium_since": None,
        "pending": False, "communication_disabled_until": None, "flags": 0, "deaf": False, "mute": False,
    }  # fmt: skip


def member(item: Member) -> Json:
    """A member object."""
    return {**partial_member(item), "user": user(item.user)}


def channel(state: State, item: Channel) -> Json:
    """A channel, thread or direct message object."""
    if item.thread is not None:
        return thread(item)
    if item.guild_id is None:
        return {
            "id": item.id, "type": 1, "flags": 0, "last_message_id": item.last_message_id,
            "recipients": [user(state.users[user_id]) for user_id in item.recipients if user_id in state.users],
        }  # fmt: skip
    found: Json = {
        "id": item.id, "type": item.type, "guild_id": item.guild_id, "name": item.name, "topic": item.topic, "position": item.position,
        "parent_id": item.parent_id, "nsfw": item.nsfw, "flags": 0, "last_message_id": item.last_message_id,
        "rate_limit_per_user": item.slowmode, "permission_overwrites": [
            {"id": one.id, "type": one.type, "allow": str(one.allow), "deny": str(one.deny)} for one in item.overwrites
        ],
    }  # fmt: skip
    if item.type == 2:
        found |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
    if item.type in (0, 5, 15):
        found["default_auto_archive_duration"] = item.default_archive_minutes
    if item.type == 15:
        found |= {
            "available_tags": item.available_tags,
            "default_reaction_emoji": None,
            "default_sort_order": None,
            "default_forum_layout": 0,
        }
    return found


def thread(item: Channel) -> Json:
    """A thread object."""
    info = item.thread
    assert info is not None
    return {
        "id": item.id, "type": item.type, "guild_id": item.guild_id, "name": item.name, "parent_id": item.parent_id, "flags": 0,
        "owner_id": info.owner_id, "last_message_id": item.last_message_id, "rate_limit_per_user": item.slowmode,
        "message_count": len(item.messages), "member_count": len(info.members), "total_message_sent": info.total_messages,
        "applied_tags": info.applied_tags,
        "thread_metadata": {
            "archived": info.archived, "auto_archive_duration": info.archive_minutes,
            "archive_timestamp": info.archived_at or info.created_at,
            "locked": info.locked, "create_timestamp": info.created_at, **({"invitable": info.invitable} if item.type == 12 else {}),
        },
    }  # fmt: skip


def thread_member(state: State, item: Channel, user_id: str) -> Json:
    """A thread member object."""
    return {"id": item.id, "user_id": user_id, "join_timestamp": item.thread.created_at if item.thread else state.clock.iso(), "flags": 0}


def guild(state: State, item: Guild, *, all_members: bool) -> Json:
    """A guild as GUILD_CREATE carries it; without the members intent only the bot itself is listed."""
    return {
        **guild_only(item),
        "unavailable": False,
        "large": False,
        "joined_at": item.members[state.bot.id].joined_at,
        "member_count": len(item.members),
        "members": [member(one) for one in item.members.values() if all_members or one.user.bot],
        "channels": [channel(state, one) for one in item.channels.values()],
        "threads": [thread(one) for one in active_threads(state, item)],
        "voice_states": [], "presences": [], "stage_instances": [], "guild_scheduled_events": [], "soundboard_sounds": [],
    }  # fmt: skip


def active_threads(state: State, item: Guild) -> list[Channel]:
    """The threads of a guild that are not archived and that the bot sees."""
    return [one for one in item.threads.values() if one.thread and not one.thread.archived and state.can_see(state.bot.id, one)]


def guild_only(item: Guild) -> Json:
    """A guild object as REST answers it."""
    return {
        "id": item.id, "name": item.name, "owner_id": item.owner_id, "preferred_locale": item.locale, "icon": None, "icon_hash": None,
        "splash": None, "discovery_splash": None, "banner": None, "description": None, "afk_channel_id": None, "afk_timeout": 300,
        "verification_level": 1, "default_message_notifications": 1, "explicit_content_filter": 0, "mfa_level": 0, "nsfw_level": 0,
        "nsfw": False, "premium_tier": 0, "premium_subscription_count": 0, "premium_progress_bar_enabled": False, "features": [],
        "emojis": [], "stickers": [], "roles": [role(one) for one in item.roles.values()], "application_id": None, "region": "local",
        "system_channel_id": None, "system_channel_flags": 0, "rules_channel_id": None, "public_updates_channel_id": None,
        "safety_alerts_channel_id": None, "vanity_url_code": None, "max_members": 500000, "max_presences": None,
        "max_video_channel_users": 25, "max_stage_video_channel_users": 50, "widget_enabled": False, "widget_channel_id": None,
        "home_header": None, "hub_type": None, "incidents_data": None, "latest_onboarding_question_id": None,
    }  # fmt: skip


def attachment_url(base_url: str, channel_id: str, item: Attachment) -> str:
    """Where the sandbox serves a file."""
    return f"{base_url}/attachments/{channel_id}/{item.id}/{quote(item.filename)}"


def attachment(base_url: str, channel_id: str, item: Attachment, *, ephemeral: bool = False) -> Json:
    """An attachment object."""
    url = attachment_url(base_url, channel_id, item)
    found: Json = {
        "id": item.id, "filename": item.filename, "size": len(item.data), "url": url, "proxy_url": url, "content_type": item.content_type,
    }  # fmt: skip
    if item.description is not None:
        found["description"] = item.description
    if item.title is not None:
        found["title"] = item.title
    if ephemeral:
        found["ephemeral"] = True
    if item.flags:
        found["flags"] = item.flags
    return found


def emoji(key: str) -> Json:
    """A partial emoji from the key reactions are counted under: a unicode emoji or `name:id`."""
    name, _, emoji_id = key.partition(":")
    return {"id": emoji_id or None, "name": name}


def reactions(state: State, item: Message) -> list[Json]:
    """The reaction counts of a message as the bot sees them."""
    return [
        {
            "emoji": emoji(key), "count": len(users), "count_details": {"burst": 0, "normal": len(users)}, "burst_colors": [],
            "me_burst": False, "burst_me": False, "burst_count": 0, "me": state.bot.id in users,
        }
        for key, users in item.reactions.items() if users
    ]  # fmt: skip


def message(state: State, base_url: str, item: Message, *, nested: bool = False) -> Json:
    """A message object; a referenced message is included one level deep."""
    found: Json = {
        "id": item.id, "channel_id": item.channel_id, "type": item.type, "content": item.content, "author": user(item.author),
        "timestamp": item.timestamp, "edited_timestamp": item.edited_timestamp, "tts": item.tts, "flags": item.flags,
        "embeds": item.embeds, "components": item.components, "pinned": item.pinned, "mention_everyone": item.mention_everyone,
        "mention_roles": item.mention_roles, "mentions": [user(state.users[one]) for one in item.mentions if one in state.users],
        "attachments": [
            attachment(base_url, item.channel_id, one, ephemeral=item.ephemeral_for is not None)
            for one in item.attachments if not one.embedded
        ],
    }  # fmt: skip
    if counted := reactions(state, item):
        found["reactions"] = counted
    if item.nonce is not None:
        found["nonce"] = item.nonce
    if item.webhook_id is not None:
        found["webhook_id"] = item.webhook_id
    if item.application_id is not None:
        found["application_id"] = item.application_id
    if item.poll is not None:
        found["poll"] = item.poll
    if item.interaction is not None:
        found["interaction_metadata"] = item.interaction
        if item.interaction_name is not None:
            found["interaction"] = {
                "id": item.interaction["id"], "type": item.interaction["type"], "name": item.interaction_name,
                "user": item.interaction["user"],
            }  # fmt: skip
    if item.thread_id is not None and (started := state.channel(item.thread_id)) is not None:
        found["thread"] = thread(started)
    if item.reference is not None:
        found["message_reference"] = item.reference
        if not nested and "message_id" in item.reference:
            referred = state.message(item.reference["channel_id"], item.reference["message_id"])
            found["referenced_message"] = message(state, base_url, referred, nested=True) if referred else None
    return found


def shown_message(state: State, base_url: str, item: Message) -> Json:
    """A message as the page sees it: Discord's object plus who alone sees it and whether the answer is still to come."""
    return {
        **message(state, base_url, item),
        "ephemeral_for": item.ephemeral_for,
        "thinking": item.thinking,
        "interaction_metadata": shown_interaction(item),
    }


def shown_interaction(item: Message) -> Json | None:
    """Discord's interaction metadata plus the command's name, which clients show above the answer."""
    if item.interaction is None:
        return None
    return {**item.interaction, "name": item.interaction_name}


def webhook(state: State, item: Webhook) -> Json:
    """A webhook object."""
    return {
        "id": item.id, "type": 1, "token": item.token, "name": item.name, "avatar": item.avatar, "channel_id": item.channel_id,
        "guild_id": item.guild_id, "application_id": state.application_id, "user": user(state.users[item.creator_id]),
    }  # fmt: skip
