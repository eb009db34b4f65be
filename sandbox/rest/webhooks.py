"""Webhooks: those of channels, and the token routes that channel webhooks and interactions share.

The paths are the same for both; an interaction's is recognised by the application's id. Must never need the bot's token.
"""

from functools import partial
from secrets import token_urlsafe
from typing import Any

from sandbox import errors, limits, objects, permissions, posting
from sandbox.errors import DiscordError, Form, Json
from sandbox.limits import Bucket
from sandbox.rest import interactions
from sandbox.rest.access import channel_of, guild_of, guild_permission
from sandbox.rest.router import Answer, Call, Route
from sandbox.rules import messages as rules
from sandbox.rules import shapes
from sandbox.state import Channel, Message, User, Webhook

TOKEN = "/webhooks/{webhook_id}/{webhook_token}"  # noqa: S105  (a path, not a secret)
MESSAGE = TOKEN + "/messages/{message_id}"


def _webhook(call: Call, *, token: bool) -> Webhook:
    found = call.world.state.webhooks.get(call.ids["webhook_id"])
    if found is None:
        raise errors.unknown_webhook()
    if token and found.token != call.ids["webhook_token"]:
        raise errors.invalid_webhook_token()
    return found


def per_channel(call: Call) -> list[tuple[Bucket, str]]:
    """The hidden limit of 30 a minute for all webhooks and interaction follow-ups of a channel together."""
    world = call.world
    hook = world.state.webhooks.get(call.ids["webhook_id"])
    if hook is not None:
        return [(limits.CHANNEL_WEBHOOKS, hook.channel_id)]
    item = interactions.interaction_of(call)
    return [(limits.CHANNEL_WEBHOOKS, item.channel.id)] if item is not None else []


async def execute(call: Call) -> Any:
    """POST through a token: a follow-up, or a channel webhook's message."""
    if (item := interactions.interaction_of(call)) is not None:
        return interactions.follow_up(call, item)
    hook = _webhook(call, token=True)
    channel = _place(call, hook)
    form = Form()
    name = shapes.string(call.form, "username", form, low=1, high=limits.WEBHOOK_NAME)
    avatar = shapes.url(call.form, "avatar_url", form)
    form.check()
    _named_well(name)
    draft = rules.draft(call.form, call.uploads, call.world.clock, partial(call.world.url_of, channel.id))
    author = User(hook.id, name or hook.name, bot=True, avatar=avatar)
    message = posting.compose(call.world, channel, author, draft, webhook_id=hook.id)
    message.application_id = call.world.state.application_id
    posting.publish(call.world, message)
    return interactions.answered(call, message) if call.flag("wait") else None


def _place(call: Call, hook: Webhook) -> Channel:
    thread_id = call.request.query.get("thread_id")
    channel = call.world.state.channel(thread_id or hook.channel_id)
    if channel is None or (thread_id and channel.parent_id != hook.channel_id):
        raise errors.unknown_channel()
    return channel


def _named_well(name: str | None) -> None:
    if name is not None and any(word in name.lower() for word in ("discord", "clyde")):
        raise errors.invalid(("username",), "USERNAME_INVALID_CONTAINS", 'Username cannot contain "discord" or "clyde"')


def _message(call: Call, hook: Webhook) -> Message:
    found = _place(call, hook).messages.get(call.ids["message_id"])
    if found is None or found.webhook_id != hook.id:
        raise errors.unknown_message()
    return found


async def read_message(call: Call) -> Json:
    """GET a message through a token."""
    if (item := interactions.interaction_of(call)) is not None:
        return interactions.answered(call, interactions.message_of(call, item))
    return interactions.answered(call, _message(call, _webhook(call, token=True)))


async def edit_message(call: Call) -> Json:
    """PATCH a message through a token."""
    if (item := interactions.interaction_of(call)) is not None:
        return interactions.edit(call, item)
    message = _message(call, _webhook(call, token=True))
    draft = rules.draft(call.form, call.uploads, call.world.clock, partial(call.world.url_of, message.channel_id), old=message)
    return interactions.answered(call, posting.amend(call.world, message, draft, webhook=True))


