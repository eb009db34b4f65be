"""`…/files/compress` and `…/files/decompress`: answered when the work is done, as Wings answers them."""

from datetime import datetime
from typing import IO, cast

from aiohttp import web
from isal import igzip_threaded

from agent.api.errors import json_response
from agent.api.files import below, raw, stat_of, statuses
from agent.api.keys import CLOCK, FILES
from agent.api.servers import named
from agent.api.system import read
from agent.archives.pack import pack
from agent.archives.unpack import unpack
from agent.files import check_free
from agent.filesystem.listing import Entry
from agent.filesystem.replacement import Replacement
from agent.filesystem.root import normal
from agent.filesystem.rooted import Rooted
from agent.filesystem.walk import Found, walk
from core.errors import Conflict, Invalid, NotFound
from core.protocol.files import DecompressFile, NamedFiles

GZIP_LEVEL = 1
MIME = "application/tar+gzip"
"""What Wings calls it in its answer."""


async def compress(request: web.Request) -> web.Response:
    """Pack files of one folder into a new tar.gz beside them; answers what was made. Denied files are left out.

    409 when the server is over its limit already; 400 when the archive itself goes over it: then nothing stays of it.
    """
    wanted, server, clock = await read(request, NamedFiles), named(request), request.app[CLOCK]
    if not wanted.files:
        raise Invalid("No files were named.")
    check_free(server)
    quota = server.volume.quota
    if quota.over:
        raise Conflict("The server's files take more than its disk limit already.", hint="Delete files first.")
    root, moment = normal(raw(wanted.root)), clock.now()
    with statuses():
        entry = await request.app[FILES].run_long(
            server, lambda files: make_archive(files, root, [normal(below(wanted.root, name)) for name in wanted.files], moment)
        )
    return json_response(stat_of(entry).model_dump(mode="json"))


def make_archive(files: Rooted, root: bytes, paths: list[bytes], moment: datetime) -> Entry:
    """In a thread. Raises NotFound when none of them is there."""
    name = f"archive-{moment:%Y-%m-%dT%H%M%SZ}.tar.gz"
    target = b"/".join(filter(None, (root, name.encode())))

    def left_out(path: bytes, *, is_folder: bool) -> bool:
        return files.denied is not None and files.denied.denies(path)

    found = [one for path in paths for one in _first(files, path)]
    if not found:
        raise NotFound("There is no such file or folder.")
    replacement = Replacement(files, target)
    try:
        out = _Out(replacement)
        with igzip_threaded.open(cast(IO[bytes], out), "wb", compresslevel=GZIP_LEVEL, threads=1) as packer:  # type: ignore[no-untyped-call]
            pack((one for path in paths for one in walk(files, path, left_out)), cast(IO[bytes], packer), below=root)
        replacement.commit()
    finally:
        replacement.abort()
    return Entry(name, files.facts(target), MIME)


def _first(files: Rooted, path: bytes) -> list[Found]:
    return [one for one, _ in zip(walk(files, path), range(1), strict=False)]


class _Out:
    """A replacement as a file that only grows."""

    def __init__(self, replacement: Replacement) -> None:
        self._replacement = replacement

    def write(self, data: bytes) -> int:
        self._replacement.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Whoever made the replacement ends it."""


async def decompress(request: web.Request) -> web.Response:
    """Unpack zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst, or one compressed file. Denied members are left out (Wings)."""
    wanted, server, clock = await read(request, DecompressFile), named(request), request.app[CLOCK]
    check_free(server)
    path, root = below(wanted.root, wanted.file), raw(wanted.root)
    with statuses():
        await request.app[FILES].run_long(server, lambda files: unpack(files, path, root, clock.monotonic))
    return web.Response(status=204)
