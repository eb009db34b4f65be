"""The audit log: who did or tried what, from where, and what came of it. Written in its own transaction, so that a refusal is kept too."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError
from core.models.activity import Activity
from core.models.node import Node
from core.models.server import Server
from core.protocol.remote import ActivityEntry
from core.vocabulary import ActorKind, Outcome

_MOST_DETAILS = 4000  # characters of one value


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
            guild_id=actor.guild_id,
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
        """Take a node's report; returns how many rows were kept. Servers of other nodes and foreign events are passed over in silence.

        `metadata`, names and addresses are the node's word; who sent it is our own knowledge.
        """
        async with self._database.session() as session:
            uuids = {entry.server for entry in entries}
            servers = {s.uuid: s for s in await session.scalars(select(Server).where(Server.node_id == node.id, Server.uuid.in_(uuids)))}
        rows = [
            Activity(
                at=entry.timestamp,
                event=entry.event[:191],
                outcome=Outcome.OK.value,
                actor_kind=ActorKind.NODE.value,
                actor=f"user:{entry.user}"[:191] if entry.user else f"node:{node.id}",
                actor_name=node.name,
                guild_id=servers[entry.server].guild_id,
                server_id=servers[entry.server].id,
                server_uuid=entry.server,
                node_id=node.id,
                origin=(entry.ip or "")[:191],
                details=_short(entry.metadata),
            )
            for entry in entries
            if entry.server in servers and entry.event.startswith("server:")
        ]
        async with self._database.begin() as session:
            session.add_all(rows)
        return len(rows)

    async def recent(self, server: Server, most: int = 25) -> list[Activity]:
        """The newest rows of one server, newest first. Asks nobody: the caller went through `access` with `activity.read`."""
        async with self._database.session() as session:
            newest = select(Activity).where(Activity.server_id == server.id).order_by(Activity.at.desc(), Activity.id.desc()).limit(most)
            return list(await session.scalars(newest))

    async def prune(self, keep: timedelta) -> int:
        """Forget rows older than `keep`; returns how many."""
        async with self._database.begin() as session:
            done = await session.execute(delete(Activity).where(Activity.at < self._clock.now() - keep).returning(Activity.id))
            return len(done.all())


def _short(metadata: dict[str, Any]) -> dict[str, Any]:
    """Values of a size a log can bear."""
    return {
        str(key)[:191]: value[:_MOST_DETAILS] + "…" if isinstance(value, str) and len(value) > _MOST_DETAILS else value
        for key, value in list(metadata.items())[:50]
    }
