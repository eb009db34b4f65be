"""/api/remote/servers: what a node asks about its servers and reports of them. Every lookup is scoped to the calling node: else 404."""

from aiohttp import web

from bot.api.auth import node_of
from bot.api.bodies import answer, read, whole_number
from core.protocol.remote import InstallReport
from core.services.servers import Servers


class RemoteServers:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def page(self, request: web.Request) -> web.Response:
        """GET /servers?page=&per_page=: settings of every server, all counts integers."""
        found = await self._servers.page(node_of(request), whole_number(request, "page", 1), whole_number(request, "per_page", 50))
        found.meta.path = str(request.url.with_query(None))
        return answer(found)

    async def settings(self, request: web.Request) -> web.Response:
        """GET /servers/{uuid}: on the way of every start, so one read and no more."""
        return answer(await self._servers.settings(request.match_info["uuid"], node_of(request)))

    async def install_script(self, request: web.Request) -> web.Response:
        """GET /servers/{uuid}/install."""
        return answer(await self._servers.install_script(request.match_info["uuid"], node_of(request)))

    async def report_install(self, request: web.Request) -> web.Response:
        """POST /servers/{uuid}/install: 204; the same report may come twice."""
        report = await read(request, InstallReport)
        await self._servers.report_install(
            request.match_info["uuid"],
            node_of(request),
            successful=report.successful,
            reinstall=report.reinstall,
            reason=report.aerie_reason or "",
        )
        return web.Response(status=204)

    async def reset(self, request: web.Request) -> web.Response:
        """POST /servers/reset: the node has booted."""
        await self._servers.reset(node_of(request))
        return web.Response(status=204)
