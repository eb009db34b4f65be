"""Users, direct messages and where the gateway is.

Must never show one user's direct messages to another.
"""

from typing import Any

from sandbox import errors, limits, objects
from sandbox.errors import Json
from sandbox.rest.router import Call, Route


async def me(call: Call) -> Json:
    """GET the bot's own user."""
    return objects.own_user(call.world.state)


async def rename(call: Call) -> Json:
    """PATCH the bot's own user name."""
    name = call.form.get("username")
    if name is not None:
        if not isinstance(name, str) or not 2 <= len(name) <= 32:
            raise errors.invalid(("username",), "BASE_TYPE_BAD_LENGTH", "Must be between 2 and 32 in length.")
        call.world.state.bot.name = name
    return objects.own_user(call.world.state)


async def read(call: Call) -> Json:
    """GET a user."""
    found = call.world.state.users.get(call.ids["user_id"])
    if found is None:
        raise errors.unknown_user()
    return objects.user(found)


async def guilds(call: Call) -> list[Any]:
    """GET the bot's guilds."""
    bot = call.world.state.bot.id
    return [
        {"id": guild.id, "name": guild.name, "icon": None, "banner": None, "owner": guild.owner_id == bot, "features": [],
         "permissions": str(guild.member_permissions(bot))}
        for guild in call.world.state.guilds.values()
    ]  # fmt: skip


async def open_dm(call: Call) -> Json:
    """POST a direct message channel."""
    recipient = str(call.form.get("recipient_id"))
    found = call.world.state.users.get(recipient)
    if found is None:
        raise errors.unknown_user()
    if found.bot:
        raise errors.DiscordError(400, 50007, "Cannot send messages to this user")
    known = {channel.id for channel in call.world.state.dms.values()}
    channel = call.world.state.dm_with(recipient)
    if channel.id not in known:
        call.world.hub.channel_changed(channel, "create")
    return objects.channel(call.world.state, channel)


async def gateway(call: Call) -> Json:
    """GET where the gateway is."""
    return {"url": call.world.hub.base_url.replace("http", "ws", 1) + "/gateway"}


async def gateway_bot(call: Call) -> Json:
    """GET where the gateway is, how many shards to use and how many IDENTIFYs are left."""
    return {
        **await gateway(call),
        "shards": 1,
        "session_start_limit": {
            "total": limits.IDENTIFIES_PER_DAY, "remaining": call.world.gateway.identifies_left, "reset_after": 24 * 3600 * 1000,
            "max_concurrency": 1,
        },
    }  # fmt: skip


ROUTES = [
    Route("GET", "/users/@me", me),
    Route("PATCH", "/users/@me", rename),
    Route("GET", "/users/@me/guilds", guilds),
    Route("POST", "/users/@me/channels", open_dm),
    Route("GET", "/users/{user_id}", read),
    Route("GET", "/gateway", gateway, bot=False, counts_global=False),
    Route("GET", "/gateway/bot", gateway_bot),
]
