"""All backups of the node: who is next, what is told, what is done again after a crash. One at a time for a server, a few for the node.

Results go through the outbox, so that the control plane hears of each, however long it was away; they may come twice.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from agent.archives.blocks import Codec
from agent.backups import manifest, read, restore, s3
from agent.backups.make import make
from agent.backups.manifest import Summary
from agent.backups.restore import Note
from agent.backups.store import Store, proper
from agent.fetching import Fetcher
from agent.outbox import Outbox
from agent.remote import Remote
from agent.server.server import Server
from agent.server.standing import DaemonNotice
from core.agent_settings import BackupSection
from core.clock import Clock
from core.errors import AerieError, BadRequest, Conflict
from core.protocol.backups import BackupCompleted, BackupStatus, RestoreStatus, UploadedPart
from core.protocol.socket import Outbound
from core.supervise import Supervisor

log = logging.getLogger(__name__)

WINGS, S3 = "wings", "s3"
"""Adapters, as Wings calls them: this node's disk, or S3 by addresses that the control plane signs."""
STOP_SECONDS = 120.0
"""What a server is given to stop before a restore; it is not killed (Wings)."""
RESTORING = "being restored from a backup"
MOST_FETCHED = 1024**4
PROVE_SECONDS = 3600.0
"""Between two looks for a backup whose proof is due."""


