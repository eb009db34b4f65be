"""Channels and threads over REST.

Asks `rules.channels` what a body means. Must never leave a thread without its parent.
"""

from functools import partial
from typing import Any

from sandbox import errors, limits, objects, permissions, posting
from sandbox.errors import DiscordError, Form, Json
from sandbox.limits import Bucket
from sandbox.rest.access import channel_of, message_of
from sandbox.rest.router import Answer, Call, Route
from sandbox.rules import channels as rules
from sandbox.rules import messages as message_rules
from sandbox.state import Channel, Guild, Message

CHANNEL = "/channels/{channel_id}"
MEMBER = CHANNEL + "/thread-members/{user_id}"


def _guild(call: Call, channel: Channel) -> Guild:
    guild = call.world.state.guild_of(channel)
    if guild is None:
        raise DiscordError(400, 50003, "Cannot execute action on a DM channel")
    return guild


async def read(call: Call) -> Json:
    """GET a channel."""
    return objects.channel(call.world.state, channel_of(call))


async def modify(call: Call) -> Json:
    """PATCH a channel or thread."""
    channel = channel_of(call)
    guild = _guild(call, channel)
    bits = call.world.state.permissions_in(call.world.state.bot.id, channel)
    if channel.thread is None:
        if not bits & permissions.MANAGE_CHANNELS:
            raise errors.missing_permissions()
        rules.change(call.form, channel, guild)
    else:
        own = channel.thread.owner_id == call.world.state.bot.id
        if not bits & permissions.MANAGE_THREADS and not (own or set(call.form) == {"archived"}):
            raise errors.missing_permissions()
        rules.change_thread(call.form, channel, call.world.clock)
    call.world.hub.channel_changed(channel, "update")
    return objects.channel(call.world.state, channel)


def renaming(call: Call) -> list[tuple[Bucket, str]]:
    """The hidden limit on names and topics."""
    if isinstance(call.body, dict) and {"name", "topic"} & set(call.body):
        return [(limits.RENAME_CHANNEL, call.ids["channel_id"])]
    return []


async def delete(call: Call) -> Json:
    """DELETE a channel, or a thread, or close a direct message."""
    channel = channel_of(call)
    state = call.world.state
    answer = objects.channel(state, channel)
    if channel.guild_id is None:
        return answer
    guild = _guild(call, channel)
    needed = permissions.MANAGE_THREADS if channel.thread is not None else permissions.MANAGE_CHANNELS
    if not state.permissions_in(state.bot.id, channel) & needed:
        raise errors.missing_permissions()
    if channel.thread is not None:
        del guild.threads[channel.id]
    else:
        del guild.channels[channel.id]
        for thread in [one for one in guild.threads.values() if one.parent_id == channel.id]:
            del guild.threads[thread.id]
        for child in guild.channels.values():
            if child.parent_id == channel.id:
                child.parent_id = None
        for hook in [one for one in state.webhooks.values() if one.channel_id == channel.id]:
            del state.webhooks[hook.id]
    call.world.hub.channel_changed(channel, "delete")
    return answer


async def set_overwrite(call: Call) -> None:
    """PUT a permission overwrite."""
    channel = channel_of(call, permissions.MANAGE_ROLES)
    form = Form()
    made = rules.one_overwrite(call.ids["overwrite_id"], call.form, form)
    form.check()
    channel.overwrites = [one for one in channel.overwrites if one.id != made.id] + [made]
    call.world.hub.channel_changed(channel, "update")


async def delete_overwrite(call: Call) -> None:
    """DELETE a permission overwrite."""
    channel = channel_of(call, permissions.MANAGE_ROLES)
    channel.overwrites = [one for one in channel.overwrites if one.id != call.ids["overwrite_id"]]
    call.world.hub.channel_changed(channel, "update")


# Threads


def _open(call: Call, parent: Channel, kind: int, thread_id: str | None = None) -> Channel:
    guild = _guild(call, parent)
    thread = rules.new_thread(call.form, parent, guild, call.world.state.bot.id, call.world.clock, kind, thread_id)
    guild.threads[thread.id] = thread
    call.world.hub.channel_changed(thread, "create", newly=True)
    return thread


def _with_member(call: Call, thread: Channel) -> Answer:
    answer = objects.thread(thread)
    answer["member"] = objects.thread_member(call.world.state, thread, call.world.state.bot.id)
    return Answer(answer, 201)


async def thread_from_message(call: Call) -> Answer:
    """POST a thread on a message; it has the message's id."""
    parent = channel_of(call, permissions.CREATE_PUBLIC_THREADS)
    message = message_of(call, parent)
    if parent.type not in (0, 5):
        raise DiscordError(400, 50024, "Cannot execute action on this channel type")
    if message.thread_id is not None:
        raise DiscordError(400, 160004, "A thread has already been created for this message")
    thread = _open(call, parent, 10 if parent.type == 5 else 11, message.id)
    message.thread_id = thread.id
    message.flags |= 1 << 5
    call.world.hub.message_updated(message)
    return _with_member(call, thread)


