"""/api/application/locations, /nodes, /nests: where servers live and what they are made of."""

from ipaddress import ip_address
from typing import Any

from aiohttp import web

from bot.api.application import resources
from bot.api.application.includes import Shown
from bot.api.application.listing import Listing, number_of
from bot.api.auth import caller_of
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import Paging, address, answer, collection, done, filters, includes, item, paged
from core.errors import Conflict, Invalid, NotFound
from core.models.egg import Egg, Nest
from core.models.node import Location, Node
from core.models.server import Allocation
from core.services.build import Services
from core.services.fleet import NodePlan, addresses_of, ports_of

_NAME = r"[\w .-]+"


class LocationRoutes:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.directory
        self._list = Listing(self._directory, Location, filters=("short", "long"))

    async def listing(self, request: web.Request) -> web.Response:
        return await self._list.answer(request, Shown.to(request, self._directory).locations)

    async def show(self, request: web.Request) -> web.Response:
        return await self._one(request, await self._directory.one(Location, "id", number_of(request, "id")))

    async def create(self, request: web.Request) -> web.Response:
        short, long = await self._described(request, None)
        row = await self._services.locations.create(caller_of(request).actor, short, long)
        meta = {"resource": address(request, f"/api/application/locations/{row.id}")}
        return answer(item("location", resources.location(row), meta=meta), status=201)

    async def update(self, request: web.Request) -> web.Response:
        known = await self._directory.one(Location, "id", number_of(request, "id"))
        short, long = await self._described(request, known)
        return await self._one(request, await self._services.locations.update(caller_of(request).actor, known.id, short, long))

    async def delete(self, request: web.Request) -> web.Response:
        try:
            await self._services.locations.delete(caller_of(request).actor, number_of(request, "id"))
        except Conflict as error:
            raise PanelError(400, "HasActiveNodesException", error.message, hint=error.hint) from error
        return done()

    async def _one(self, request: web.Request, row: Location) -> web.Response:
        return answer((await Shown.to(request, self._directory).locations([row], includes(request)))[0])

    async def _described(self, request: web.Request, known: Location | None) -> tuple[str, str]:
        """Short and long name; py-dactyl calls them shortcode and description."""
        given = await Input.of(request)
        name = "shortcode" if not given.given("short") and given.given("shortcode") else "short"
        short = given.text(name, most=60, pattern=r"[\w.-]+")
        long = given.text("long" if given.given("long") else "description", required=False, default=known.long if known else "")
        twin = await self._directory.find(Location, "short", short) if short else None
        if twin is not None and (known is None or twin.id != known.id):
            given.fail(name, "unique", "The short has already been taken.")
        given.checked()
        return short, long