class BackupDesk:
    """`prepare` before boot, `begin_work` after it."""

    def __init__(
        self, settings: BackupSection, folder: Path, remote: Remote, outbox: Outbox, fetcher: Fetcher, clock: Clock, tasks: Supervisor
    ) -> None:
        self.store = Store(settings.directory or folder / "backups")
        self._settings = settings
        self._codec = Codec(settings.compression)
        self._remote = remote
        self._outbox = outbox
        self._fetcher = fetcher
        self._clock = clock
        self._tasks = tasks
        self._turn = asyncio.Semaphore(settings.at_once)
        self._busy: dict[str, threading.Event] = {}
        """By server, what is under way; set, it ends soon."""
        self._notes: dict[str, Note] = {}
        self._booted = asyncio.Event()
        self.end_sessions: Callable[[str], None] = lambda server: None
        """Sends away whoever works on a server's files; given by the app."""

    # What is asked

    def begin(self, server: Server, backup: str, adapter: str, ignore: str) -> None:
        """Make a backup in the background. Raises Invalid, BadRequest, Conflict, ServerBusy now; the result is reported."""
        proper(backup)
        _check_kind(adapter, "makes")
        self._enter(server, "A backup of the server is being made already.")
        self._tasks.spawn("backup", self._make(server, backup, adapter, ignore))

    async def begin_restore(self, server: Server, backup: str, adapter: str, url: str, *, truncate: bool) -> None:
        """Put a backup back in the background. Raises Invalid, BadRequest, NotFound, Conflict, ServerBusy now; the result is reported."""
        proper(backup)
        _check_kind(adapter, "restores")
        if adapter == S3 and not url:
            raise BadRequest("A restore from S3 needs the backup's address.")
        if adapter != S3:
            await asyncio.to_thread(self.store.find, server.uuid, backup)
        self._enter(server, "A backup of the server is being made or restored already.")
        server.held = RESTORING
        self.end_sessions(server.uuid)
        self._tasks.spawn("restore", self._restore(server, backup, url if adapter == S3 else "", truncate=truncate))

    async def delete(self, server: Server, backup: str) -> None:
        """Raises Invalid and NotFound, Conflict while it is being made or restored."""
        proper(backup)
        if server.uuid in self._busy and (self.store.note(backup).exists() or server.held):
            raise Conflict("The backup is being made or restored.", hint="Try again when that is done.")
        await asyncio.to_thread(self.store.delete, server.uuid, backup)

    async def prove(self, server: str, backup: str) -> Summary:
        """Read a backup whole and hold it against its list; answers it with the time of the proof. Raises Torn, NotFound."""
        archive, known = await asyncio.to_thread(self.store.listed, server, proper(backup))
        path = self.store.manifest(backup)
        await asyncio.to_thread(read.prove, archive, path, known)
        known.proven_at = self._clock.now()
        await asyncio.to_thread(manifest.rewrite, path, known)
        return known

    def forget(self, server: str) -> None:
        """A server was deleted: what is under way for it ends."""
        self._tasks.spawn("forget a restore", asyncio.to_thread(restore.note_path(self.store, server).unlink, missing_ok=True))
        if (ending := self._busy.get(server)) is not None:
            ending.set()

    # After a crash, and now and then

    async def prepare(self) -> None:
        """Before boot: find what an earlier agent was doing when it ended."""
        await asyncio.to_thread(self.store.make_folder)
        self._notes = {note.server: note for note in await asyncio.to_thread(restore.notes, self.store)}

    def greet(self, server: Server) -> None:
        """A server has come to live here: hold it if it was being restored, before anybody can start it."""
        if (note := self._notes.pop(server.uuid, None)) is not None:
            log.warning("server %s was being restored when the agent ended; doing it again", server.uuid)
            self._busy[server.uuid] = threading.Event()
            server.held = RESTORING
            self._tasks.spawn("restore again", self._restore_again(server, note))

    async def begin_work(self) -> None:
        """After boot: go on with what was cut short, tell of what cannot be gone on with, and look after the backups from now on."""
        for backup, owner in await asyncio.to_thread(self.store.unfinished):
            log.warning("the backup %s of server %s was cut short; it is reported as failed", backup, owner)
            await self._report(None, backup, None, None)
        self._booted.set()
        self._tasks.run("backups", self._watch)

    async def _watch(self) -> None:
        proven = self._clock.monotonic()
        while True:
            await self._clock.sleep(PROVE_SECONDS)
            await asyncio.to_thread(self._drop_old_safeties)
            if self._settings.prove_hours and self._clock.monotonic() - proven >= self._settings.prove_hours * 3600:
                proven = self._clock.monotonic()
                await self._prove_next()

    async def _prove_next(self) -> None:
        """The backup that was not proven for longest."""
        known = await asyncio.to_thread(self._all)
        if not known:
            return
        known.sort(key=lambda one: one.proven_at or one.made_at)
        async with self._turn:
            try:
                await self.prove(known[0].server, known[0].backup)
            except AerieError as error:
                log.error("the backup %s of server %s could not be proven: %s", known[0].backup, known[0].server, error)

    def _all(self) -> list[Summary]:
        found = []
        for path in self.store.folder.glob("*.files"):
            try:
                found.append(manifest.summary(path))
            except AerieError as error:
                log.error("%s: %s", path, error)
        return found

    def _drop_old_safeties(self) -> None:
        before = self._clock.now() - timedelta(days=self._settings.safety_days)
        for known in self._all():
            if known.reason == "safety" and known.made_at < before:
                self.store.delete(known.server, known.backup)

    # The work

    def _enter(self, server: Server, words: str) -> None:
        server.check_held()
        if server.end_installation is not None:
            raise Conflict("The server is being installed.", hint="Try again when that is done.")
        if server.uuid in self._busy:
            raise Conflict(words, hint="Try again when that is done.")
        self._busy[server.uuid] = threading.Event()

    async def _make(self, server: Server, backup: str, adapter: str, ignore: str) -> None:
        made: Summary | None = None
        parts: list[UploadedPart] | None = None
        try:
            async with self._turn:
                made = await self._made(server, backup, ignore, codec=Codec.GZIP if adapter == S3 else self._codec)
                if adapter == S3:
                    parts = await self._sent(server.uuid, made)
        except AerieError as error:
            log.error("the backup %s of server %s failed: %s", backup, server.uuid, error)
            server.notice(f"The backup failed: {error}")
            made = None
        except asyncio.CancelledError:  # the agent ends: the next one tells of it
            self._busy[server.uuid].set()
            raise
        self._busy.pop(server.uuid, None)
        await self._report(server, backup, made, parts)

    async def _made(self, server: Server, backup: str, ignore: str, *, codec: Codec, reason: str = "") -> Summary:
        return await asyncio.to_thread(self._make_now, server, backup, ignore, codec, reason)

    def _make_now(self, server: Server, backup: str, ignore: str, codec: Codec, reason: str) -> Summary:
        files = server.volume.open(guarded=False)
        try:
            return make(
                files, self.store, server=server.uuid, backup=backup, ignore=ignore, now=self._clock.now(), codec=codec, reason=reason,
                cancelled=self._busy[server.uuid].is_set,
            )  # fmt: skip
        finally:
            files.close()

    async def _sent(self, server: str, made: Summary) -> list[UploadedPart]:
        """To S3; the local copy goes, however that ends."""
        try:
            urls = await self._remote.backup_urls(made.backup, made.size)
            return await s3.upload(self.store.archive(made.backup), made.size, urls, self._clock)
        finally:
            await asyncio.to_thread(self.store.delete, server, made.backup)

    async def _report(self, server: Server | None, backup: str, made: Summary | None, parts: list[UploadedPart] | None) -> None:
        status = BackupStatus(successful=False)
        if made is not None:
            status = BackupStatus(checksum=made.checksum, checksum_type="sha1", size=made.size, successful=True, parts=parts)
        try:
            await self._outbox.put(f"/backups/{backup}", status.model_dump(mode="json"), stream=f"backup {backup}")
        except AerieError as error:
            log.error("%s", error)
        else:
            await asyncio.to_thread(self.store.note(backup).unlink, missing_ok=True)
        if server is not None:
            told = BackupCompleted(
                uuid=backup, is_successful=status.successful, checksum=status.checksum, checksum_type="sha1", file_size=status.size
            )
            server.events.publish(DaemonNotice(Outbound.BACKUP_COMPLETED, told.model_dump_json()))

    async def _restore(self, server: Server, backup: str, url: str, *, truncate: bool) -> None:
        done = False
        try:
            async with self._turn:
                note = await self._prepared(server, backup, url, truncate=truncate)
                done = await self._carried_out(server, note)
        except AerieError as error:
            log.error("restoring server %s failed before anything was changed: %s", server.uuid, error)
            server.notice(f"The backup was not restored, and nothing was changed: {error}")
        except asyncio.CancelledError:  # the agent ends: the next one goes on, by the note
            self._busy[server.uuid].set()
            raise
        await self._restored(server, backup, successful=done)

    async def _prepared(self, server: Server, backup: str, url: str, *, truncate: bool) -> Note:
        """Look at the archive, stop the server, keep what is there: until here nothing is changed. Raises AerieError."""
        if url:
            archive, known = await self._fetched(server.uuid, url), None
        else:
            archive, known = await asyncio.to_thread(self.store.find, server.uuid, backup)
        note = Note(server=server.uuid, backup=backup, archive=archive.name, truncate=truncate, fetched=bool(url))
        try:
            server.notice("Checking the backup before it is restored.")
            await asyncio.to_thread(restore.check, archive, self.store.manifest(backup), known, self._clock.monotonic)
            if not await server.stopped_gently(STOP_SECONDS):
                raise Conflict("The server did not stop within two minutes.", hint="Kill it, then restore again.")
            if self._settings.safety:
                server.notice("Keeping a safety copy of the present files.")
                note.safety = str(uuid.uuid4())
                await self._made(server, note.safety, " ", codec=self._codec, reason="safety")
                await asyncio.to_thread(self.store.note(note.safety).unlink, missing_ok=True)
            await asyncio.to_thread(restore.write_note, self.store, note)
        except BaseException:
            if url:
                archive.unlink(missing_ok=True)
            raise
        return note

    async def _fetched(self, server: str, url: str) -> Path:
        """The archive from S3, in the folder of the backups for as long as the restore takes. Raises NotFetched."""
        path = self.store.folder / f"{server}.fetched"
        path.touch(mode=0o600)
        try:
            async with self._fetcher.open(url) as answer:
                with path.open("wb") as file:
                    async for chunk in answer.chunks(MOST_FETCHED):
                        await asyncio.to_thread(file.write, chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    async def _restore_again(self, server: Server, note: Note) -> None:
        await self._booted.wait()
        async with self._turn:
            done = False
            if await server.stopped_within(STOP_SECONDS):
                done = await self._carried_out(server, note)
            else:
                log.error("server %s does not end, so it is not restored now; the next agent tries again", server.uuid)
        await self._restored(server, note.backup, successful=done)

    async def _carried_out(self, server: Server, note: Note) -> bool:
        """From the note on: the backup's files, or, when they cannot be put in, those that were there. Whether it was the backup's."""
        archive = self.store.folder / note.archive
        done = False
        try:
            server.notice("Putting the backup's files in place.")
            count = await asyncio.to_thread(self._put_back, server, archive, note.truncate)
            server.notice(f"The backup is restored: {count:,} files.")
            done = True
        except (AerieError, OSError) as error:
            log.error("restoring server %s failed: %s", server.uuid, error)
            await self._undo(server, note, error)
        await asyncio.to_thread(restore.note_path(self.store, server.uuid).unlink, missing_ok=True)
        if note.fetched:
            await asyncio.to_thread(archive.unlink, missing_ok=True)
        return done

    async def _undo(self, server: Server, note: Note, why: Exception) -> None:
        if not note.safety:
            server.notice(f"The backup could not be restored whole: {why} There is no safety copy; restore another backup.")
            return
        try:
            kept, _ = await asyncio.to_thread(self.store.find, server.uuid, note.safety)
            await asyncio.to_thread(self._put_back, server, kept, True)
            server.notice(f"The backup could not be restored: {why} The files are as they were before.")
        except (AerieError, OSError) as error:
            log.error("the safety copy %s of server %s could not be put back: %s", note.safety, server.uuid, error)
            server.notice(f"The backup could not be restored: {why} Nor could the safety copy {note.safety}: {error}")

    def _put_back(self, server: Server, archive: Path, truncate: bool) -> int:
        files = server.volume.open(guarded=False)
        try:
            server.volume.count_first()
            return restore.put_back(files, archive, self._clock.monotonic, truncate=truncate)
        finally:
            files.close()

    async def _restored(self, server: Server, backup: str, *, successful: bool) -> None:
        server.held = ""
        self._busy.pop(server.uuid, None)
        try:
            body = RestoreStatus(successful=successful).model_dump(mode="json")
            await self._outbox.put(f"/backups/{backup}/restore", body, stream=f"restore {server.uuid}")
        except AerieError as error:
            log.error("%s", error)
        server.events.publish(DaemonNotice(Outbound.BACKUP_RESTORE_COMPLETED, ""))


def _check_kind(adapter: str, does: str) -> None:
    """Raises BadRequest."""
    if adapter not in (WINGS, S3):
        raise BadRequest(f"This node {does} no backups of the kind {adapter[:40]!r}.", hint="Use wings or s3.")