async def start_thread(call: Call) -> Answer:
    """POST a thread without a message, or a post in a forum."""
    parent = channel_of(call)
    if parent.type == 15:
        return await _forum_post(call, parent)
    if parent.type not in (0, 5):
        raise DiscordError(400, 50024, "Cannot execute action on this channel type")
    kind = call.form.get("type", 12)
    if kind not in (10, 11, 12) or (kind == 12 and parent.type == 5):
        raise errors.invalid(("type",), "BASE_TYPE_CHOICES", "Value must be one of (10, 11, 12).")
    needed = permissions.CREATE_PRIVATE_THREADS if kind == 12 else permissions.CREATE_PUBLIC_THREADS
    channel_of(call, needed)
    thread = _open(call, parent, kind)
    if kind != 12:
        notice = Message(
            call.world.clock.snowflake(), parent.id, call.world.state.bot, thread.name, call.world.clock.iso(), type=posting.THREAD_STARTED
        )
        notice.reference = {"type": 0, "channel_id": thread.id, "guild_id": parent.guild_id}
        posting.publish(call.world, notice)
    return _with_member(call, thread)


async def _forum_post(call: Call, parent: Channel) -> Answer:
    channel_of(call, permissions.SEND_MESSAGES)
    body = call.form.get("message")
    if not isinstance(body, dict):
        raise errors.invalid(("message",), "BASE_TYPE_REQUIRED", "This field is required")
    thread_id = call.world.clock.snowflake()
    draft = message_rules.draft(body, call.uploads, call.world.clock, partial(call.world.url_of, thread_id), path=("message",))
    thread = _open(call, parent, 11, thread_id)
    message = posting.compose(call.world, thread, call.world.state.bot, draft, message_id=thread_id)
    posting.publish(call.world, message)
    answer = _with_member(call, thread)
    assert isinstance(answer.body, dict)
    answer.body["message"] = objects.message(call.world.state, call.world.hub.base_url, message)
    return answer


def _thread(call: Call) -> Channel:
    channel = channel_of(call)
    if channel.thread is None:
        raise DiscordError(400, 50024, "Cannot execute action on this channel type")
    return channel


async def thread_members(call: Call) -> list[Any]:
    """GET who is in a thread."""
    thread = _thread(call)
    assert thread.thread is not None
    return [objects.thread_member(call.world.state, thread, one) for one in thread.thread.members]


async def thread_member(call: Call) -> Json:
    """GET one thread member. 10007 when the user is not in."""
    thread = _thread(call)
    user_id = _whom(call)
    if thread.thread is None or user_id not in thread.thread.members:
        raise errors.unknown_member()
    return objects.thread_member(call.world.state, thread, user_id)


def _whom(call: Call) -> str:
    name = call.ids.get("user_id", "@me")
    return call.world.state.bot.id if name == "@me" else name


async def join_thread(call: Call) -> None:
    """PUT somebody, or the bot itself, into a thread."""
    thread = _thread(call)
    user_id = _whom(call)
    if user_id not in call.world.state.users:
        raise errors.unknown_user()
    assert thread.thread is not None
    if user_id not in thread.thread.members:
        thread.thread.members.add(user_id)
        call.world.hub.thread_member_changed(thread, user_id, joined=True)


async def leave_thread(call: Call) -> None:
    """DELETE somebody, or the bot itself, from a thread."""
    thread = _thread(call)
    user_id = _whom(call)
    assert thread.thread is not None
    if user_id != call.world.state.bot.id:
        channel_of(call, permissions.MANAGE_THREADS)
    if user_id in thread.thread.members:
        thread.thread.members.discard(user_id)
        call.world.hub.thread_member_changed(thread, user_id, joined=False)


async def archived_threads(call: Call) -> Json:
    """GET archived threads of a channel, public or private by the path."""
    parent = channel_of(call)
    kinds = (12,) if call.route.template.endswith("private") else (10, 11)
    guild = _guild(call, parent)
    found = [
        one for one in guild.threads.values() if one.parent_id == parent.id and one.type in kinds and one.thread and one.thread.archived
    ]
    return {"threads": [objects.thread(one) for one in found], "members": [], "has_more": False}


ROUTES = [
    Route("GET", CHANNEL, read),
    Route("PATCH", CHANNEL, modify, also=renaming),
    Route("DELETE", CHANNEL, delete),
    Route("PUT", CHANNEL + "/permissions/{overwrite_id}", set_overwrite),
    Route("DELETE", CHANNEL + "/permissions/{overwrite_id}", delete_overwrite),
    Route("POST", CHANNEL + "/messages/{message_id}/threads", thread_from_message, buckets=(limits.CREATE_THREAD,)),
    Route("POST", CHANNEL + "/threads", start_thread, buckets=(limits.CREATE_THREAD,)),
    Route("GET", CHANNEL + "/threads/archived/public", archived_threads),
    Route("GET", CHANNEL + "/threads/archived/private", archived_threads),
    Route("GET", CHANNEL + "/thread-members", thread_members),
    Route("PUT", CHANNEL + "/thread-members/@me", join_thread),
    Route("DELETE", CHANNEL + "/thread-members/@me", leave_thread),
    Route("GET", MEMBER, thread_member),
    Route("PUT", MEMBER, join_thread),
    Route("DELETE", MEMBER, leave_thread),
]