class NodeRoutes:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.directory
        columns = {"fqdn": "url", "daemon_token_id": "token_id"}
        self._list = Listing(
            self._directory,
            Node,
            filters=("uuid", "name", "fqdn", "daemon_token_id"),
            sorts=("id", "uuid", "memory", "disk"),
            columns=columns,
        )

    async def listing(self, request: web.Request) -> web.Response:
        return await self._list.answer(request, Shown.to(request, self._directory).nodes)

    async def deployable(self, request: web.Request) -> web.Response:
        given = await Input.of(request)
        memory, disk = given.number("memory"), given.number("disk")
        places = given.numbers("location_ids") or [int(text) for text in request.query.getall("location_ids[]", []) if text.isdigit()]
        given.checked()
        found = await self._services.placement.fitting(memory, disk, places, answering=False)
        if not found:
            raise PanelError(400, "NoViableNodeException", "No node has so much memory and disk left.", hint="Ask for less, or add a node.")
        paging = Paging.of(request)
        page = paging.cut(found) if "page" in request.query else found
        extra = [{"sum_memory": str(room.memory_given), "sum_disk": str(room.disk_given)} for room in page]
        shown = await Shown.to(request, self._directory).nodes([room.node for room in page], includes(request), extra)
        return paged(request, shown, paging, len(found)) if "page" in request.query else answer(collection(shown))

    async def show(self, request: web.Request) -> web.Response:
        return await self._one(request, await self._node(request))

    async def configuration(self, request: web.Request) -> web.Response:
        """Holds the node's secret, as the panel's does."""
        node = await self._node(request)
        return answer(resources.configuration(node, self._services.fleet.secret(node), self._services.nodes.origin))

    async def create(self, request: web.Request) -> web.Response:
        plan = await self._plan(await Input.of(request), None)
        row = await self._services.fleet.create(caller_of(request).actor, plan)
        shown = (await Shown.to(request, self._directory).nodes([row]))[0]
        return answer({**shown, "meta": {"resource": address(request, f"/api/application/nodes/{row.id}")}}, status=201)

    async def update(self, request: web.Request) -> web.Response:
        known, given = await self._node(request), await Input.of(request)
        plan = await self._plan(given, known)
        reset = given.value("reset_secret") is True
        before = self._services.nodes.address(known)
        row = await self._services.fleet.update(caller_of(request).actor, known.id, plan, reset_secret=reset)
        fresh = resources.configuration(row, self._services.fleet.secret(row), self._services.nodes.origin)
        trouble = await self._services.nodes.tell(before, row, fresh)
        shown = (await Shown.to(request, self._directory).nodes([row], includes(request)))[0]
        hint = "Give its daemon the configuration by hand: GET /api/application/nodes/{id}/configuration."
        return answer({**shown, "meta": {"aerie_notice": f"{trouble} {hint}"}} if trouble else shown)

    async def delete(self, request: web.Request) -> web.Response:
        try:
            await self._services.fleet.delete(caller_of(request).actor, number_of(request, "id"))
        except Conflict as error:
            raise PanelError(400, "HasActiveServersException", error.message, hint=error.hint) from error
        return done()

    async def allocations(self, request: web.Request) -> web.Response:
        node = await self._node(request)
        equal: dict[str, Any] = {}
        chosen = filters(request, ("ip", "port", "ip_alias", "server_id"))
        if "ip" in chosen:
            equal["ip"] = chosen["ip"]
        if "port" in chosen:
            equal["port"] = int(chosen["port"]) if chosen["port"].isdigit() and len(chosen["port"]) < 6 else -1
        if "filter[server_id]" in request.query:
            text = request.query["filter[server_id]"]
            equal["server_id"] = int(text) if text.isdigit() and len(text) < 10 else None
        paging = Paging.of(request)
        rows, total = await self._directory.page(
            Allocation,
            containing={"alias": chosen["ip_alias"]} if "ip_alias" in chosen else {},
            equal={"node_id": node.id, **equal},
            first=paging.first,
            count=paging.per_page,
        )
        return paged(request, await Shown.to(request, self._directory).allocations(rows, includes(request)), paging, total)

    async def add_allocations(self, request: web.Request) -> web.Response:
        node, given = await self._node(request), await Input.of(request)
        ip, alias = given.text("ip"), given.text("alias", required=False)
        texts = [str(entry) for entry in given.items("ports", required=True) if entry is not None]
        given.checked()
        try:
            addresses = addresses_of(ip)
        except Invalid as error:
            raise PanelError(400, "CidrOutOfRangeException", str(error)) from error
        try:
            ports = ports_of(texts)
        except Invalid as error:
            raise PanelError(400, "PortOutOfRangeException", str(error)) from error
        await self._services.fleet.add_allocations(caller_of(request).actor, node.id, addresses, ports, alias or None)
        return done()

    async def delete_allocation(self, request: web.Request) -> web.Response:
        node = await self._node(request)
        try:
            await self._services.fleet.remove_allocation(caller_of(request).actor, node.id, number_of(request, "allocation"))
        except Conflict as error:
            raise PanelError(400, "ServerUsingAllocationException", error.message, hint=error.hint) from error
        return done()

    async def _node(self, request: web.Request) -> Node:
        return await self._directory.one(Node, "id", number_of(request, "id"))

    async def _one(self, request: web.Request, row: Node) -> web.Response:
        return answer((await Shown.to(request, self._directory).nodes([row], includes(request)))[0])

    async def _plan(self, given: Input, known: Node | None) -> NodePlan:
        scheme, fqdn = given.choice("scheme", ("http", "https")), given.text("fqdn")
        port = given.number("daemon_listen", least=1, most=65535)
        plan = NodePlan(
            name=given.text("name", most=100, pattern=_NAME),
            location_id=given.number("location_id", least=1),
            url=f"{scheme}://{_host(fqdn)}:{port}",
            memory=given.number("memory", least=1),
            disk=given.number("disk", least=1),
            description=given.text("description", required=False, most=10_000, default=known.description if known is not None else ""),
            public=given.flag("public", default=True),
            maintenance=given.flag("maintenance_mode"),
            behind_proxy=given.flag("behind_proxy"),
            memory_overallocate=given.number("memory_overallocate", least=-1),
            disk_overallocate=given.number("disk_overallocate", least=-1),
            upload_size=given.number("upload_size", least=1, most=1024, required=False, default=100),
            sftp_port=given.number("daemon_sftp", least=1, most=65535),
            base_directory=given.text("daemon_base", required=False, default="/var/lib/aerie/volumes", pattern=r"/[\w./-]*"),
        )
        if plan.location_id > 0 and await self._directory.find(Location, "id", plan.location_id) is None:
            given.fail("location_id", "exists", "The selected location id is invalid.")
        twin = await self._directory.find(Node, "name", plan.name) if plan.name else None
        if twin is not None and (known is None or twin.id != known.id):
            given.fail("name", "unique", "The name has already been taken.")
        given.checked()
        return plan


class NestRoutes:
    def __init__(self, services: Services) -> None:
        self._directory = services.directory
        self._list = Listing(self._directory, Nest)

    async def listing(self, request: web.Request) -> web.Response:
        return await self._list.answer(request, Shown.to(request, self._directory).nests)

    async def show(self, request: web.Request) -> web.Response:
        row = await self._directory.one(Nest, "id", number_of(request, "id"))
        return answer((await Shown.to(request, self._directory).nests([row], includes(request)))[0])

    async def eggs(self, request: web.Request) -> web.Response:
        nest = await self._directory.one(Nest, "id", number_of(request, "id"))
        rows = await self._directory.some(Egg, "nest_id", [nest.id])
        return answer(collection(await Shown.to(request, self._directory).eggs(rows, includes(request))))

    async def egg(self, request: web.Request) -> web.Response:
        row = await self._directory.one(Egg, "id", number_of(request, "egg"))
        if row.nest_id != number_of(request, "id"):
            raise NotFound("This nest has no such egg.")
        return answer((await Shown.to(request, self._directory).eggs([row], includes(request)))[0])


def _host(fqdn: str) -> str:
    """The name as it stands in an address: IPv6 in brackets."""
    try:
        return f"[{fqdn}]" if ip_address(fqdn).version == 6 else fqdn
    except ValueError:
        return fqdn
