"""The gate before every route of one server: found, in a state that allows it, permitted, in the panel's order.

Who holds nothing on a server is told that it does not exist.
"""

import re

from aiohttp import web

from bot.api.auth import caller_of
from core import log
from core.errors import NotFound, ServerBusy, ServerSuspended
from core.models.server import Server
from core.services.access import Access
from core.vocabulary import ServerStatus

_REF = re.compile(r"[0-9a-f]{8}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_BUSY = {
    ServerStatus.INSTALLING: "is still being installed",
    ServerStatus.INSTALL_FAILED: "could not be installed",
    ServerStatus.RESTORING_BACKUP: "is being restored from a backup",
}


class Gate:
    def __init__(self, access: Access) -> None:
        self._access = access

    async def any_state(self, request: web.Request) -> tuple[Server, frozenset[str]]:
        """The server of the address and what the caller holds on it, whatever state it is in. Raises NotFound."""
        ref = request.match_info["server"]
        if not _REF.fullmatch(ref):
            raise NotFound("There is no such server.")
        server, held = await self._access.seen(caller_of(request).actor, ref.lower())
        log.server.set(server.short)
        return server, held

    async def enter(
        self, request: web.Request, permission: str = "", *, event: str = "", installing: bool = False
    ) -> tuple[Server, frozenset[str]]:
        """As `any_state`, for those who hold `permission` (empty: anything). `installing` lets administrators in while it is busy.

        Raises NotFound, ServerSuspended, ServerBusy, MissingPermission.
        """
        server, held = await self.any_state(request)
        caller = caller_of(request)
        if server.node.maintenance:
            raise ServerBusy(f"The node of {server.name} is under maintenance.", hint="Try again later.")
        if server.status == ServerStatus.SUSPENDED:
            raise ServerSuspended(f"{server.name} is suspended.", hint="An administrator of Aerie can lift it.")
        if server.status in _BUSY and not (installing and caller.user.root_admin):
            raise ServerBusy(f"{server.name} {_BUSY[ServerStatus(server.status)]}.", hint="Try again when that is done.")
        if permission:
            await self._access.require(caller.actor, server, held, permission, event=event)
        return server, held
