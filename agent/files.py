"""Work on servers' files for the HTTP API: each job in a thread, with the rights of the folder's owner, through `Rooted` alone.

Knows no route. Must never touch a file in the event loop.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agent.filesystem import trees
from agent.filesystem.replacement import Replacement
from agent.filesystem.root import normal
from agent.filesystem.rooted import Rooted
from agent.server.server import Server
from core.errors import BadRequest, Conflict, ServerBusy

T = TypeVar("T")
THREADS = 8
LONG_THREADS = 2
"""For whole archives: they must not keep small things waiting."""


class FileDesk:
    """`close` it when the agent ends."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="files")
        self._long = ThreadPoolExecutor(LONG_THREADS, thread_name_prefix="archives")
        self._busy: set[str] = set()

    def close(self) -> None:
        for pool in (self._pool, self._long):
            pool.shutdown(cancel_futures=True)

    async def run(self, server: Server, job: Callable[[Rooted], T]) -> T:
        """Open the server's files, do `job` in a thread, close them. Raises what the job raises, and NotFound while there is no folder."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, server, job)

    async def run_long(self, server: Server, job: Callable[[Rooted], T]) -> T:
        """As `run`, for what takes minutes: one at a time for a server. Raises Conflict while another is under way."""
        if server.uuid in self._busy:
            raise Conflict("An archive of this server is being packed or unpacked.", hint="Wait until that is done.")
        self._busy.add(server.uuid)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._long, self._do, server, job)
        finally:
            self._busy.discard(server.uuid)

    async def step(self, files: Rooted, job: Callable[[], T]) -> T:
        """A further step of something that was left open, in a thread, with the same rights."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._step, files, job)

    async def open(self, server: Server) -> Rooted:
        """A server's files to be used over several steps; the caller closes them."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, server.volume.open)

    @staticmethod
    def _do(server: Server, job: Callable[[Rooted], T]) -> T:
        server.volume.count_first()
        files = server.volume.open()
        try:
            with files.rights():
                return job(files)
        finally:
            files.close()

    @staticmethod
    def _step(files: Rooted, job: Callable[[], T]) -> T:
        with files.rights():
            return job()


def begin_replacement(server: Server, files: Rooted, path: bytes, size: int = 0) -> Replacement:
    """In a thread: new contents for a file, its folders made where they are missing. Raises as `Replacement`."""
    server.volume.count_first()
    trees.make_folders(files, normal(path).rpartition(b"/")[0])
    return Replacement(files, path, size=size)


def check_free(server: Server) -> None:
    """Raises ServerBusy while the files belong to an installation, a restore or a transfer."""
    server.check_held()
    if server.end_installation is not None:
        raise ServerBusy("The server is being installed.", hint="Try again when that is done.")


def base_name(name: str) -> str:
    """The last part of a name that a stranger told. Raises BadRequest when nothing is left of it."""
    base = name.replace("\\", "/").rpartition("/")[2]
    if base in ("", ".", ".."):
        raise BadRequest("The file has no name.")
    return base
