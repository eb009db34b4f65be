"""`/api/servers`: list, create, show, delete, sync, install, logs."""

import asyncio
import uuid
from pathlib import Path

from aiohttp import web

from agent.api.errors import json_response
from agent.api.keys import CONFIG, MANAGER, RUNTIME
from agent.api.system import read
from agent.server.install_log import OUTPUT
from agent.server.install_script import log_file
from agent.server.server import Server
from core.errors import Invalid, NotFound, ProcessGone, RuntimeFailure
from core.protocol.agent import CreateServer, InstallLogs, LogsResponse

MOST_LOG_LINES = 100
MOST_INSTALL_LOG = 8 * 1024 * 1024
"""Bytes of an installation's log that are answered, from its end; [install] log_size bounds it before."""


def named(request: web.Request) -> Server:
    """The server in the path. Raises NotFound."""
    return request.app[MANAGER].get(request.match_info["server"])


async def index(request: web.Request) -> web.Response:
    return json_response([server.description().model_dump(mode="json") for server in request.app[MANAGER].all()])


async def show(request: web.Request) -> web.Response:
    return json_response(named(request).description().model_dump(mode="json"))


async def create(request: web.Request) -> web.Response:
    """202; the installation's result is reported to the control plane."""
    wanted = await read(request, CreateServer)
    try:
        name = uuid.UUID(wanted.uuid)
        if name.version != 4 or str(name) != wanted.uuid:  # it becomes a folder's name, so one spelling only
            raise ValueError
    except ValueError as error:
        raise Invalid("The server's uuid must be a version 4 UUID.") from error
    await request.app[MANAGER].create(wanted)
    return web.Response(status=202)


async def delete(request: web.Request) -> web.Response:
    await request.app[MANAGER].delete(named(request).uuid)
    return web.Response(status=204)


async def sync(request: web.Request) -> web.Response:
    await request.app[MANAGER].sync(named(request).uuid)
    return web.Response(status=204)


async def install(request: web.Request) -> web.Response:
    """202, or 409 when it is being installed already, a power action is under way, or it is suspended."""
    request.app[MANAGER].install(named(request).uuid, reinstall=False)
    return web.Response(status=202)


async def reinstall(request: web.Request) -> web.Response:
    """As `install`; a running server is stopped first."""
    request.app[MANAGER].install(named(request).uuid, reinstall=True)
    return web.Response(status=202)


async def logs(request: web.Request) -> web.Response:
    """The newest lines, at most 100 (Wings): what this agent remembers, else the engine's own log."""
    server = named(request)
    size = request.query.get("size", "")
    count = int(size) if size.isascii() and size.isdigit() and len(size) < 4 and 0 < int(size) < MOST_LOG_LINES else MOST_LOG_LINES
    lines = server.console.history(count)
    if not lines:
        try:
            lines = await request.app[RUNTIME].logs(server.uuid, count)
        except ProcessGone:
            lines = []
    return json_response(LogsResponse(data=lines or None).model_dump())


async def install_logs(request: web.Request) -> web.Response:
    """What the newest installation's script said (Pelican); 404 when it was never installed here."""
    server = named(request)
    text = await asyncio.to_thread(_install_log, log_file(request.app[CONFIG], server.uuid))
    return json_response(InstallLogs(data=text).model_dump())


def _install_log(file: Path) -> str:
    """Without its head, in which the environment stands. Raises NotFound and RuntimeFailure."""
    try:
        with file.open("rb") as log:
            head = log.read(64 * 1024)
            start = head.find(OUTPUT) + len(OUTPUT) if OUTPUT in head else 0
            log.seek(max(start, log.seek(0, 2) - MOST_INSTALL_LOG))
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        raise NotFound("There is no log of an installation of this server.") from None
    except OSError as error:
        raise RuntimeFailure(f"The installation's log cannot be read: {error.strerror}.") from error
