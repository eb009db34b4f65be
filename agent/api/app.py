"""The agent's HTTP API: every route in one list."""

import asyncio
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from aiohttp import web

from agent.api import diagnostics, file_routes, history, power, servers, stream, system, websocket
from agent.api.auth import bearer
from agent.api.denials import Denials
from agent.api.doors import Doors, trusted
from agent.api.errors import Handler, answer, errors, numbered
from agent.api.keys import BACKUPS, CLOCK, CONFIG, CREDENTIALS, FILES, MANAGER, OUTBOX, PULLS, RUNTIME, SFTP, TASKS, SftpDoor
from agent.api.listening import QUIET, Quiet, heard
from agent.api.origins import headers, preflight, slashes
from agent.api.signed_urls import URLS, SignedUrls
from agent.api.system import read
from agent.backups.desk import BackupDesk
from agent.credentials import Credentials
from agent.files import FileDesk
from agent.manager import ServerManager
from agent.outbox import Outbox
from agent.pulls import Pulls
from agent.runtime.runtime import Runtime
from core.clock import Clock
from core.config import AgentConfig
from core.protocol.agent import Deauthorize, DenyRequest
from core.protocol.socket import SUSPENDED_CLOSE_CODE
from core.supervise import Supervisor

LARGEST_BODY = 1024 * 1024


def make_app(
    manager: ServerManager,
    runtime: Runtime,
    outbox: Outbox,
    config: AgentConfig,
    credentials: Credentials,
    clock: Clock,
    tasks: Supervisor,
    sftp: SftpDoor,
    desk: FileDesk,
    pulls: Pulls,
    backups: BackupDesk,
) -> web.Application:
    """The application; it owns nothing of what it is given. Raises NotConfigured."""
    doorways = [errors, heard, preflight, slashes, bearer(credentials), _not_yet]
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=doorways)
    app.on_response_prepare.extend([headers(config), numbered])
    app[MANAGER], app[RUNTIME], app[OUTBOX], app[CREDENTIALS] = manager, runtime, outbox, credentials
    app[CONFIG], app[CLOCK], app[TASKS], app[SFTP] = config, clock, tasks, sftp
    app[FILES], app[PULLS], app[BACKUPS] = desk, pulls, backups
    app[QUIET], app[websocket.DOORS], app[websocket.PROXIES] = Quiet(), Doors(), trusted(config.api.trusted_proxies)
    app[websocket.DENIALS] = denials = Denials(clock)
    app[URLS] = SignedUrls(config.api, credentials, denials, clock)
    app[websocket.SOCKETS], app[stream.STREAMS] = {}, set()
    app[system.CPU_SEEN] = []
    app[websocket.FRAMES] = WeakKeyDictionary()
    one = "/api/servers/{server}"
    ours = "/api/aerie/servers/{server}"
    app.add_routes(
        [
            web.get("/api/system", system.show),
            web.get("/api/system/ips", system.ips),
            web.get("/api/system/utilization", system.utilization),
            web.get("/api/diagnostics", diagnostics.show),
            web.post("/api/update", system.update),
            web.post("/api/deauthorize-user", _deauthorize),
            web.get("/api/servers", servers.index),
            web.post("/api/servers", servers.create),
            web.get(one, servers.show),
            web.delete(one, _delete),
            web.get(f"{one}/logs", servers.logs),
            web.get(f"{one}/install-logs", servers.install_logs),
            web.post(f"{one}/power", power.power),
            web.post(f"{one}/commands", power.commands),
            web.post(f"{one}/sync", _sync),
            web.post(f"{one}/install", servers.install),
            web.post(f"{one}/reinstall", servers.reinstall),
            web.get(f"{one}/ws", websocket.connect),
            web.get(f"{ours}/console", history.console),
            web.get("/api/aerie/stream", stream.connect),
            web.post(f"{one}/ws/deny", _deny),
            *file_routes.routes(one),
        ]
    )
    return app


@web.middleware
async def _not_yet(request: web.Request, handler: Handler) -> web.StreamResponse:
    """While the servers are still being looked at, nobody is told a half truth."""
    if request.path.startswith(("/api/servers", "/api/aerie")) and not request.app[MANAGER].ready.is_set():
        refused = answer(503, "The agent has just started and is still looking at its servers.", hint="Try again in a moment.")
        refused.headers["Retry-After"] = "1"
        return refused
    return await handler(request)


async def _sync(request: web.Request) -> web.Response:
    """Read settings anew; whoever watches a server that is suspended by them is sent away (Wings 1.12)."""
    done = await servers.sync(request)
    server = servers.named(request)
    if server.suspended:
        request.app[SFTP].end_sessions("", [server.uuid])
        await _send_away(request.app[websocket.SOCKETS].get(server.uuid, ()), SUSPENDED_CLOSE_CODE, "server is suspended")
    return done


async def _delete(request: web.Request) -> web.Response:
    """Who signed in hears `deleted` first and is sent away by that; the others are sent away here."""
    server = servers.named(request)
    done = await servers.delete(request)
    request.app[PULLS].cancel_all(server.uuid)
    request.app[BACKUPS].forget(server.uuid)
    request.app[SFTP].end_sessions("", [server.uuid])
    sockets = request.app[websocket.SOCKETS].get(server.uuid, set())
    await _send_away([socket for socket in sockets if not socket.listening], 1001, "server deleted")
    return done


async def _send_away(sockets: Iterable[websocket.Socket], code: int, words: str) -> None:
    """All at once: one that does not answer must not hold up the others."""
    await asyncio.gather(*(socket.close(code, words) for socket in sockets))


async def _deny(request: web.Request) -> web.Response:
    servers.named(request)
    request.app[websocket.DENIALS].deny(await read(request, DenyRequest))
    return web.Response(status=204)


async def _deauthorize(request: web.Request) -> web.Response:
    """Refuse this user's tokens from now on and close the sockets and SFTP sessions of the servers named, or of all."""
    wanted = await read(request, Deauthorize)
    request.app[SFTP].end_sessions(wanted.user, wanted.servers)
    request.app[websocket.DENIALS].deny_user(wanted.user, wanted.servers)
    sockets = request.app[websocket.SOCKETS]
    await _send_away([socket for uuid in wanted.servers or list(sockets) for socket in sockets.get(uuid, ())], 1008, "signed out")
    return web.Response(status=204)
