"""/api/remote/backups: what nodes report of backups and restores. Each lookup is scoped to the calling node: else 404."""

from aiohttp import web

from bot.api.auth import node_of
from bot.api.bodies import read
from core.errors import BadRequest
from core.protocol.backups import BackupStatus, RestoreStatus
from core.services.backups import Backups


class RemoteBackups:
    def __init__(self, backups: Backups) -> None:
        self._backups = backups

    async def upload_urls(self, request: web.Request) -> web.Response:
        """GET /backups/{backup}?size=: 400, since Aerie's backups lie on the nodes (the panel's answer, too, when S3 is not set up)."""
        raise BadRequest("Backups are not kept in S3 here.")

    async def report(self, request: web.Request) -> web.Response:
        """POST /backups/{backup}: 204; the same report may come twice."""
        await self._backups.report(node_of(request), request.match_info["backup"], await read(request, BackupStatus))
        return web.Response(status=204)

    async def report_restore(self, request: web.Request) -> web.Response:
        """POST /backups/{backup}/restore: 204; the same report may come twice."""
        wanted = await read(request, RestoreStatus)
        await self._backups.report_restore(node_of(request), request.match_info["backup"], successful=wanted.successful)
        return web.Response(status=204)
