"""What people's browsers open with a signed address: `/download/file` and `/upload/file`. Each address works once (Wings)."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import TypeVar

from aiohttp import BodyPartReader, web

from agent.api.doors import asker
from agent.api.files import BODY_SECONDS, PORTION, attachment, below, opened_file, raw, send_file, statuses
from agent.api.keys import CLOCK, CONFIG, FILES, OUTBOX
from agent.api.signed_urls import opened
from agent.api.websocket import PROXIES
from agent.files import base_name, begin_replacement, check_free
from agent.filesystem.rooted import Rooted
from agent.server.server import Server
from core.errors import BadRequest, ServerSuspended
from core.protocol.remote import ActivityEntry
from core.protocol.signed import Purpose, SignedClaims

T = TypeVar("T")
MOST_FILES = 1000
"""Per upload."""
MEBIBYTE = 1024 * 1024


async def download_file(request: web.Request) -> web.StreamResponse:
    """`GET /download/file?token=`: a regular file as an attachment, as long as it was when it was opened. Folders are 404 (Wings)."""
    server, claims = opened(request, Purpose.FILE_DOWNLOAD)
    check_open(server)
    async with opened_file(request, server, raw(claims.file_path or ""), files_alone=True) as (descriptor, entry):
        headers = {"Content-Length": str(entry.facts.st_size), "Content-Disposition": attachment(entry.name)}
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        await send_file(response, descriptor, entry.facts.st_size)
        return response


async def upload_file(request: web.Request) -> web.Response:
    """`POST /upload/file?token=&directory=`: multipart, each `files` part becomes a file there. Stops at the first that cannot be taken.

    Files before that one stay (Wings). Each is put in place whole, or not at all.
    """
    server, claims = opened(request, Purpose.FILE_UPLOAD)
    check_open(server)
    check_free(server)
    directory, desk = request.query.get("directory") or "/", request.app[FILES]
    limit = request.app[CONFIG].api.upload_limit * MEBIBYTE
    if not request.content_type.startswith("multipart/"):
        raise BadRequest("The upload must be a form with files (multipart/form-data).")
    count = 0
    with statuses():
        files = await desk.open(server)
        try:
            parts = await request.multipart()
            while (part := await _in_time(parts.next())) is not None:
                if not isinstance(part, BodyPartReader) or part.name != "files" or not part.filename:
                    continue
                count += 1
                if count > MOST_FILES:
                    raise BadRequest(f"An upload takes at most {MOST_FILES} files.", hint="Upload an archive and unpack it.")
                name = base_name(part.filename)
                await _take(request, server, files, below(directory, name), part, limit)
                await _note(request, server, claims, name, directory)
        except ValueError as error:  # aiohttp's word for a broken form
            raise BadRequest("The upload's form is broken.", hint="Send it again.") from error
        finally:
            files.close()
    if not count:
        raise BadRequest("The form holds no files.", hint="Send them in fields named files.")
    return web.Response(status=200)


def check_open(server: Server) -> None:
    """Raises ServerSuspended: a signed address may be older than the suspension."""
    if server.suspended:
        raise ServerSuspended("The server is suspended.", hint="An administrator can lift the suspension.")


async def _take(request: web.Request, server: Server, files: Rooted, path: bytes, part: BodyPartReader, limit: int) -> None:
    desk = request.app[FILES]
    replacement = await desk.step(files, partial(begin_replacement, server, files, path))
    try:
        while data := await _in_time(part.read_chunk(PORTION)):
            if replacement.written + len(data) > limit:
                raise BadRequest(f"Files over {limit // MEBIBYTE} MiB are not taken here.", hint="Use SFTP for them.")
            await desk.step(files, partial(replacement.write, data))
        check_free(server)
        await desk.step(files, replacement.commit)
    finally:
        await desk.step(files, replacement.abort)


async def _in_time(coming: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await coming
    except TimeoutError as error:
        raise BadRequest("The upload stopped coming.", hint="Send it again.") from error


async def _note(request: web.Request, server: Server, claims: SignedClaims, name: str, directory: str) -> None:
    entry = ActivityEntry(
        user=claims.user_uuid or None,
        server=server.uuid,
        event="server:file.uploaded",
        metadata={"file": name, "directory": directory},
        ip=asker(request, request.app[PROXIES]),
        timestamp=request.app[CLOCK].now(),
    )
    await request.app[OUTBOX].activity(entry)
