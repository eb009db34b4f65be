"""The audit log: who did or tried what, from where, and what came of it. Written in its own transaction, so that a refusal is kept too."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, Conflict
from core.models.activity import Activity
from core.models.node import Node
from core.models.server import Server
from core.models.user import User
from core.protocol.remote import ActivityEntry
from core.vocabulary import ActorKind, Outcome

log = logging.getLogger(__name__)

_MOST_DETAILS = 4000  # characters of one value
_MOST_ITEMS = 100  # of one list
_TRIES = 5
_PRUNE_EVERY = 3600.0  # s


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows. `servers` None means the whole guild, also what concerns no server; `own` adds all that this person did in it."""

    guild_id: int
    servers: frozenset[int] | None = None
    own: int | None = None
    person: int | None = None
    """A Discord id: only what they did."""
    event: str = ""
    """A name, or the beginning of one that ends at a dot: `server:power`."""

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = [Activity.guild_id == self.guild_id]
        if self.servers is not None:
            seen = Activity.server_id.in_(self.servers)
            found.append(seen if self.own is None else or_(seen, Activity.discord_id == self.own))
        if self.person is not None:
            found.append(Activity.discord_id == self.person)
        if self.event:
            found.append(or_(Activity.event == self.event, Activity.event.startswith(self.event + ".", autoescape=True)))
        return found


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Rows, newest first; names of their servers that still exist, by id; whether there are newer and older ones."""

    rows: list[Activity]
    names: dict[int, str]
    newer: bool
    older: bool


class ActivityLog:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def write(
        self,
        actor: Actor,
        event: str,
        server: Server | None = None,
        outcome: Outcome = Outcome.OK,
        metadata: dict[str, Any] | None = None,
        *,
        reason: str = "",
    ) -> int:
        """Write one row; returns its id, for `amend`. `event` is named as the panel names them, `server:power.start`."""
        row = Activity(
            at=self._clock.now(),
            event=event,
            outcome=outcome.value,
            actor_kind=actor.kind.value,
            actor=actor.label[:191],
            actor_name=actor.name[:191],
            discord_id=actor.discord_id,
            guild_id=actor.guild_id if actor.guild_id is not None or server is None else server.guild_id,
            server_id=server.id if server else None,
            server_uuid=server.uuid if server else None,
            node_id=actor.node_id,
            origin=actor.origin[:191],
            reason=reason,
            details=_short(metadata or {}),
        )
        async with self._database.begin() as session:
            session.add(row)
        return row.id

    async def amend(self, row_id: int, outcome: Outcome, reason: str = "") -> None:
        """Fill in what came of an action that was written before it was tried."""
        async with self._database.begin() as session:
            await session.execute(update(Activity).where(Activity.id == row_id).values(outcome=outcome.value, reason=reason))

    async def refused(
        self, actor: Actor, event: str, server: Server | None, error: AerieError, metadata: dict[str, Any] | None = None
    ) -> None:
        await self.write(actor, event, server, Outcome.REFUSED, {**(metadata or {}), "code": error.code}, reason=str(error))

    async def ingest(self, node: Node, entries: Sequence[ActivityEntry]) -> int:
        """Take a node's report; returns how many rows were kept. Servers of other nodes and foreign events are passed over in silence,
        and so is what was reported before.

        `metadata`, users and addresses are the node's word; who sent it is our own knowledge.
        """
        async with self._database.session() as session:
            uuids = {entry.server for entry in entries}
            servers = {s.uuid: s for s in await session.scalars(select(Server).where(Server.node_id == node.id, Server.uuid.in_(uuids)))}
            people = {entry.user for entry in entries if entry.user}
            users = {user.uuid: user for user in await session.scalars(select(User).where(User.uuid.in_(people)))}
        told = {
            _digest(node, entry): entry for entry in entries if entry.server in servers and entry.event.startswith("server:")
        }  # the same entry twice in one report is one
        for _ in range(_TRIES):
            fresh = await self._unknown(told)
            rows = [_reported(node, digest, told[digest], servers[told[digest].server], users) for digest in fresh]
            try:
                async with self._database.begin() as session:
                    session.add_all(rows)
            except IntegrityError:
                continue  # the same report came to another process at this moment; what it kept is known now
            return len(rows)
        raise Conflict("The same activity is being reported several times at once.", hint="Report it again.")

    async def _unknown(self, told: Mapping[str, ActivityEntry]) -> list[str]:
        async with self._database.session() as session:
            known = set(await session.scalars(select(Activity.digest).where(Activity.digest.in_(list(told)))))
        return [digest for digest in told if digest not in known]

    async def recent(self, server: Server, most: int = 25) -> list[Activity]:
        """The newest rows of one server, newest first. Asks nobody: the caller went through `access` with `activity.read`."""
        async with self._database.session() as session:
            newest = select(Activity).where(Activity.server_id == server.id).order_by(Activity.at.desc(), Activity.id.desc()).limit(most)
            return list(await session.scalars(newest))

    async def page(self, wanted: Wanted, *, before: int | None = None, after: int | None = None, most: int = 10) -> ActivityPage:
        """Newest first: what was written before the row `before`, or the oldest after the row `after`, else the newest.

        Asks nobody: services.history does.
        """
        query = select(Activity).where(*wanted.conditions())
        if after is not None:
            query = query.where(Activity.id > after).order_by(Activity.id)
        else:
            query = (query.where(Activity.id < before) if before is not None else query).order_by(Activity.id.desc())
        async with self._database.session() as session:
            rows = list(await session.scalars(query.limit(most + 1)))
            more = len(rows) > most
            rows = sorted(rows[:most], key=lambda row: -row.id)
            known = list(await session.scalars(select(Server).where(Server.id.in_({row.server_id for row in rows if row.server_id}))))
            newer = older = more
            if after is not None:
                older = True
            else:
                newer = before is not None
        return ActivityPage(rows, {server.id: server.name for server in known}, newer, older)

    async def run(self, keep: timedelta) -> None:
        """Worker: forget what is older than `keep`, once an hour, for ever."""
        while True:
            if gone := await self.prune(keep):
                log.info("%d entries of the activity log were older than %d days and are forgotten", gone, keep.days)
            await self._clock.sleep(_PRUNE_EVERY)

    async def prune(self, keep: timedelta) -> int:
        """Forget rows older than `keep`, a thousand at a time; returns how many."""
        gone = 0
        while True:
            async with self._database.begin() as session:
                old = select(Activity.id).where(Activity.at < self._clock.now() - keep).order_by(Activity.id).limit(1000)
                ids = list(await session.scalars(old))
                await session.execute(delete(Activity).where(Activity.id.in_(ids)))
            gone += len(ids)
            if len(ids) < 1000:
                return gone


def _digest(node: Node, entry: ActivityEntry) -> str:
    """What an entry is known by when it comes again."""
    said = [node.id, entry.user, entry.server, entry.event, entry.ip, entry.timestamp.isoformat(), entry.metadata]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _reported(node: Node, digest: str, entry: ActivityEntry, server: Server, users: Mapping[str, User]) -> Activity:
    user = users.get(entry.user or "")
    return Activity(
        at=entry.timestamp,
        event=entry.event[:191],
        outcome=Outcome.OK.value,
        actor_kind=ActorKind.NODE.value,
        actor=f"user:{entry.user}"[:191] if entry.user else f"node:{node.id}",
        actor_name=user.name if user is not None else node.name,
        discord_id=user.discord_id if user is not None else None,
        guild_id=server.guild_id,
        server_id=server.id,
        server_uuid=entry.server,
        node_id=node.id,
        origin=(entry.ip or "")[:191],
        details=_short(entry.metadata),
        digest=digest,
    )


def _short(metadata: dict[str, Any]) -> dict[str, Any]:
    """Values of a size a log can bear: long texts are cut, of long lists the first are kept and how many more there were."""
    short: dict[str, Any] = {}
    for key, value in list(metadata.items())[:50]:
        if isinstance(value, str) and len(value) > _MOST_DETAILS:
            value = value[:_MOST_DETAILS] + "…"
        elif isinstance(value, list) and len(value) > _MOST_ITEMS:
            short[f"{str(key)[:180]}_more"] = len(value) - _MOST_ITEMS
            value = value[:_MOST_ITEMS]
        short[str(key)[:191]] = value
    return short
