"""The rules of restart requests: per server, per game, per guild, above Aerie's own. Must never let a template type two lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core.actor import Actor
from core.db.engine import Database
from core.errors import Invalid
from core.models.server import Server
from core.models.vote import RequestPolicy
from core.permissions import USER_UPDATE
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.console import checked

MOST_VOTES = 100
SHORTEST, LONGEST = 60, 24 * 3600  # s a request may stay open
LONGEST_COOLDOWN = 7 * 24 * 3600  # s
LONGEST_COUNTDOWN = 15 * 60  # s
MOST_WARNINGS = 10
LONGEST_PATIENCE = 3600  # s
LONGEST_TEMPLATE = 200
START, END = "start", "end"

_EVENT = "guild:requests.rules"
_PLACE = re.compile(r"\{(message|seconds)\}")
_WORD = re.compile(r"\{[A-Za-z_]+\}")


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one server's requests. Durations are seconds; `countdown` falls; an empty `command` warns nobody."""

    enabled: bool = True
    quorum: int = 3
    duration: int = 10 * 60
    cooldown: int = 30 * 60
    countdown: tuple[int, ...] = (60, 30, 10)
    command: str = "say {message}"
    channel_id: int | None = None
    when_offline: str = START
    patience: int = 10 * 60


@dataclass(frozen=True, slots=True)
class RulesChange:
    """New values; None leaves one as it is."""

    enabled: bool | None = None
    quorum: int | None = None
    duration: int | None = None
    cooldown: int | None = None
    countdown: Sequence[int] | None = None
    command: str | None = None
    channel_id: int | None = None
    when_offline: str | None = None
    patience: int | None = None


class RequestRules:
    def __init__(self, database: Database, access: Access, activity: ActivityLog) -> None:
        self._database = database
        self._access = access
        self._activity = activity

    async def of(self, server: Server) -> Rules:
        """The rules of a server, all levels taken together."""
        return await self._merged(server.guild_id, [f"server:{server.id}", f"egg:{server.egg_id}", "guild"])

    async def show(self, actor: Actor, ref: str | int | None = None, *, same_game: bool = False) -> tuple[Server | None, Rules]:
        """The rules of a server, of its game here, or of the whole guild. Raises NotFound and MissingPermission."""
        server, scope = await self._scope(actor, ref, same_game)
        scopes = {"server": [scope, f"egg:{server.egg_id}", "guild"], "egg": [scope, "guild"]} if server else {}
        return server, await self._merged(actor.guild_id, scopes.get(scope.partition(":")[0], ["guild"]))

    async def change(
        self, actor: Actor, change: RulesChange, ref: str | int | None = None, *, same_game: bool = False, reset: bool = False
    ) -> tuple[Server | None, Rules]:
        """Set rules for a server, for its game in this guild, or for the guild; `reset` forgets what was set there before.

        Needs `user.update`. Raises Invalid, NotFound, MissingPermission.
        """
        server, scope = await self._scope(actor, ref, same_game)
        values = _valid(change)
        row = {
            "guild_id": actor.guild_id,
            "scope": scope,
            "egg_id": server.egg_id if server and scope.startswith("egg:") else None,
            "server_id": server.id if server and scope.startswith("server:") else None,
        }
        try:
            await self._write(row, values, reset)
        except IntegrityError:  # another change made the row first
            await self._write(row, values, reset)
        shown = {key: value for key, value in values.items() if value is not None}
        await self._activity.write(actor, _EVENT, server, metadata={"scope": scope, "reset": reset, **shown})
        return await self.show(actor, ref, same_game=same_game)

    async def _write(self, row: dict[str, Any], values: dict[str, Any], reset: bool) -> None:
        same = (RequestPolicy.guild_id == row["guild_id"], RequestPolicy.scope == row["scope"])
        async with self._database.begin() as session:
            if reset:
                await session.execute(delete(RequestPolicy).where(*same))
            found = await session.scalar(select(RequestPolicy).where(*same))
            if found is None:
                found = RequestPolicy(**row)
                session.add(found)
            for key, value in values.items():
                if value is not None:
                    setattr(found, key, value)

    async def _scope(self, actor: Actor, ref: str | int | None, same_game: bool) -> tuple[Server | None, str]:
        if actor.guild_id is None:
            raise Invalid("This works in a Discord server only.", hint="Run it in a channel of the guild it is for.")
        if ref is None:
            if same_game:
                raise Invalid("Name a server of the game you mean.", hint="The rules then count for every server of its game.")
            await self._access.require_in_guild(actor, USER_UPDATE, event=_EVENT)
            return None, "guild"
        server = await self._access.server(actor, ref, USER_UPDATE, event=_EVENT)
        if same_game:
            await self._access.require_in_guild(actor, USER_UPDATE, event=_EVENT)
            return server, f"egg:{server.egg_id}"
        return server, f"server:{server.id}"

    async def _merged(self, guild_id: int | None, scopes: list[str]) -> Rules:
        async with self._database.session() as session:
            rows = await _rows(session, guild_id, scopes)
        rules = Rules()
        for scope in reversed(scopes):
            if (row := rows.get(scope)) is not None:
                given = {one.name: value for one in fields(Rules) if (value := getattr(row, one.name)) is not None}
                if "countdown" in given:
                    given["countdown"] = tuple(given["countdown"])
                rules = replace(rules, **given)
        return rules


