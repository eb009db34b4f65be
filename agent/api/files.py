"""`/api/servers/{server}/files/…`: list, read, write, rename, copy, delete, make folders, change modes. Statuses are Wings'.

Where Wings answers 500 by mistake (a missing file, a path that leads out) it is 404 here, with one text for both, so that nobody learns
what lies outside. The denylist binds every route. Work is done by `FileDesk`.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from urllib.parse import quote

from aiohttp import web

from agent.api.errors import json_response
from agent.api.keys import FILES
from agent.api.servers import named
from agent.api.system import read
from agent.files import begin_replacement, check_free
from agent.filesystem import trees
from agent.filesystem.listing import Entry, entries, entry_of
from agent.filesystem.refusals import NotRegular, OutsideRoot, QuotaExceeded
from agent.filesystem.root import normal
from agent.filesystem.rooted import Rooted
from agent.server.server import Server
from core.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound
from core.protocol.files import ChmodFiles, CopyFile, CreateDirectory, FileStat, NamedFiles, RenameFiles

T = TypeVar("T")
PORTION = 1024 * 1024
"""Bytes read or written by one thread hop."""
BODY_SECONDS = 60.0
"""A sender that sends nothing for so long is given up."""
MORE_HEADER = "X-Aerie-More"
"""Set to `true` on a listing that was cut."""


@contextmanager
def statuses() -> Iterator[None]:
    """Our errors as the ones whose statuses Wings answers."""
    try:
        yield
    except OutsideRoot as error:
        raise NotFound("There is no such file or folder.") from error
    except (QuotaExceeded, NotRegular, Conflict) as error:
        raise BadRequest(error.message, hint=error.hint) from error


async def work(request: web.Request, job: Callable[[Rooted], T], *, changes: bool = False) -> T:
    """Do a job on the files of the server in the path."""
    server = named(request)
    if changes:
        check_free(server)
    with statuses():
        return await request.app[FILES].run(server, job)


async def contents(request: web.Request) -> web.StreamResponse:
    """`GET contents?file=p[&download=1]`: the bytes of a regular file, as many as it had when it was opened."""
    async with opened_file(request, named(request), path_of(request, "file")) as (descriptor, entry):
        response = web.StreamResponse(headers={"X-Mime-Type": entry.mime, "Content-Length": str(entry.facts.st_size)})
        response.content_type = "application/octet-stream"
        if request.query.get("download"):
            response.headers["Content-Disposition"] = attachment(entry.name)
        await response.prepare(request)
        await send_file(response, descriptor, entry.facts.st_size)
        return response


@asynccontextmanager
async def opened_file(request: web.Request, server: Server, path: bytes, *, files_alone: bool = False) -> AsyncIterator[tuple[int, Entry]]:
    """A regular file to be sent. What is none raises BadRequest, or with `files_alone` NotFound (Wings' ways on its two routes)."""
    desk = request.app[FILES]
    files = await desk.open(server)
    try:
        with statuses():
            try:
                descriptor = await desk.step(files, partial(files.open_read, path))
            except NotRegular as error:
                if files_alone:
                    raise NotFound("There is no such file.") from error
                raise
        try:
            name = shown(normal(path).rpartition(b"/")[2])
            yield descriptor, await desk.step(files, lambda: entry_of(name, os.fstat(descriptor), descriptor))
        finally:
            os.close(descriptor)
    finally:
        files.close()


async def send_file(response: web.StreamResponse, descriptor: int, size: int) -> None:
    """Write `size` bytes; a file that shrank meanwhile ends the connection, since its length was told already."""
    at = 0
    while at < size:
        data = await asyncio.to_thread(os.pread, descriptor, min(PORTION, size - at), at)
        if not data:
            raise ConnectionResetError("the file became shorter while it was sent")
        await response.write(data)
        at += len(data)
    await response.write_eof()


def attachment(name: str) -> str:
    """A Content-Disposition that every client understands (RFC 6266)."""
    plain = "".join(letter if 32 <= ord(letter) < 127 and letter not in '"\\' else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def list_directory(request: web.Request) -> web.Response:
    """`GET list-directory?directory=p`: a bare array, at most 100,000 entries."""
    path = path_of(request, "directory", default="/")
    found, more = await work(request, lambda files: entries(files, path))
    response = json_response([stat_of(entry).model_dump(mode="json") for entry in found])
    if more:
        response.headers[MORE_HEADER] = "true"
    return response


async def write(request: web.Request) -> web.Response:
    """`POST write?file=p` with the contents as the body. The old contents stay until all of the new ones are here."""
    path, server, size = path_of(request, "file"), named(request), request.content_length
    if size is None:
        raise BadRequest("The request must say how long its body is.", hint="Send a Content-Length.")
    check_free(server)
    if not normal(path):
        raise BadRequest("This is the server's own folder.")
    desk = request.app[FILES]
    with statuses():
        files = await desk.open(server)
        try:
            await receive(request, server, files, path, size)
        finally:
            files.close()
    return web.Response(status=204)


async def receive(request: web.Request, server: Server, files: Rooted, path: bytes, size: int) -> None:
    """The request's body becomes the file's contents. Raises BadRequest when it ends early."""
    desk = request.app[FILES]
    replacement = await desk.step(files, partial(begin_replacement, server, files, path, size))
    try:
        left = size
        while left:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    data = await request.content.read(min(PORTION, left))
            except TimeoutError as error:
                raise BadRequest("The file's contents stopped coming.", hint="Send it again.") from error
            if not data:
                raise BadRequest("The file's contents ended before they were complete.", hint="Send it again.")
            left -= len(data)
            await desk.step(files, partial(replacement.write, data))
        check_free(server)
        await desk.step(files, replacement.commit)
    finally:
        await desk.step(files, replacement.abort)


async def rename(request: web.Request) -> web.Response:
    """What is not there is skipped (Wings); a name that is taken refuses the rest."""
    wanted = await read(request, RenameFiles)
    if not wanted.files:
        raise Invalid("No files were named.")

    def job(files: Rooted) -> None:
        for pair in wanted.files:
            old, new = below(wanted.root, pair.from_), below(wanted.root, pair.to)
            try:
                files.facts(old, follow=False)
            except NotFound:
                continue
            trees.make_folders(files, normal(new).rpartition(b"/")[0])
            files.rename(old, new, replace=False)

    await work(request, job, changes=True)
    return web.Response(status=204)


async def copy(request: web.Request) -> web.Response:
    wanted = await read(request, CopyFile)
    await work(request, lambda files: trees.copy_file(files, raw(wanted.location)), changes=True)
    return web.Response(status=204)


async def delete(request: web.Request) -> web.Response:
    wanted = await read(request, NamedFiles)
    if not wanted.files:
        raise Invalid("No files were named.")
    paths = [below(wanted.root, name) for name in wanted.files]
    if any(not normal(path) for path in paths):
        raise BadRequest("The server's own folder cannot be deleted.", hint="Delete what is in it, or delete the server.")

    def job(files: Rooted) -> None:
        for path in paths:
            trees.remove_tree(files, path)

    await work(request, job, changes=True)
    return web.Response(status=204)


async def create_directory(request: web.Request) -> web.Response:
    """With those above it; one that is there already is success (Wings)."""
    wanted = await read(request, CreateDirectory)
    await work(request, lambda files: trees.make_folders(files, below(wanted.path, wanted.name)), changes=True)
    return web.Response(status=204)


async def chmod(request: web.Request) -> web.Response:
    """Octal modes; never setuid, setgid or sticky, never through a link out of the root. What is not there is skipped (Wings)."""
    wanted = await read(request, ChmodFiles)
    if not wanted.files:
        raise Invalid("No files were named.")
    try:
        modes = [(below(wanted.root, change.file), int(change.mode, 8)) for change in wanted.files]
    except ValueError as error:
        raise BadRequest("A mode must be octal digits.", hint="For instance 644.") from error

    def job(files: Rooted) -> None:
        for path, mode in modes:
            with suppress(NotFound):
                files.set_mode(path, mode)

    await work(request, job, changes=True)
    return web.Response(status=204)


def stat_of(entry: Entry) -> FileStat:
    """As Wings writes it."""
    facts = entry.facts
    mode, is_folder = facts.st_mode, stat.S_ISDIR(facts.st_mode)
    return FileStat(
        name=entry.name,
        created=datetime.fromtimestamp(facts.st_ctime, UTC),
        modified=datetime.fromtimestamp(facts.st_mtime, UTC),
        mode=_go_mode(mode),
        mode_bits=f"{stat.S_IMODE(mode) & 0o777:o}",
        size=facts.st_size,
        directory=is_folder,
        file=not is_folder,
        symlink=stat.S_ISLNK(mode),
        mime=entry.mime,
    )


def _go_mode(mode: int) -> str:
    """Go's notation: `L` for a link, `D` for a device, `p` for a pipe, `S` for a socket, and a dash for a plain file."""
    kinds = {stat.S_IFDIR: "d", stat.S_IFLNK: "L", stat.S_IFIFO: "p", stat.S_IFSOCK: "S", stat.S_IFBLK: "D", stat.S_IFCHR: "Dc"}
    return kinds.get(stat.S_IFMT(mode), "-") + stat.filemode(stat.S_IMODE(mode) & 0o777)[1:]


def path_of(request: web.Request, name: str, default: str = "") -> bytes:
    """A path from the query. Raises BadRequest."""
    path = request.query.get(name, default)
    if not path:
        raise BadRequest(f"The query must name the {name}.")
    return raw(path)


def raw(path: str) -> bytes:
    """A path as bytes. Raises Forbidden for text that no file can be named by."""
    try:
        return path.encode()
    except UnicodeEncodeError as error:
        raise Forbidden("The path is no proper text.") from error


def shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def below(root: str, name: str) -> bytes:
    return raw(f"{root}/{name}")
