"""What the REST APIs list: rows by page, filter and order, and the rows that belong to others. It only reads, and asks nobody:
who may see what is decided before, by bot/api/auth.py for administrators and by services.access for everybody else."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, selectinload

from core.db.engine import Database
from core.db.model import Base
from core.errors import NotFound
from core.models.activity import Activity
from core.models.alert import Alert
from core.models.egg import Egg
from core.models.guild import Grant
from core.models.server import Server, whole_servers
from core.models.user import User

R = TypeVar("R", bound=Base)

HIDDEN_EVENTS = ("server:file.upload",)
"""One row per chunk of an upload; the panel does not list them either."""


class Directory:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        kind: type[R],
        *,
        containing: Mapping[str, str] | None = None,
        equal: Mapping[str, Any] | None = None,
        order: tuple[str, bool] | None = None,
        first: int = 0,
        count: int = 50,
    ) -> tuple[list[R], int]:
        """`count` rows from `first` on (0 is the first), and how many there are in all.

        `containing`: column to text it must hold, in any case; a comma parts texts of which one is enough. `order`: column, descending.
        """
        conditions = [_contains(_column(kind, name), text) for name, text in (containing or {}).items()]
        conditions += [_column(kind, name) == value for name, value in (equal or {}).items()]
        by = _column(kind, order[0]) if order else _column(kind, "id")
        chosen = _whole(kind).where(*conditions).order_by(by.desc() if order and order[1] else by.asc(), _column(kind, "id"))
        async with self._database.session() as session:
            total = await session.scalar(select(func.count()).select_from(kind).where(*conditions)) or 0
            return list(await session.scalars(chosen.offset(first).limit(count))), total

    async def some(self, kind: type[R], name: str, values: Collection[Any]) -> list[R]:
        """Rows whose column `name` is one of the values, by id."""
        if not values:
            return []
        async with self._database.session() as session:
            chosen = _whole(kind).where(_column(kind, name).in_(values)).order_by(_column(kind, "id"))
            return list(await session.scalars(chosen))

    async def find(self, kind: type[R], name: str, value: Any) -> R | None:
        """The one row whose column `name` is `value`, if there is one."""
        async with self._database.session() as session:
            return await session.scalar(_whole(kind).where(_column(kind, name) == value).limit(1))

    async def one(self, kind: type[R], name: str, value: Any) -> R:
        """As `find`. Raises NotFound."""
        row = await self.find(kind, name, value)
        if row is None:
            raise NotFound(f"There is no such {kind.__name__.lower()}.")
        return row

    async def activities(
        self,
        *,
        server: Server | None = None,
        user: User | None = None,
        event: str = "",
        descending: bool = True,
        first: int = 0,
        count: int = 25,
    ) -> tuple[list[Activity], int]:
        """The audit log of one server, or what one user did; `event` is a part of its name."""
        conditions: list[ColumnElement[bool]] = [Activity.event.not_in(HIDDEN_EVENTS)]
        if server is not None:
            conditions.append(Activity.server_id == server.id)
        if user is not None:
            conditions.append(_by(user))
        if event:
            conditions.append(_contains(Activity.event, event))
        by = (Activity.at.desc(), Activity.id.desc()) if descending else (Activity.at, Activity.id)
        async with self._database.session() as session:
            total = await session.scalar(select(func.count()).select_from(Activity).where(*conditions)) or 0
            chosen = select(Activity).where(*conditions).order_by(*by).offset(first).limit(count)
            return list(await session.scalars(chosen)), total

    async def actors(self, rows: Sequence[Activity]) -> dict[int, User]:
        """Users behind activities, by the activity's id; nodes and Aerie itself have none."""
        by_discord = {row.discord_id for row in rows if row.discord_id is not None}
        by_id = {number for row in rows if (number := _user_id(row)) is not None}
        async with self._database.session() as session:
            users = list(await session.scalars(select(User).where(or_(User.discord_id.in_(by_discord), User.id.in_(by_id)))))
        discord = {user.discord_id: user for user in users}
        ids = {user.id: user for user in users}
        found = {row.id: discord.get(row.discord_id) if row.discord_id is not None else ids.get(_user_id(row) or -1) for row in rows}
        return {number: user for number, user in found.items() if user is not None}

    async def subusers(self, servers: Sequence[Server]) -> dict[int, list[tuple[User, list[str]]]]:
        """By server id: users with a row of their own who were granted something on it themselves, and what. Roles are no users."""
        guilds = {server.guild_id for server in servers if server.guild_id is not None}
        async with self._database.session() as session:
            grants = list(await session.scalars(select(Grant).where(Grant.guild_id.in_(guilds), Grant.user_id.is_not(None))))
            people = await session.scalars(select(User).where(User.discord_id.in_({grant.user_id for grant in grants})))
            known = {user.discord_id: user for user in people}
        found: dict[int, list[tuple[User, list[str]]]] = {}
        for server in servers:
            keys: dict[int, set[str]] = {}
            for grant in grants:
                if grant.guild_id == server.guild_id and grant.server_id in (None, server.id) and grant.user_id in known:
                    keys.setdefault(known[grant.user_id].id, set()).update(grant.permissions)
            users = {user.id: user for user in known.values()}
            found[server.id] = [(users[number], sorted(held)) for number, held in sorted(keys.items()) if number != server.owner_id]
        return found

    async def census(self) -> list[tuple[str, str | None]]:
        """Uuid and status of every server."""
        async with self._database.session() as session:
            return [(uuid, status) for uuid, status in await session.execute(select(Server.uuid, Server.status))]

    async def alerts(self) -> tuple[dict[str, int], int]:
        """Alerts that are firing, by severity; and how many alerts' messages are not yet what they should be."""
        firing = select(Alert.severity, func.count()).where(Alert.resolved_at.is_(None)).group_by(Alert.severity)
        async with self._database.session() as session:
            behind = await session.scalar(select(func.count()).select_from(Alert).where(Alert.behind)) or 0
            rows = await session.execute(firing)
            return {str(row[0]): int(row[1]) for row in rows}, behind

    async def allocated(self, node_ids: Collection[int]) -> dict[int, tuple[int, int]]:
        """Memory (MB) and disk (MiB) that a node's servers may use together, by node."""
        sums = select(Server.node_id, func.sum(Server.memory), func.sum(Server.disk)).where(Server.node_id.in_(node_ids))
        async with self._database.session() as session:
            rows = await session.execute(sums.group_by(Server.node_id))
            return {node_id: (int(memory or 0), int(disk or 0)) for node_id, memory, disk in rows}


def _column(kind: type[Base], name: str) -> InstrumentedAttribute[Any]:
    column: InstrumentedAttribute[Any] = getattr(kind, name)
    return column


def _whole(kind: type[R]) -> Select[R]:
    if kind is Server:
        return whole_servers()  # type: ignore[return-value]
    if kind is Egg:
        return select(kind).options(selectinload(Egg.variables))
    return select(kind)


def _contains(column: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    words = [word for word in text.lower().split(",") if word] or [text.lower()]
    return or_(*(func.lower(column).contains(word, autoescape=True) for word in words))


def _by(user: User) -> ColumnElement[bool]:
    own: ColumnElement[bool] = Activity.actor == f"api_key:{user.id}"
    if user.discord_id is None:
        return own & Activity.discord_id.is_(None)
    return (own & Activity.discord_id.is_(None)) | (Activity.discord_id == user.discord_id)


def _user_id(row: Activity) -> int | None:
    kind, _, number = row.actor.partition(":")
    return int(number) if kind == "api_key" and row.discord_id is None and number.isdigit() else None
