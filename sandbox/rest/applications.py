"""The application and its commands over REST.

Must never store a command that `rules.commands` has not checked.
"""

from typing import Any

from sandbox import errors, objects
from sandbox.commands import Scope
from sandbox.errors import Json
from sandbox.gateway import application_flags
from sandbox.rest.access import application, guild_of
from sandbox.rest.router import Answer, Call, Route
from sandbox.rules import commands as rules

GLOBAL = "/applications/{application_id}/commands"
GUILD = "/applications/{application_id}/guilds/{guild_id}/commands"


async def me(call: Call) -> Json:
    """GET the application of the token."""
    state = call.world.state
    owner = next(iter(state.guilds.values())).owner_id
    return {
        "id": state.application_id, "name": state.application_name, "description": state.application_description, "icon": None,
        "cover_image": None,
        "bot_public": True, "bot_require_code_grant": False, "verify_key": "0" * 64, "owner": objects.user(state.users[owner]),
        "team": None,
        "flags": application_flags(state), "summary": "", "tags": [], "hook": True, "type": None, "rpc_origins": [], "redirect_uris": [],
        "interactions_endpoint_url": None, "role_connections_verification_url": None, "approximate_guild_count": len(state.guilds),
        "approximate_user_install_count": 0, "integration_types_config": {"0": {}}, "bot": objects.user(state.bot), "is_monetized": False,
        "install_params": {"scopes": ["bot", "applications.commands"], "permissions": "0"},
    }  # fmt: skip


def _scope(call: Call) -> Scope:
    application(call)
    return guild_of(call).id if "guild_id" in call.ids else None


def _synced(call: Call) -> None:
    call.world.hub.show({"type": "commands"})


async def listing(call: Call) -> list[Any]:
    """GET the commands of a scope."""
    return call.world.commands.of(_scope(call))


async def overwrite(call: Call) -> list[Any]:
    """PUT all commands of a scope."""
    scope = _scope(call)
    made = call.world.commands.replace(scope, rules.check_all(call.body))
    _synced(call)
    return made


async def create(call: Call) -> Answer:
    """POST one command; an existing name is overwritten."""
    made, new = call.world.commands.put(_scope(call), rules.check_one(call.form))
    _synced(call)
    return Answer(made, 201 if new else 200)


async def read(call: Call) -> Json:
    """GET one command."""
    found = call.world.commands.get(_scope(call), call.ids["command_id"])
    if found is None:
        raise errors.unknown_command()
    return found


async def edit(call: Call) -> Json:
    """PATCH one command; what is missing stays."""
    old = await read(call)
    kept = {key: value for key, value in old.items() if key not in ("id", "application_id", "version", "guild_id")}
    made, _ = call.world.commands.put(_scope(call), rules.check_one({**kept, **call.form, "type": old["type"]}), old["id"])
    _synced(call)
    return made


async def delete(call: Call) -> None:
    """DELETE one command."""
    if not call.world.commands.delete(_scope(call), call.ids["command_id"]):
        raise errors.unknown_command()
    _synced(call)


async def permissions_of(call: Call) -> list[Any]:
    """GET the permission overrides of a guild's commands: the sandbox keeps none."""
    _scope(call)
    return []


async def permissions_of_one(call: Call) -> Json:
    """GET the overrides of one command: none, which Discord answers with 10066."""
    await read(call)
    raise errors.unknown("application command permissions", 10066)


async def emojis(call: Call) -> Json:
    """GET the application's emojis: none."""
    application(call)
    return {"items": []}


ROUTES = [
    Route("GET", "/oauth2/applications/@me", me),
    Route("GET", "/applications/@me", me),
    Route("GET", "/applications/{application_id}/emojis", emojis),
    *(
        route
        for place in (GLOBAL, GUILD)
        for route in (
            Route("GET", place, listing),
            Route("PUT", place, overwrite),
            Route("POST", place, create),
            *([Route("GET", GUILD + "/permissions", permissions_of)] if place is GUILD else []),
            Route("GET", place + "/{command_id}", read),
            Route("PATCH", place + "/{command_id}", edit),
            Route("DELETE", place + "/{command_id}", delete),
        )
    ),
    Route("GET", GUILD + "/{command_id}/permissions", permissions_of_one),
]
