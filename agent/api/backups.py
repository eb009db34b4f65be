"""Backups: Wings' routes to make, restore, delete and download them, and ours to look into one, take one file out, and prove it."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from agent.api.errors import json_response
from agent.api.files import attachment, send_file
from agent.api.keys import BACKUPS
from agent.api.people import check_open
from agent.api.servers import named
from agent.api.signed_urls import opened
from agent.api.system import read
from agent.backups import read as reading
from agent.backups.manifest import Summary
from agent.backups.store import proper
from core.protocol.backups import BackupEntry, BackupProven, BackupShown, MakeBackup, RestoreBackup
from core.protocol.signed import Purpose


async def begin(request: web.Request) -> web.Response:
    """`POST backup`: 202; the result is reported to the control plane."""
    wanted = await read(request, MakeBackup)
    request.app[BACKUPS].begin(named(request), wanted.uuid, wanted.adapter, wanted.ignore)
    return web.Response(status=202)


async def restore(request: web.Request) -> web.Response:
    """`POST backup/{backup}/restore`: 202; 404 when it is not here, 409 while something else is being done to the server."""
    wanted, backup = await read(request, RestoreBackup), request.match_info["backup"]
    await request.app[BACKUPS].begin_restore(
        named(request), backup, wanted.adapter, wanted.download_url, truncate=wanted.truncate_directory
    )
    return web.Response(status=202)


async def delete(request: web.Request) -> web.Response:
    """`DELETE backup/{backup}`: 204, or 404."""
    await request.app[BACKUPS].delete(named(request), request.match_info["backup"])
    return web.Response(status=204)


async def download(request: web.Request) -> web.StreamResponse:
    """`GET /download/backup?token=`: the archive of a backup of the token's own server, once."""
    server, claims = opened(request, Purpose.BACKUP_DOWNLOAD)
    check_open(server)
    archive, known = await asyncio.to_thread(request.app[BACKUPS].store.find, server.uuid, proper(claims.backup_uuid or ""))
    descriptor = await asyncio.to_thread(os.open, archive, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        ending = known.codec.value if known is not None else "gz"
        name = f"{claims.backup_uuid}.tar.{ending}"
        response = web.StreamResponse(headers={"Content-Length": str(size), "Content-Disposition": attachment(name)})
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        await send_file(response, descriptor, size)
        return response
    finally:
        os.close(descriptor)


async def index(request: web.Request) -> web.Response:
    """`GET /api/aerie/servers/{server}/backups`: those on this node that we made, newest first, safety backups too."""
    found = await asyncio.to_thread(lambda: list(request.app[BACKUPS].store.of(named(request).uuid)))
    return json_response([_shown(known).model_dump(mode="json") for known in found])


async def browse(request: web.Request) -> web.Response:
    """`GET …/backups/{backup}/files?directory=/`: what lies in one folder of a backup, folders first."""
    _, _, path = await _listed(request)
    folders, files = await asyncio.to_thread(reading.listing, path, request.query.get("directory", "/"))
    entries = [BackupEntry(name=_clean(name), kind="folder") for name in sorted(folders)]
    entries += [
        BackupEntry(
            name=_clean(one.path.rpartition("/")[2]), kind="file", size=one.size, modified=datetime.fromtimestamp(one.modified, UTC)
        )
        for one in files
    ]
    return json_response([entry.model_dump(mode="json") for entry in entries])


async def contents(request: web.Request) -> web.StreamResponse:
    """`GET …/backups/{backup}/contents?file=p`: one file out of a backup; the connection breaks when it is not what was kept."""
    archive, known, path = await _listed(request)
    wanted = await asyncio.to_thread(reading.find, path, request.query.get("file", ""))
    descriptor = await asyncio.to_thread(os.open, archive, os.O_RDONLY | os.O_CLOEXEC)
    try:
        portions = reading.one_file(reading.read_at(descriptor), known, wanted)
        first = await asyncio.to_thread(next, portions, b"")
        response = web.StreamResponse(headers={"Content-Length": str(wanted.size)})
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        while first:
            await response.write(first)
            first = await asyncio.to_thread(next, portions, b"")
        await response.write_eof()
        return response
    finally:
        os.close(descriptor)


async def prove(request: web.Request) -> web.Response:
    """`POST …/backups/{backup}/prove`: read all of it and hold it against its list; 500 `backup_broken` when it is not the same."""
    known = await request.app[BACKUPS].prove(named(request).uuid, request.match_info["backup"])
    assert known.proven_at is not None
    return json_response(BackupProven(files=known.files, proven_at=known.proven_at).model_dump(mode="json"))


async def _listed(request: web.Request) -> tuple[Path, Summary, Path]:
    """A backup's archive, its summary and the file of its list. Raises NotFound."""
    store, backup = request.app[BACKUPS].store, proper(request.match_info["backup"])
    archive, known = await asyncio.to_thread(store.listed, named(request).uuid, backup)
    return archive, known, store.manifest(backup)


def _shown(known: Summary) -> BackupShown:
    return BackupShown(
        uuid=known.backup,
        made_at=known.made_at,
        size=known.size,
        files=known.files,
        plain_bytes=known.plain,
        checksum=known.checksum,
        torn=[_clean(path) for path in known.torn],
        unreadable=[_clean(path) for path in known.unreadable],
        reason=known.reason,
        proven_at=known.proven_at,
    )


def _clean(name: str) -> str:
    """Names that are no UTF-8 as text that JSON takes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
