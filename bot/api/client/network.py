"""/api/client/servers/{server}/network/allocations: a server's addresses."""

from aiohttp import web

from bot.api.auth import caller_of
from bot.api.client import resources
from bot.api.client.gate import Gate
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import answer, collection, done
from core.errors import Conflict, LimitReached, NotFound
from core.services.network import Network


class NetworkRoutes:
    def __init__(self, network: Network, gate: Gate) -> None:
        self._network = network
        self._gate = gate

    async def listing(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "allocation.read", event="server:allocation.read")
        return answer(collection([resources.allocation(row) for row in server.allocations]))

    async def take(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "allocation.create", event="server:allocation.create")
        try:
            row = await self._network.take(caller_of(request).actor, server.uuid)
        except LimitReached as error:
            raise PanelError(400, "DisplayException", error.message, hint=error.hint) from error
        except Conflict as error:
            raise PanelError(400, "NoAutoAllocationSpaceAvailableException", error.message, hint=error.hint) from error
        return answer(resources.allocation(row))

    async def annotate(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "allocation.update", event="server:allocation.notes")
        given = await Input.of(request)
        notes = given.text("notes", most=256, required=False)
        if not given.given("notes"):
            given.fail("notes", "present", "The notes field must be present.")
        number = _number(request)
        given.checked()
        return answer(resources.allocation(await self._network.annotate(caller_of(request).actor, server.uuid, number, notes or None)))

    async def make_primary(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "allocation.update", event="server:allocation.primary")
        return answer(resources.allocation(await self._network.make_primary(caller_of(request).actor, server.uuid, _number(request))))

    async def give_back(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "allocation.delete", event="server:allocation.delete")
        try:
            await self._network.give_back(caller_of(request).actor, server.uuid, _number(request))
        except Conflict as error:
            raise PanelError(400, "DisplayException", error.message, hint=error.hint) from error
        return done()


def _number(request: web.Request) -> int:
    text = request.match_info["allocation"]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFound("This server has no such address.")
    return int(text)
