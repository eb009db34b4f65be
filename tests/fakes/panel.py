"""A control plane on the wire, as an agent sees it: `/api/remote` over real HTTP. Steerable: slow, dead, rude, forgetful."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from core.protocol.remote import ActivityEntry, ActivityReport, InstallReport, SftpAuth, SftpGrant
from core.protocol.settings import ServerConfiguration
from core.tokens import NodeToken


@dataclass
class Panel:
    """Its servers, what it was told, and its mood."""

    token: NodeToken
    """What the agent's settings say."""
    url: str = ""
    renewed: NodeToken | None = None
    """What it lets in instead, when set."""
    servers: dict[str, ServerConfiguration] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    image: str = ""
    """Of the container that runs the scripts."""
    entrypoint: str = "bash"
    installs: dict[str, InstallReport] = field(default_factory=dict)
    """The last report of each."""
    posts: list[tuple[str, Any]] = field(default_factory=list)
    """Every report taken, by its path, in order."""
    mood: dict[str, int] = field(default_factory=dict)
    """Statuses that single paths are answered with."""
    sftp: dict[tuple[str, str], SftpGrant] = field(default_factory=dict)
    """What a name with a password or key line may do."""
    sftp_asked: list[SftpAuth] = field(default_factory=list)
    resets: int = 0
    status: int = 0
    """Answer everything with this status, when set."""
    delay: float = 0.0
    broken_entry: bool = False
    rude: str = ""
    """Answer everything with this text, when set."""
    requests: list[str] = field(default_factory=list)
    upload_urls: dict[str, Any] = field(default_factory=dict)
    """Answers of the calls that ask where a backup's parts are to go, by backup."""
    heads: list[dict[str, str]] = field(default_factory=list)
    """Headers of each request, and `body` for what it brought."""

    @property
    def activity(self) -> list[ActivityEntry]:
        """Every activity entry taken, in order."""
        return [entry for path, body in self.posts if path == "/activity" for entry in ActivityReport.model_validate(body).data]

    def body(self, uuid: str) -> dict[str, Any]:
        return self.servers[uuid].model_dump(mode="json")


@asynccontextmanager
async def standing(token: NodeToken) -> AsyncIterator[Panel]:
    """A panel on a free loopback port."""
    panel = Panel(token)

    @web.middleware
    async def door(request: web.Request, handler: Any) -> web.StreamResponse:
        panel.requests.append(f"{request.method} {request.path}")
        panel.heads.append({**request.headers, "body": await request.text()})
        await asyncio.sleep(panel.delay)
        if panel.rude:
            return web.Response(text=panel.rude)
        if status := panel.status or panel.mood.get(request.path.removeprefix("/api/remote"), 0):
            return web.json_response({"errors": [{"code": "x", "status": str(status), "detail": "as you wish"}]}, status=status)
        known = panel.renewed or token
        if request.headers.get("Authorization") != f"Bearer {known.id}.{known.secret}":
            return web.json_response({"errors": [{"code": "x", "status": "403", "detail": "no"}]}, status=403)
        if (uuid := request.match_info.get("uuid")) and uuid not in panel.servers:
            return web.json_response({"errors": [{"code": "NotFoundHttpException", "status": "404", "detail": "gone"}]}, status=404)
        return await handler(request)  # type: ignore[no-any-return]

    async def index(request: web.Request) -> web.Response:
        per, page = int(request.query["per_page"]), max(1, int(request.query["page"]))
        data: list[Any] = [{"uuid": uuid, **panel.body(uuid)} for uuid in panel.servers]
        if panel.broken_entry:
            data.insert(0, {"uuid": "broken", "settings": "nonsense"})
        last = max(1, -(-len(data) // per))
        meta = {"current_page": page, "from": 1, "last_page": last, "path": "", "per_page": per, "to": 1, "total": len(data)}
        return web.json_response({"data": data[(page - 1) * per : page * per], "links": {}, "meta": meta})

    async def show(request: web.Request) -> web.Response:
        return web.json_response(panel.body(request.match_info["uuid"]))

    async def script(request: web.Request) -> web.Response:
        text = panel.scripts.get(request.match_info["uuid"], "")
        return web.json_response({"container_image": panel.image, "entrypoint": panel.entrypoint, "script": text})

    async def installed(request: web.Request) -> web.Response:
        panel.posts.append((request.path.removeprefix("/api/remote"), await request.json()))
        panel.installs[request.match_info["uuid"]] = InstallReport.model_validate_json(await request.read())
        return web.Response(status=204)

    async def sign_in(request: web.Request) -> web.Response:
        wanted = SftpAuth.model_validate_json(await request.read())
        panel.sftp_asked.append(wanted)
        granted = panel.sftp.get((wanted.username, wanted.password.strip()))
        if granted is None:
            return web.json_response({"errors": [{"code": "x", "status": "403", "detail": "wrong"}]}, status=403)
        return web.json_response(granted.model_dump(mode="json"))

    async def activity(request: web.Request) -> web.Response:
        panel.posts.append(("/activity", await request.json()))
        return web.Response(status=204)

    async def backup(request: web.Request) -> web.Response:
        panel.posts.append((request.path.removeprefix("/api/remote"), await request.json()))
        return web.Response(status=204)

    async def upload_urls(request: web.Request) -> web.Response:
        return web.json_response(panel.upload_urls[request.match_info["backup"]])

    async def reset(request: web.Request) -> web.Response:
        panel.resets += 1
        return web.Response(status=204)

    app = web.Application(middlewares=[door])
    app.add_routes(
        [
            web.get("/api/remote/servers", index),
            web.post("/api/remote/activity", activity),
            web.post("/api/remote/servers/reset", reset),
            web.post("/api/remote/sftp/auth", sign_in),
            web.get("/api/remote/servers/{uuid}", show),
            web.get("/api/remote/servers/{uuid}/install", script),
            web.post("/api/remote/servers/{uuid}/install", installed),
            web.get("/api/remote/backups/{backup}", upload_urls),
            web.post("/api/remote/backups/{backup}", backup),
            web.post("/api/remote/backups/{backup}/restore", backup),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    panel.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield panel
    finally:
        await runner.cleanup()
