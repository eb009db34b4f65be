"""Messages over REST: send, edit, delete, read, pins, reactions, typing.

Asks `rules.messages` what a body means and `posting` to make it so. Must never speak to sockets itself.
"""

from functools import partial
from typing import Any
from urllib.parse import unquote

from sandbox import errors, limits, objects, permissions, posting
from sandbox.errors import DiscordError, Json
from sandbox.gateway import content_is_open, without_content
from sandbox.limits import Bucket
from sandbox.rest.access import channel_of, editable, may, may_send, message_of
from sandbox.rest.router import Call, Route
from sandbox.rules import messages as rules
from sandbox.rules import shapes
from sandbox.state import Channel, Message

MESSAGES = "/channels/{channel_id}/messages"
ONE = MESSAGES + "/{message_id}"
EMOJI = ONE + "/reactions/{emoji_name}"


def answered(call: Call, message: Message) -> Json:
    """A message as REST answers it to the bot, with the content rule applied."""
    state = call.world.state
    data = objects.message(state, call.world.hub.base_url, message)
    channel = state.channel(message.channel_id)
    guild_id = channel.guild_id if channel else None
    if "message_content" not in state.privileged_intents and not content_is_open(state, message, guild_id):
        return without_content(data)
    return data


async def create(call: Call) -> Json:
    """POST a message."""
    channel = channel_of(call)
    may_send(call, channel)
    draft = rules.draft(call.form, call.uploads, call.world.clock, partial(call.world.url_of, channel.id))
    if draft.attachments and not may(call, channel, permissions.ATTACH_FILES):
        raise errors.missing_permissions()
    if draft.embeds and not may(call, channel, permissions.EMBED_LINKS):
        raise errors.missing_permissions()
    author = call.world.state.bot
    if (known := posting.remembered(call.world, channel, author, draft)) is not None:
        return answered(call, known)
    reply_to = posting.reference(call.world, call.form, channel)
    if reply_to is not None and not may(call, channel, permissions.READ_MESSAGE_HISTORY):
        raise errors.missing_permissions()
    message = posting.publish(call.world, posting.compose(call.world, channel, author, draft, reply_to=reply_to))
    posting.remember(call.world, author, message)
    return answered(call, message)


async def edit(call: Call) -> Json:
    """PATCH a message of the bot."""
    channel = channel_of(call)
    message = message_of(call, channel, history=False)
    if message.author.id != call.world.state.bot.id or message.webhook_id not in (None, call.world.state.application_id):
        if set(call.form) == {"flags"} and may(call, channel, permissions.MANAGE_MESSAGES):
            return answered(call, message)
        raise DiscordError(403, 50005, "Cannot edit a message authored by another user")
    editable(channel)
    draft = rules.draft(call.form, call.uploads, call.world.clock, partial(call.world.url_of, channel.id), old=message)
    return answered(call, posting.amend(call.world, message, draft))


def old_message(call: Call) -> list[tuple[Bucket, str]]:
    """The hidden limit for edits of messages older than an hour."""
    message_id = call.ids["message_id"]
    if message_id.isdigit() and call.world.clock.age(message_id) > limits.OLD_MESSAGE_SECONDS:
        return [(limits.EDIT_OLD_MESSAGE, call.ids["channel_id"])]
    return []


async def delete(call: Call) -> None:
    """DELETE a message."""
    channel = channel_of(call)
    message = message_of(call, channel, history=False)
    if message.author.id != call.world.state.bot.id and not may(call, channel, permissions.MANAGE_MESSAGES):
        raise errors.missing_permissions()
    posting.remove(call.world, message)


async def bulk_delete(call: Call) -> None:
    """POST bulk-delete: 2 to 100 messages not older than 14 days."""
    channel = channel_of(call, permissions.MANAGE_MESSAGES)
    form = errors.Form()
    low, high = limits.BULK_DELETE
    ids = [shapes.snowflake(one, form.at("messages", index)) for index, one in enumerate(
        shapes.listing(call.form, "messages", form, low=low, high=high, required=True))]  # fmt: skip
    form.check()
    if any(one is not None and call.world.clock.age(one) > limits.BULK_DELETE_AGE_SECONDS for one in ids):
        raise DiscordError(400, 50034, "You can only bulk delete messages that are under 14 days old.")
    found = [channel.messages[one] for one in dict.fromkeys(ids) if one in channel.messages]
    for message in found:
        call.world.state.drop_message(message)
    call.world.hub.messages_deleted(channel, found)


