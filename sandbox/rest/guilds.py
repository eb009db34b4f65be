"""Guilds over REST: the guild, its roles, members, channels and active threads.

Must never let the bot act above its highest role.
"""

from typing import Any

from sandbox import errors, limits, objects, permissions
from sandbox.errors import DiscordError, Form, Json
from sandbox.rest.access import guild_of, guild_permission, member_of
from sandbox.rest.router import Answer, Call, Route
from sandbox.rules import channels as channel_rules
from sandbox.rules import shapes
from sandbox.state import Guild, Role

GUILD = "/guilds/{guild_id}"
MEMBER = GUILD + "/members/{user_id}"


async def read(call: Call) -> Json:
    """GET a guild."""
    guild = guild_of(call)
    found = objects.guild_only(guild)
    if call.flag("with_counts"):
        found |= {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
    return found


async def roles(call: Call) -> list[Any]:
    """GET the roles."""
    return [objects.role(role) for role in guild_of(call).roles.values()]


async def role(call: Call) -> Json:
    """GET one role."""
    found = guild_of(call).roles.get(call.ids["role_id"])
    if found is None:
        raise errors.unknown_role()
    return objects.role(found)


async def channels(call: Call) -> list[Any]:
    """GET the channels without threads."""
    return [objects.channel(call.world.state, channel) for channel in guild_of(call).channels.values()]


async def create_channel(call: Call) -> Answer:
    """POST a channel."""
    guild = guild_of(call)
    guild_permission(call, guild, permissions.MANAGE_CHANNELS)
    if len(guild.channels) >= limits.GUILD_CHANNELS:
        raise DiscordError(400, 30013, f"Maximum number of guild channels reached ({limits.GUILD_CHANNELS})")
    channel = channel_rules.new(call.form, guild, call.world.clock)
    guild.channels[channel.id] = channel
    call.world.hub.channel_changed(channel, "create")
    return Answer(objects.channel(call.world.state, channel), 201)


async def threads(call: Call) -> Json:
    """GET the active threads the bot sees."""
    guild, state = guild_of(call), call.world.state
    found = [
        thread for thread in guild.threads.values() if thread.thread and not thread.thread.archived and state.can_see(state.bot.id, thread)
    ]
    mine = [
        objects.thread_member(state, thread, state.bot.id) for thread in found if thread.thread and state.bot.id in thread.thread.members
    ]
    return {"threads": [objects.thread(thread) for thread in found], "members": mine}


async def members(call: Call) -> list[Any]:
    """GET members, in pages by id. Needs the members intent to be on for the application."""
    guild = guild_of(call)
    if "members" not in call.world.state.privileged_intents:
        raise errors.missing_access()
    limit = call.count("limit", 1, limits.MEMBERS_PAGE)
    after = call.request.query.get("after", "0")
    ids = sorted((one for one in guild.members if int(one) > int(after if after.isdigit() else 0)), key=int)
    return [objects.member(guild.members[one]) for one in ids[:limit]]


async def search(call: Call) -> list[Any]:
    """GET members whose name begins with the query."""
    guild = guild_of(call)
    query = call.request.query.get("query", "").lower()
    if not query:
        raise errors.invalid(("query",), "BASE_TYPE_REQUIRED", "This field is required")
    found = [one for one in guild.members.values() if (one.nick or one.user.name).lower().startswith(query)]
    return [objects.member(one) for one in found[: call.count("limit", 1, limits.MEMBERS_PAGE)]]


async def member(call: Call) -> Json:
    """GET a member."""
    return objects.member(member_of(call, guild_of(call)))


async def edit_member(call: Call) -> Json:
    """PATCH a member's nickname or roles."""
    guild = guild_of(call)
    found = guild.members[call.world.state.bot.id] if call.ids.get("user_id", "@me") == "@me" else member_of(call, guild)
    form = Form()
    if "nick" in call.form:
        if found.user.id != call.world.state.bot.id:
            guild_permission(call, guild, permissions.MANAGE_NICKNAMES)
        found.nick = shapes.string(call.form, "nick", form, high=limits.NICKNAME) or None
    if call.form.get("roles") is not None:
        wanted = [
            shapes.snowflake(one, form.at("roles", index)) for index, one in enumerate(shapes.listing(call.form, "roles", form, high=250))
        ]
        form.check()
        for role_id in set(wanted) ^ set(found.roles):
            _below_bot(call, guild, role_id or "")
        found.roles = [one for one in wanted if one is not None]
    form.check()
    call.world.hub.member_updated(guild, found)
    return objects.member(found)


def _below_bot(call: Call, guild: Guild, role_id: str) -> Role:
    guild_permission(call, guild, permissions.MANAGE_ROLES)
    found = guild.roles.get(role_id)
    if found is None:
        raise errors.unknown_role()
    top = max((guild.roles[one].position for one in guild.members[call.world.state.bot.id].roles), default=0)
    if found.position >= top or found.managed or found.id == guild.id:
        raise errors.missing_permissions()
    return found


async def add_role(call: Call) -> None:
    """PUT a role on a member."""
    guild = guild_of(call)
    found = member_of(call, guild)
    wanted = _below_bot(call, guild, call.ids["role_id"])
    if wanted.id not in found.roles:
        found.roles.append(wanted.id)
        call.world.hub.member_updated(guild, found)


async def remove_role(call: Call) -> None:
    """DELETE a role from a member."""
    guild = guild_of(call)
    found = member_of(call, guild)
    wanted = _below_bot(call, guild, call.ids["role_id"])
    if wanted.id in found.roles:
        found.roles.remove(wanted.id)
        call.world.hub.member_updated(guild, found)


async def nothing(call: Call) -> list[Any]:
    """GET something the sandbox has none of."""
    guild_of(call)
    return []


ROUTES = [
    Route("GET", GUILD, read),
    Route("GET", GUILD + "/roles", roles),
    Route("GET", GUILD + "/roles/{role_id}", role),
    Route("GET", GUILD + "/channels", channels),
    Route("POST", GUILD + "/channels", create_channel),
    Route("GET", GUILD + "/threads/active", threads),
    Route("GET", GUILD + "/members", members),
    Route("GET", GUILD + "/members/search", search),
    Route("PATCH", GUILD + "/members/@me", edit_member),
    Route("GET", MEMBER, member),
    Route("PATCH", MEMBER, edit_member),
    Route("PUT", MEMBER + "/roles/{role_id}", add_role, buckets=(limits.MEMBER_ROLES,)),
    Route("DELETE", MEMBER + "/roles/{role_id}", remove_role, buckets=(limits.MEMBER_ROLES,)),
    *(Route("GET", GUILD + path, nothing) for path in ("/emojis", "/stickers", "/integrations", "/invites", "/scheduled-events")),
]