async def delete_message(call: Call) -> None:
    """DELETE a message through a token."""
    if (item := interactions.interaction_of(call)) is not None:
        interactions.delete(call, item)
        return
    posting.remove(call.world, _message(call, _webhook(call, token=True)))


async def create(call: Call) -> Json:
    """POST a webhook in a channel."""
    channel = channel_of(call, permissions.MANAGE_WEBHOOKS)
    form = Form()
    name = shapes.string(call.form, "name", form, low=1, high=limits.WEBHOOK_NAME, required=True)
    form.check()
    _named_well(name)
    world = call.world
    if sum(hook.channel_id == channel.id for hook in world.state.webhooks.values()) >= limits.WEBHOOKS_PER_CHANNEL:
        raise DiscordError(400, 30007, f"Maximum number of webhooks reached ({limits.WEBHOOKS_PER_CHANNEL})")
    hook = Webhook(world.clock.snowflake(), token_urlsafe(48), channel.id, channel.guild_id or "", name or "", world.state.bot.id)
    world.state.webhooks[hook.id] = hook
    world.hub.webhooks_changed(channel)
    return objects.webhook(world.state, hook)


async def of_channel(call: Call) -> list[Any]:
    """GET the webhooks of a channel."""
    channel = channel_of(call, permissions.MANAGE_WEBHOOKS)
    return [objects.webhook(call.world.state, hook) for hook in call.world.state.webhooks.values() if hook.channel_id == channel.id]


async def of_guild(call: Call) -> list[Any]:
    """GET the webhooks of a guild."""
    guild = guild_of(call)
    guild_permission(call, guild, permissions.MANAGE_WEBHOOKS)
    return [objects.webhook(call.world.state, hook) for hook in call.world.state.webhooks.values() if hook.guild_id == guild.id]


async def read(call: Call) -> Json:
    """GET a webhook, by id or by token."""
    return objects.webhook(call.world.state, _webhook(call, token="webhook_token" in call.ids))


async def modify(call: Call) -> Json:
    """PATCH a webhook's name or channel."""
    hook = _webhook(call, token="webhook_token" in call.ids)
    form = Form()
    name = shapes.string(call.form, "name", form, low=1, high=limits.WEBHOOK_NAME)
    form.check()
    _named_well(name)
    hook.name = name or hook.name
    if call.form.get("channel_id") is not None and "webhook_token" not in call.ids:
        target = call.world.state.channel(str(call.form["channel_id"]))
        if target is None:
            raise errors.unknown_channel()
        hook.channel_id = target.id
    return objects.webhook(call.world.state, hook)


async def delete(call: Call) -> Answer:
    """DELETE a webhook."""
    hook = _webhook(call, token="webhook_token" in call.ids)
    del call.world.state.webhooks[hook.id]
    if (channel := call.world.state.channel(hook.channel_id)) is not None:
        call.world.hub.webhooks_changed(channel)
    return Answer(None, 204)


def _by_token(method: str, template: str, handler: Any, *, limited: bool = True) -> Route:
    buckets = (limits.EXECUTE_WEBHOOK,) if limited else ()
    return Route(method, template, handler, bot=False, counts_global=False, buckets=buckets, also=per_channel if limited else None)


ROUTES = [
    Route("POST", "/channels/{channel_id}/webhooks", create),
    Route("GET", "/channels/{channel_id}/webhooks", of_channel),
    Route("GET", "/guilds/{guild_id}/webhooks", of_guild),
    Route("GET", "/webhooks/{webhook_id}", read),
    Route("PATCH", "/webhooks/{webhook_id}", modify),
    Route("DELETE", "/webhooks/{webhook_id}", delete),
    _by_token("GET", TOKEN, read, limited=False),
    _by_token("PATCH", TOKEN, modify, limited=False),
    _by_token("DELETE", TOKEN, delete, limited=False),
    _by_token("POST", TOKEN, execute),
    _by_token("GET", TOKEN + "/messages/{message_id}", read_message, limited=False),
    _by_token("PATCH", MESSAGE, edit_message),
    _by_token("DELETE", MESSAGE, delete_message),
]