async def read(call: Call) -> Json:
    """GET one message."""
    return answered(call, message_of(call, channel_of(call)))


async def history(call: Call) -> list[Any]:
    """GET messages, newest first, by before, after or around."""
    channel = channel_of(call)
    if not may(call, channel, permissions.READ_MESSAGE_HISTORY):
        return []
    limit = call.count("limit", 50, limits.HISTORY_PAGE)
    return [answered(call, message) for message in page(channel, call.request.query, limit)]


def page(channel: Channel, query: Any, limit: int) -> list[Message]:
    """A page of history, newest first."""
    items = list(channel.messages.values())

    def number(name: str) -> int:
        value = query.get(name, "")
        if not str(value).isdigit():
            raise errors.invalid((name,), "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
        return int(value)

    if "after" in query:
        items = [message for message in items if int(message.id) > number("after")][:limit]
    elif "around" in query:
        middle = number("around")
        before = [message for message in items if int(message.id) <= middle][-(limit // 2 + 1) :]
        items = before + [message for message in items if int(message.id) > middle][: limit - len(before)]
    else:
        before_id = number("before") if "before" in query else None
        items = [message for message in items if before_id is None or int(message.id) < before_id][-limit:]
    return items[::-1]


async def typing(call: Call) -> None:
    """POST typing."""
    channel = channel_of(call)
    may_send(call, channel)
    call.world.hub.typing(channel, call.world.state.bot.id)


# Pins


async def pins(call: Call) -> Json:
    """GET pins, newest first."""
    channel = channel_of(call)
    limit = call.count("limit", 50, 50)
    found = channel.pins()
    stamps = [{"pinned_at": message.timestamp, "message": answered(call, message)} for message in found[:limit]]
    return {"items": stamps, "has_more": len(found) > limit}


async def old_pins(call: Call) -> list[Any]:
    """GET pins in the deprecated form."""
    return [answered(call, message) for message in channel_of(call).pins()[:50]]


async def pin(call: Call) -> None:
    """PUT a pin."""
    channel = channel_of(call, permissions.PIN_MESSAGES)
    message = message_of(call, channel)
    if message.pinned:
        return
    if len(channel.pins()) >= limits.PINS:
        raise DiscordError(400, 30003, f"Maximum number of pins reached for the channel ({limits.PINS})")
    message.pinned = True
    call.world.hub.pins_changed(channel, message)
    notice = Message(call.world.clock.snowflake(), channel.id, call.world.state.bot, timestamp=call.world.clock.iso(), type=posting.PINNED)
    notice.reference = {"type": 0, "channel_id": channel.id, "message_id": message.id, "guild_id": channel.guild_id}
    posting.publish(call.world, notice)


async def unpin(call: Call) -> None:
    """DELETE a pin."""
    channel = channel_of(call, permissions.PIN_MESSAGES)
    message = message_of(call, channel)
    if message.pinned:
        message.pinned = False
        call.world.hub.pins_changed(channel, message)


# Reactions


def emoji_key(raw: str) -> str:
    """The key a reaction is counted under. Raises 10014 for something that is no emoji."""
    name = unquote(raw)
    if ":" in name:
        label, _, number = name.removeprefix("a:").rpartition(":")
        if number.isdigit():
            raise errors.unknown_emoji()  # the sandbox has no custom emojis
        name = label
    if not name or (name.isascii() and not name[0].isdigit() and name[0] not in "#*") or len(name) > 32:
        raise errors.unknown_emoji()
    return name


def react(call: Call, channel: Channel, message: Message, user_id: str, key: str) -> None:
    """Adds a reaction. Raises 30010 for the 21st kind, 50013 for a new kind without ADD_REACTIONS."""
    users = message.reactions.get(key)
    if users is None:
        if not call.world.state.permissions_in(user_id, channel) & permissions.ADD_REACTIONS:
            raise errors.missing_permissions()
        if len(message.reactions) >= limits.REACTIONS:
            raise DiscordError(400, 30010, f"Maximum number of reactions reached ({limits.REACTIONS})")
        users = message.reactions[key] = []
    if user_id not in users:
        users.append(user_id)
        call.world.hub.reacted(message, user_id, key, added=True)


async def add_reaction(call: Call) -> None:
    """PUT the bot's reaction."""
    channel = channel_of(call)
    react(call, channel, message_of(call, channel), call.world.state.bot.id, emoji_key(call.ids["emoji_name"]))


async def remove_reaction(call: Call) -> None:
    """DELETE a reaction, the bot's own or with MANAGE_MESSAGES somebody's."""
    channel = channel_of(call)
    message = message_of(call, channel)
    user_id = call.ids.get("user_id", call.world.state.bot.id)
    if user_id != call.world.state.bot.id and not may(call, channel, permissions.MANAGE_MESSAGES):
        raise errors.missing_permissions()
    key = emoji_key(call.ids["emoji_name"])
    users = message.reactions.get(key, [])
    if user_id in users:
        users.remove(user_id)
        if not users:
            del message.reactions[key]
        call.world.hub.reacted(message, user_id, key, added=False)


async def clear_reactions(call: Call) -> None:
    """DELETE all reactions, or all of one emoji."""
    channel = channel_of(call, permissions.MANAGE_MESSAGES)
    message = message_of(call, channel)
    key = emoji_key(call.ids["emoji_name"]) if "emoji_name" in call.ids else None
    if key is None:
        message.reactions.clear()
    else:
        message.reactions.pop(key, None)
    call.world.hub.reactions_cleared(message, key)


async def reactors(call: Call) -> list[Any]:
    """GET who reacted with an emoji."""
    channel = channel_of(call)
    message = message_of(call, channel)
    users = message.reactions.get(emoji_key(call.ids["emoji_name"]), [])
    after = call.request.query.get("after", "0")
    chosen = [one for one in sorted(users, key=int) if int(one) > int(after if after.isdigit() else 0)][: call.count("limit", 25, 100)]
    return [objects.user(call.world.state.users[one]) for one in chosen]


ROUTES = [
    Route("GET", MESSAGES, history),
    Route("POST", MESSAGES, create, buckets=(limits.CREATE_MESSAGE,)),
    Route("POST", MESSAGES + "/bulk-delete", bulk_delete, buckets=(limits.BULK_DELETE_MESSAGES,)),
    Route("GET", MESSAGES + "/pins", pins),
    Route("PUT", MESSAGES + "/pins/{message_id}", pin),
    Route("DELETE", MESSAGES + "/pins/{message_id}", unpin),
    Route("GET", "/channels/{channel_id}/pins", old_pins),
    Route("PUT", "/channels/{channel_id}/pins/{message_id}", pin),
    Route("DELETE", "/channels/{channel_id}/pins/{message_id}", unpin),
    Route("GET", ONE, read),
    Route("PATCH", ONE, edit, buckets=(limits.EDIT_MESSAGE,), also=old_message),
    Route("DELETE", ONE, delete, buckets=(limits.DELETE_MESSAGE,)),
    Route("DELETE", ONE + "/reactions", clear_reactions, buckets=(limits.REACT,)),
    Route("GET", EMOJI, reactors),
    Route("DELETE", EMOJI, clear_reactions, buckets=(limits.REACT,)),
    Route("PUT", EMOJI + "/@me", add_reaction, buckets=(limits.REACT,)),
    Route("DELETE", EMOJI + "/@me", remove_reaction, buckets=(limits.REACT,)),
    Route("DELETE", EMOJI + "/{user_id}", remove_reaction, buckets=(limits.REACT,)),
    Route("POST", "/channels/{channel_id}/typing", typing),
]
