"""/api/client and /api/client/servers/{server}: the list, one server, its load, its console's credentials, power, commands, activity."""

from collections.abc import Callable

from aiohttp import web

from bot.api.auth import caller_of
from bot.api.client import resources
from bot.api.client.gate import Gate
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import Json, Paging, answer, done, filters, includes, item, paged, sorting
from core.errors import Forbidden, Invalid, ServerOffline
from core.models.server import Server
from core.permissions import ADMIN_SOCKET, ALL, CONNECT, CONTROL_CONSOLE
from core.services.build import Services
from core.services.power import PERMISSIONS
from core.vocabulary import PowerSignal

_FILTERS: dict[str, Callable[[Server], str]] = {
    "uuid": lambda server: server.uuid,
    "name": lambda server: server.name,
    "description": lambda server: server.description,
    "external_id": lambda server: server.external_id or "",
}


class ServerRoutes:
    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def listing(self, request: web.Request) -> web.Response:
        caller, names = caller_of(request), includes(request)
        paging, chosen = Paging.of(request, most=100), filters(request, (*_FILTERS, "*"))
        rows = await self._services.access.reachable(caller.actor)
        mine = {server.id for server, _ in (await self._own(request) if caller.user.root_admin else rows)}
        match request.query.get("type", ""):
            case "admin" | "admin-all" as kind:
                rows = [pair for pair in rows if caller.user.root_admin and (kind == "admin-all" or pair[0].id not in mine)]
            case "owner":
                rows = [pair for pair in rows if pair[0].owner_id == caller.user.id or (not caller.user.root_admin and ALL in pair[1])]
            case _:
                rows = [pair for pair in rows if pair[0].id in mine]
        rows = [pair for pair in rows if all(_matches(pair[0], name, text) for name, text in chosen.items())]
        page = paging.cut(rows)
        subusers = await self._services.directory.subusers([server for server, _ in page]) if "subusers" in names else {}
        shown = [
            item(
                "server",
                resources.server(server, caller.user, held, self._services.nodes.sftp(server.node)),
                resources.relationships(server, held, names, subusers.get(server.id, ())),
            )
            for server, held in page
        ]
        return paged(request, shown, paging, len(rows))

    async def _own(self, request: web.Request) -> list[tuple[Server, frozenset[str]]]:
        """What the caller would see if they were no administrator of Aerie."""
        return await self._services.access.reachable(caller_of(request).plain_actor)

    async def show(self, request: web.Request) -> web.Response:
        server, held = await self._gate.any_state(request)
        user, names = caller_of(request).user, includes(request)
        subusers = (await self._services.directory.subusers([server]))[server.id] if "subusers" in names else []
        owner = resources.owns(server, user, held)
        keys = [ALL, *(ADMIN_SOCKET if user.root_admin else ())] if ALL in held else sorted(held)
        meta: Json = {"is_server_owner": owner, "user_permissions": keys}
        return answer(
            item(
                "server",
                resources.server(server, user, held, self._services.nodes.sftp(server.node)),
                resources.relationships(server, held, names, subusers),
                meta,
            )
        )

    async def websocket(self, request: web.Request) -> web.Response:
        server, held = await self._gate.enter(request, CONNECT, event="server:websocket", installing=True)
        granted = self._services.sockets.admit(caller_of(request).user, server, held)
        return answer({"data": {"token": granted.token, "socket": granted.socket}})

    async def resources(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request)
        return answer(resources.stats(server, await self._services.usage.of(server)))

    async def command(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, CONTROL_CONSOLE, event="server:console.command")
        given = await Input.of(request)
        line = given.text("command", most=10_000)
        given.checked()
        try:
            await self._services.console.send(caller_of(request).actor, server.uuid, line)
        except ServerOffline as error:
            raise PanelError(502, "HttpException", error.message, hint=error.hint) from error
        except Invalid as error:
            given.fail("command", "p_console_line", str(error))
            given.checked()
        return done()

    async def power(self, request: web.Request) -> web.Response:
        server, held = await self._gate.enter(request)
        given = await Input.of(request)
        try:
            signal = PowerSignal(str(given.value("signal") or ""))
        except ValueError:
            if given.value("signal") is None and ALL in held:
                given.text("signal")
                given.checked()
            raise Forbidden("There is no such power signal.", hint=f"Send one of {', '.join(PowerSignal)}.") from None
        await self._services.access.require(
            caller_of(request).actor, server, held, PERMISSIONS[signal], event=f"server:power.{signal.value}"
        )
        await self._services.power.send(caller_of(request).actor, server.uuid, signal)
        return done()

    async def activity(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "activity.read", event="server:activity.read")
        user = caller_of(request).user
        paging, chosen = Paging.of(request, default=25, most=100), filters(request, ("event",))
        order = sorting(request, ("timestamp",))
        rows, total = await self._services.directory.activities(
            server=server,
            event=chosen.get("event", ""),
            descending=order is None or order[1],
            first=paging.first,
            count=paging.per_page,
        )
        actors = await self._services.directory.actors(rows)
        with_actor = "actor" in includes(request)
        shown = []
        for row in rows:
            actor = actors.get(row.id)
            own = actor is not None and actor.id == user.id
            shown.append(resources.activity(row, show_ip=own or user.root_admin, actor=actor, with_actor=with_actor))
        return paged(request, shown, paging, total)


def _matches(server: Server, name: str, text: str) -> bool:
    if name != "*":
        return any(word in _FILTERS[name](server).lower() for word in text.lower().split(",") if word)
    address, parted, port = text.rpartition(":")
    if parted and port.isdigit():
        return any((not address or each.ip == address) and str(each.port).startswith(port) for each in server.allocations)
    if any(each.ip == text for each in server.allocations):
        return True
    return server.uuid.startswith(text) or server.external_id == text or text.lower() in server.name.lower()
