"""Putting messages into channels and changing them: the one place where a message is made, edited or removed.

Whether the author may is asked by the caller; this module computes mentions, keeps nonces and tells the hub.
"""

from sandbox import errors, limits, permissions
from sandbox.errors import Form, Json
from sandbox.interactions import Interaction
from sandbox.rules import mentions, shapes
from sandbox.rules.messages import Draft
from sandbox.state import EPHEMERAL, LOADING, Channel, Message, User
from sandbox.world import World

DEFAULT, REPLY, CHAT_COMMAND, THREAD_STARTED, CONTEXT_COMMAND, PINNED = 0, 19, 20, 18, 23, 6


def reference(world: World, body: Json, channel: Channel) -> Message | None:
    """The message a body answers. Raises 50035 when it is unknown and `fail_if_not_exists` was not turned off."""
    if body.get("message_reference") is None:
        return None
    form = Form().at("message_reference")
    given = shapes.as_dict(body["message_reference"], form)
    if given.get("type", 0) not in (0, None):
        form.at("type").add("MESSAGE_REFERENCE_TYPE_INVALID", "The sandbox serves replies (type 0), not forwards.")
    message_id = shapes.snowflake(given.get("message_id"), form.at("message_id"))
    form.check()
    found = channel.messages.get(message_id or "")
    if found is None and given.get("fail_if_not_exists") is not False:
        raise errors.invalid(("message_reference",), "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
    return found


def compose(
    world: World,
    channel: Channel,
    author: User,
    draft: Draft,
    *,
    reply_to: Message | None = None,
    interaction: Interaction | None = None,
    webhook_id: str | None = None,
    extra_flags: int = 0,
    message_id: str | None = None,
) -> Message:
    """A message as it will be, not yet seen by anybody."""
    guild = world.state.guild_of(channel)
    bits = world.state.permissions_in(author.id, channel) if webhook_id is None else permissions.MENTION_EVERYONE
    replied = reply_to.author.id if reply_to is not None else None
    found = mentions.find(draft.mention_text(), guild, set(world.state.users), draft.allowed, bits, replied)
    flags = draft.flags | extra_flags
    message = Message(
        message_id or world.clock.snowflake(), channel.id, author, draft.content, world.clock.iso(), None,
        REPLY if reply_to else DEFAULT, flags,
        draft.tts, draft.embeds, draft.components, draft.attachments, found.users, found.roles, found.everyone, nonce=draft.nonce,
        poll=draft.poll, webhook_id=webhook_id,
    )  # fmt: skip
    if reply_to is not None:
        message.reference = {
            "type": 0,
            "channel_id": channel.id,
            "message_id": reply_to.id,
            **({"guild_id": channel.guild_id} if channel.guild_id else {}),
        }
    if interaction is not None:
        message.interaction = interaction.metadata()
        message.interaction_name = interaction.name
        message.application_id = message.webhook_id = world.state.application_id
        source = interaction.message
        if interaction.kind == 2:
            message.type = CHAT_COMMAND if interaction.data.get("type", 1) == 1 else CONTEXT_COMMAND
        elif source is not None and source.ephemeral_for is None:
            message.type = REPLY
            message.reference = {"type": 0, "channel_id": channel.id, "message_id": source.id, "guild_id": channel.guild_id}
        if flags & EPHEMERAL:
            message.ephemeral_for = interaction.user.id
    return message


def publish(world: World, message: Message) -> Message:
    """Files a message and tells everybody."""
    channel = world.state.channel(message.channel_id)
    if channel is not None and channel.thread is not None and channel.thread.archived:
        channel.thread.archived = False
        world.hub.channel_changed(channel, "update")
    world.state.add_message(message)
    world.hub.message_created(message)
    return message


def amend(world: World, message: Message, draft: Draft, *, webhook: bool = False) -> Message:
    """Replaces what a message holds by a draft made from it, and tells everybody."""
    channel = world.state.channel(message.channel_id)
    was_thinking = message.thinking
    message.content, message.embeds, message.components = draft.content, draft.embeds, draft.components
    message.attachments, message.poll = draft.attachments, draft.poll
    message.flags = draft.flags & ~LOADING
    world.state.keep_files(message)
    if not was_thinking:
        message.edited_timestamp = world.clock.iso()
    if channel is not None:
        bits = permissions.MENTION_EVERYONE if webhook else world.state.permissions_in(message.author.id, channel)
        replied = next((one for one in message.mentions if message.reference is not None), None)
        found = mentions.find(draft.mention_text(), world.state.guild_of(channel), set(world.state.users), draft.allowed, bits, replied)
        message.mentions, message.mention_roles, message.mention_everyone = found.users, found.roles, found.everyone
    world.hub.message_updated(message)
    return message


def remove(world: World, message: Message) -> None:
    """Deletes a message and tells everybody."""
    world.state.drop_message(message)
    world.hub.message_deleted(message)


def remembered(world: World, channel: Channel, author: User, draft: Draft) -> Message | None:
    """With `enforce_nonce`: the message posted under the same nonce in the past few minutes."""
    if draft.nonce is None or not draft.enforce_nonce:
        return None
    now = world.clock.monotonic()
    for key, (moment, _) in list(world.nonces.items()):
        if now - moment <= limits.NONCE_MEMORY_SECONDS:
            break
        del world.nonces[key]
    known = world.nonces.get((author.id, str(draft.nonce)))
    return channel.messages.get(known[1]) if known is not None else None


def remember(world: World, author: User, message: Message) -> None:
    """Keeps a nonce for the past few minutes."""
    if message.nonce is not None:
        world.nonces[author.id, str(message.nonce)] = (world.clock.monotonic(), message.id)