async def _rows(session: AsyncSession, guild_id: int | None, scopes: list[str]) -> dict[str, RequestPolicy]:
    wanted = select(RequestPolicy).where(
        RequestPolicy.guild_id == (guild_id if guild_id is not None else -1), or_(*(RequestPolicy.scope == scope for scope in scopes))
    )
    return {row.scope: row for row in await session.scalars(wanted)}


def _valid(change: RulesChange) -> dict[str, Any]:
    _within("The quorum", change.quorum, 1, MOST_VOTES, "votes")
    _within("The duration", change.duration, SHORTEST, LONGEST, "s")
    _within("The cooldown", change.cooldown, 0, LONGEST_COOLDOWN, "s")
    _within("The time to wait for a node", change.patience, 0, LONGEST_PATIENCE, "s")
    if change.when_offline not in (None, START, END):
        raise Invalid("A request whose server is offline can start it or end.", hint="Choose start or end.")
    values: dict[str, Any] = {one.name: getattr(change, one.name) for one in fields(RulesChange)}
    if change.countdown is not None:
        values["countdown"] = checked_countdown(change.countdown)
    if change.command is not None:
        values["command"] = checked_template(change.command)
    return values


def _within(what: str, value: int | None, least: int, most: int, unit: str) -> None:
    if value is not None and not least <= value <= most:
        raise Invalid(f"{what} must be from {least} to {most} {unit}.")


def checked_countdown(seconds: Sequence[int]) -> list[int]:
    """Warnings before a restart, falling, each once. Raises Invalid."""
    if len(set(seconds)) > MOST_WARNINGS or any(not 1 <= one <= LONGEST_COUNTDOWN for one in seconds):
        raise Invalid(f"A countdown has at most {MOST_WARNINGS} warnings, each from 1 to {LONGEST_COUNTDOWN} s before the restart.")
    return sorted(set(seconds), reverse=True)


def checked_template(template: str) -> str:
    """A console line with `{message}` or `{seconds}` in it, or nothing. Raises Invalid."""
    if not template.strip():
        return ""
    line = checked(template)
    if len(line) > LONGEST_TEMPLATE:
        raise Invalid(f"A warning's command may have {LONGEST_TEMPLATE} characters at most; this one has {len(line)}.")
    foreign = [word for word in _WORD.findall(line) if not _PLACE.fullmatch(word)]
    if foreign:
        raise Invalid(f"A warning's command knows {{message}} and {{seconds}}, not {foreign[0][:40]}.")
    if not _PLACE.search(line):
        raise Invalid("A warning's command must say where the warning goes.", hint="For instance: say {message}")
    return line


def filled(template: str, message: str, seconds: int) -> str:
    """The line to type. Both places are filled in one pass, so that no value can bring in another place."""
    values = {"message": " ".join(message.split()), "seconds": str(seconds)}
    return _PLACE.sub(lambda place: values[place[1]], template)
