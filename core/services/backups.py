"""Backups: who may make, restore, lock, delete and download them; what their nodes report. Rows are committed first."""

import logging
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, Conflict, LimitReached, NotFound, ServerBusy
from core.events import ServerBackupEnded, ServerRestoreEnded
from core.models.backup import Backup
from core.models.node import Node
from core.models.server import Server, whole_servers
from core.protocol.backups import BackupStatus, MakeBackup, RestoreBackup
from core.protocol.signed import Purpose
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.live import LiveBoard
from core.services.nodes import Nodes
from core.tokens import sign_url_token
from core.vocabulary import ActorKind, Outcome, ServerStatus

log = logging.getLogger(__name__)

WINGS = "wings"
FORGOTTEN_AFTER = timedelta(hours=24)
"""A backup of which its node reports nothing for so long has failed; its own word, should it still come, counts all the same."""


class Backups:
    def __init__(self, database: Database, access: Access, activity: ActivityLog, nodes: Nodes, live: LiveBoard, clock: Clock) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._nodes = nodes
        self._live = live
        self._clock = clock

    async def of(self, actor: Actor, ref: str | int) -> tuple[Server, list[Backup]]:
        """A server's backups, newest first. Raises NotFound and MissingPermission."""
        server = await self._access.server(actor, ref, "backup.read", event="server:backup.list")
        before = self._clock.now() - FORGOTTEN_AFTER
        async with self._database.begin() as session:
            late = update(Backup).where(Backup.server_id == server.id, Backup.completed_at.is_(None), Backup.created_at < before)
            await session.execute(late.values(completed_at=self._clock.now()))
            rows = select(Backup).where(Backup.server_id == server.id).order_by(Backup.created_at.desc(), Backup.id.desc())
            return server, list(await session.scalars(rows))

    async def one(self, actor: Actor, ref: str | int, backup: str, permission: str = "backup.read", *, event: str = "") -> Backup:
        """A backup of a server by its id. Raises NotFound and MissingPermission."""
        server = await self._access.server(actor, ref, permission, event=event or "server:backup.list")
        async with self._database.session() as session:
            return await _own(session, server, backup)

    async def create(self, actor: Actor, ref: str | int, *, name: str = "", ignored: str = "", locked: bool = False) -> Backup:
        """Have the node make one; its end comes as ServerBackupEnded. Raises LimitReached, ServerBusy and the node's errors."""
        server = await self._access.server(actor, ref, "backup.create", event="server:backup.start")
        now = self._clock.now()
        made = Backup(
            server_id=server.id,
            name=name.strip() or f"Backup at {now:%Y-%m-%d %H:%M:%S}",
            ignored=ignored,
            locked=locked,
            made_by=actor.name,
            created_at=now,
            checksum=None,
            completed_at=None,
        )
        async with self._database.begin() as session:
            # a write first: on both databases it makes the others wait, so that the limit holds
            await session.execute(update(Server).where(Server.id == server.id).values(backup_limit=Server.backup_limit))
            kept = select(func.count()).where(Backup.server_id == server.id, Backup.successful | Backup.completed_at.is_(None))
            held = int(await session.scalar(kept) or 0)
            if held >= server.backup_limit:
                hint = "Delete one first, or ask whoever runs Aerie for more." if held else "Ask whoever runs Aerie for some."
                raise LimitReached(f"{server.name} may have {server.backup_limit} backups and has {held}.", hint=hint)
            session.add(made)
            await session.flush()
        row_id = await self._activity.write(actor, "server:backup.start", server, metadata={"name": made.name, "backup": made.uuid})
        try:
            await self._nodes.client(server.node).backup(server.uuid, MakeBackup(adapter=WINGS, uuid=made.uuid, ignore=ignored))
        except AerieError as error:
            async with self._database.begin() as session:
                gone = await session.get(Backup, made.id)
                if gone is not None:
                    await session.delete(gone)
            await self._activity.amend(row_id, Outcome.FAILED, str(error))
            raise
        return made

    async def restore(self, actor: Actor, ref: str | int, backup: str, *, truncate: bool) -> Backup:
        """Have the node put one back, over the files or (`truncate`) in their place; its end comes as ServerRestoreEnded.

        Raises Conflict for one that is not whole, ServerBusy, and the node's errors.
        """
        server = await self._access.server(actor, ref, "backup.restore", event="server:backup.restore")
        async with self._database.begin() as session:
            row = await _own(session, server, backup)
            if not row.successful:
                raise Conflict("This backup is not whole.", hint="Choose another one.")
            free = update(Server).where(Server.id == server.id, Server.status.is_(None))
            taken = await session.execute(free.values(status=ServerStatus.RESTORING_BACKUP.value))
        if not taken.rowcount:  # type: ignore[attr-defined]
            raise ServerBusy(f"{server.name} is suspended, or being installed or restored.", hint="Wait until that is done.")
        row_id = await self._activity.write(actor, "server:backup.restore", server, metadata={"name": row.name, "truncate": truncate})
        try:
            wanted = RestoreBackup(adapter=row.adapter, truncate_directory=truncate)
            await self._nodes.client(server.node).restore_backup(server.uuid, row.uuid, wanted)
        except AerieError as error:
            await self._not_restoring(server)
            await self._activity.amend(row_id, Outcome.FAILED, str(error))
            raise
        return row

    async def delete(self, actor: Actor, ref: str | int, backup: str) -> Backup:
        """Remove it from its node, then here. Raises Conflict for a locked or unfinished one, and the node's errors."""
        server = await self._access.server(actor, ref, "backup.delete", event="server:backup.delete")
        async with self._database.session() as session:
            row = await _own(session, server, backup)
        if row.locked and row.successful:
            raise Conflict(f"{row.name} is locked.", hint="Unlock it first.")
        if row.pending:
            raise Conflict(f"{row.name} is still being made.", hint="Wait until that is done.")
        row_id = await self._activity.write(actor, "server:backup.delete", server, metadata={"name": row.name})
        try:
            with suppress(NotFound):
                await self._nodes.client(server.node).delete_backup(server.uuid, row.uuid)
        except AerieError as error:
            await self._activity.amend(row_id, Outcome.FAILED, str(error))
            raise
        async with self._database.begin() as session:
            if (gone := await session.get(Backup, row.id)) is not None:
                await session.delete(gone)
        return row

    async def lock(self, actor: Actor, ref: str | int, backup: str, *, locked: bool | None = None) -> Backup:
        """Keep it from being deleted, or no longer; None turns it round. Raises NotFound and MissingPermission."""
        server = await self._access.server(actor, ref, "backup.delete", event="server:backup.lock")
        async with self._database.begin() as session:
            row = await _own(session, server, backup)
            row.locked = (not row.locked) if locked is None else locked
        event = "server:backup.lock" if row.locked else "server:backup.unlock"
        await self._activity.write(actor, event, server, metadata={"name": row.name})
        return row

    async def download(self, actor: Actor, ref: str | int, backup: str, *, user_uuid: str = "") -> str:
        """An address at the node that gives the archive once within fifteen minutes. Raises Conflict for one that is not whole."""
        server = await self._access.server(actor, ref, "backup.download", event="server:backup.download")
        async with self._database.session() as session:
            row = await _own(session, server, backup)
        if not row.successful:
            raise Conflict("This backup is not whole.", hint="Choose another one.")
        address = self._nodes.address(server.node)
        token = sign_url_token(
            address.token.secret,
            Purpose.BACKUP_DOWNLOAD,
            server_uuid=server.uuid,
            now=self._clock.now(),
            user_uuid=user_uuid,
            backup_uuid=row.uuid,
            issuer=self._nodes.origin,
            audience=address.url,
            derived=await self._nodes.client(server.node).takes_derived(),
        )
        await self._activity.write(actor, "server:backup.download", server, metadata={"name": row.name})
        return f"{address.url}/download/backup?token={token}"

    # What nodes report

    async def report(self, node: Node, backup: str, status: BackupStatus) -> None:
        """How a backup ended. The same report twice changes nothing. Raises NotFound for a backup that is not on this node."""
        async with self._database.begin() as session:
            row, server = await _on_node(session, node, backup)
            if row.successful:
                return
            row.successful, row.completed_at = status.successful, self._clock.now()
            row.checksum = f"{status.checksum_type}:{status.checksum}"[:191] if status.successful and status.checksum else None
            row.bytes = max(0, status.size) if status.successful else 0
        outcome = Outcome.OK if status.successful else Outcome.FAILED
        event = "server:backup.complete" if status.successful else "server:backup.fail"
        await self._activity.write(_by(node), event, server, outcome, metadata={"name": row.name})
        now, uuid = self._clock.now(), server.uuid
        await self._live.publish(
            ServerBackupEnded(server_uuid=uuid, backup_uuid=row.uuid, successful=row.successful, bytes=row.bytes, at=now)
        )

    async def report_restore(self, node: Node, backup: str, *, successful: bool) -> None:
        """How a restore ended. A suspension is not touched. Raises NotFound for a backup that is not on this node."""
        async with self._database.begin() as session:
            row, server = await _on_node(session, node, backup)
        if not await self._not_restoring(server):
            return
        event = "server:backup.restore-complete" if successful else "server:backup.restore-failed"
        outcome = Outcome.OK if successful else Outcome.FAILED
        await self._activity.write(_by(node), event, server, outcome, metadata={"name": row.name})
        await self._live.publish(
            ServerRestoreEnded(server_uuid=server.uuid, backup_uuid=row.uuid, successful=successful, at=self._clock.now())
        )

    async def _not_restoring(self, server: Server) -> bool:
        """Whether it was being restored until now."""
        restoring = update(Server).where(Server.id == server.id, Server.status == ServerStatus.RESTORING_BACKUP.value)
        async with self._database.begin() as session:
            changed = await session.execute(restoring.values(status=None))
        return bool(changed.rowcount)  # type: ignore[attr-defined]


async def _own(session: AsyncSession, server: Server, backup: str) -> Backup:
    row = await session.scalar(select(Backup).where(Backup.server_id == server.id, Backup.uuid == backup.strip().lower()))
    if row is None:
        raise NotFound(f"{server.name} has no such backup.", hint="`/backup list` shows what there is.")
    return row


async def _on_node(session: AsyncSession, node: Node, backup: str) -> tuple[Backup, Server]:
    row = await session.scalar(select(Backup).where(Backup.uuid == backup.strip().lower()).with_for_update())
    server = await session.scalar(whole_servers().where(Server.id == row.server_id, Server.node_id == node.id)) if row is not None else None
    if row is None or server is None:
        raise NotFound("There is no such backup on this node.")
    return row, server


def _by(node: Node) -> Actor:
    return Actor(ActorKind.NODE, node.name, node_id=node.id)
