"""/api/remote/activity: nodes report what people did there. Entries of other nodes' servers are passed over in silence."""

from aiohttp import web

from bot.api.auth import node_of
from bot.api.bodies import read
from core.protocol.remote import ActivityReport
from core.services.activity import ActivityLog


class RemoteActivity:
    def __init__(self, activity: ActivityLog) -> None:
        self._activity = activity

    async def report(self, request: web.Request) -> web.Response:
        report = await read(request, ActivityReport)
        await self._activity.ingest(node_of(request), report.data)
        return web.Response(status=204)
