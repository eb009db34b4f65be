"""Files being fetched into servers' folders: at most three at a time for a server, each with its progress (Wings)."""

import asyncio
import logging
import os
import uuid
from dataclasses import dataclass, field
from functools import partial

from agent.fetching import Fetched, Fetcher, NotFetched
from agent.files import FileDesk, base_name, begin_replacement, check_free
from agent.filesystem.listing import Entry, entry_of
from agent.filesystem.root import normal
from agent.filesystem.rooted import Rooted
from agent.server.server import Server
from core.errors import AerieError, BadRequest
from core.supervise import Supervisor

log = logging.getLogger(__name__)

AT_ONCE = 3
"""Per server (Wings)."""
MEBIBYTE = 1024 * 1024


@dataclass
class Pull:
    """One file on its way."""

    id: str
    server: str
    got: int = 0
    size: int | None = None
    task: asyncio.Task[object] | None = field(default=None, repr=False)

    @property
    def progress(self) -> float:
        """0 to 1; 0 while the sender does not tell a size."""
        return min(1.0, self.got / self.size) if self.size else 0.0


@dataclass(frozen=True)
class Wanted:
    """Where from, into which folder, under which name: the sender's, when `use_header` is set, else `name`, else the address's."""

    url: str
    folder: bytes
    name: str = ""
    use_header: bool = False


class Pulls:
    """All that is under way on this node."""

    def __init__(self, fetcher: Fetcher, most_mib: int, desk: FileDesk, tasks: Supervisor) -> None:
        self._fetcher = fetcher
        self._most = most_mib * MEBIBYTE
        self._desk = desk
        self._tasks = tasks
        self._pulls: dict[str, Pull] = {}

    def of(self, server: str) -> list[Pull]:
        """Under way for a server, oldest first."""
        return [pull for pull in self._pulls.values() if pull.server == server]

    def begin(self, server: Server, wanted: Wanted) -> Pull:
        """Fetch in the background. Raises BadRequest when three are under way, ServerBusy."""
        pull = self._enter(server)
        pull.task = self._tasks.spawn("pull", self._in_background(server, wanted, pull))
        return pull

    async def whole(self, server: Server, wanted: Wanted) -> Entry:
        """Fetch and wait; answers what was made. Raises as `begin`, NotFetched, and what `Rooted` raises."""
        pull = self._enter(server)
        pull.task = asyncio.current_task()
        try:
            return await self._pull(server, wanted, pull)
        finally:
            self._pulls.pop(pull.id, None)

    def cancel(self, server: str, pull_id: str) -> None:
        """End one of a server's; nothing of it stays. One that is not there is no error (Wings)."""
        pull = self._pulls.get(pull_id)
        if pull is not None and pull.server == server and pull.task is not None:
            pull.task.cancel()

    def cancel_all(self, server: str) -> None:
        for pull in self.of(server):
            self.cancel(server, pull.id)

    def _enter(self, server: Server) -> Pull:
        check_free(server)
        if len(self.of(server.uuid)) >= AT_ONCE:
            raise BadRequest(f"{AT_ONCE} files are being fetched for this server already.", hint="Wait until one is done, or cancel one.")
        pull = Pull(str(uuid.uuid4()), server.uuid)
        self._pulls[pull.id] = pull
        return pull

    async def _in_background(self, server: Server, wanted: Wanted, pull: Pull) -> None:
        try:
            await self._pull(server, wanted, pull)
        except AerieError as error:
            log.info("server %s: a pull failed: %s", server.uuid, error)
            server.notice(f"A file could not be fetched: {error}")
        finally:
            self._pulls.pop(pull.id, None)

    async def _pull(self, server: Server, wanted: Wanted, pull: Pull) -> Entry:
        async with self._fetcher.open(wanted.url) as fetched:
            if fetched.size is not None and not 0 < fetched.size <= self._most:
                raise NotFetched(f"Only files of 1 byte to {self._most // MEBIBYTE} MiB can be fetched.")
            pull.size = fetched.size
            name = base_name((fetched.name if wanted.use_header else "") or wanted.name or fetched.url_name)
            path = normal(wanted.folder + b"/" + name.encode("utf-8", "surrogateescape"))
            files = await self._desk.open(server)
            try:
                return await self._write(server, files, path, fetched, pull)
            finally:
                files.close()

    async def _write(self, server: Server, files: Rooted, path: bytes, fetched: Fetched, pull: Pull) -> Entry:
        replacement = await self._desk.step(files, partial(begin_replacement, server, files, path, fetched.size or 0))
        try:
            async for chunk in fetched.chunks(self._most):
                await self._desk.step(files, partial(replacement.write, chunk))
                pull.got += len(chunk)
            check_free(server)
            await self._desk.step(files, replacement.commit)
        finally:
            await asyncio.shield(self._desk.step(files, replacement.abort))
        return await self._desk.step(files, lambda: _entry(files, path))


def _entry(files: Rooted, path: bytes) -> Entry:
    descriptor = files.open_read(path)
    try:
        return entry_of(path.rpartition(b"/")[2].decode("utf-8", "backslashreplace"), os.fstat(descriptor), descriptor)
    finally:
        os.close(descriptor)
