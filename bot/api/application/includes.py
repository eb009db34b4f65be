"""What belongs to a resource of the Application API, loaded and shown when it is asked for: one query per kind, not per row.

An include that the key may not read is shown as nothing.
"""

from collections.abc import Sequence

from aiohttp import web

from bot.api.application import resources
from bot.api.auth import caller_of
from bot.api.paging import Json, at, collection, inner, item, nothing
from core.models.egg import Egg, Nest
from core.models.node import Location, Node
from core.models.server import Allocation, Server
from core.models.user import User
from core.services.api_keys import READ, Caller
from core.services.directory import Directory
from core.vocabulary import Resource

_NEEDS = {
    "allocations": Resource.ALLOCATIONS,
    "databases": Resource.SERVER_DATABASES,
    "egg": Resource.EGGS,
    "eggs": Resource.EGGS,
    "location": Resource.LOCATIONS,
    "nest": Resource.NESTS,
    "node": Resource.NODES,
    "nodes": Resource.NODES,
    "server": Resource.SERVERS,
    "servers": Resource.SERVERS,
    "subusers": Resource.USERS,
    "user": Resource.USERS,
    "variables": Resource.EGGS,
}


class Shown:
    """Shows rows to one caller, with what they asked to be included."""

    def __init__(self, directory: Directory, caller: Caller) -> None:
        self._directory = directory
        self._caller = caller

    @classmethod
    def to(cls, request: web.Request, directory: Directory) -> "Shown":
        return cls(directory, caller_of(request))

    async def users(self, rows: Sequence[User], names: frozenset[str] = frozenset()) -> list[Json]:
        servers = await self._grouped_servers("owner_id", [row.id for row in rows], names)
        return [item("user", resources.user(row), self._with(names, servers=servers.get(row.id, []))) for row in rows]

    async def locations(self, rows: Sequence[Location], names: frozenset[str] = frozenset()) -> list[Json]:
        nodes: list[Node] = []
        if names & {"nodes", "servers"}:
            nodes = await self._directory.some(Node, "location", [row.short for row in rows])
        shown = dict(zip([node.id for node in nodes], await self.nodes(nodes, inner(names, "nodes")), strict=True))
        servers = await self._grouped_servers("node_id", [node.id for node in nodes], names)
        found = []
        for row in rows:
            own = [node.id for node in nodes if node.location == row.short]
            included = self._with(names, nodes=[shown[number] for number in own], servers=[s for n in own for s in servers.get(n, [])])
            found.append(item("location", resources.location(row), included))
        return found

    async def nodes(self, rows: Sequence[Node], names: frozenset[str] = frozenset(), extra: Sequence[Json] = ()) -> list[Json]:
        places = {place.short: place for place in await self._directory.some(Location, "short", {row.location for row in rows})}
        allocated = await self._directory.allocated([row.id for row in rows])
        servers = await self._grouped_servers("node_id", [row.id for row in rows], names)
        allocations: dict[int, list[Json]] = {}
        if "allocations" in names:
            for one in await self._directory.some(Allocation, "node_id", [row.id for row in rows]):
                allocations.setdefault(one.node_id, []).append(item("allocation", resources.allocation(one)))
        found = []
        for index, row in enumerate(rows):
            place = places.get(row.location)
            included = self._with(
                names,
                allocations=allocations.get(row.id, []),
                location=item("location", resources.location(place)) if place is not None else nothing(),
                servers=servers.get(row.id, []),
            )
            attributes = resources.node(row, place.id if place is not None else None, allocated.get(row.id, (0, 0)))
            found.append(item("node", {**attributes, **(extra[index] if extra else {})}, included))
        return found

    async def allocations(self, rows: Sequence[Allocation], names: frozenset[str] = frozenset()) -> list[Json]:
        nodes = {}
        if "node" in names:
            known = await self._directory.some(Node, "id", {row.node_id for row in rows})
            nodes = dict(zip([node.id for node in known], await self.nodes(known), strict=True))
        servers = {}
        if "server" in names:
            owners = await self._directory.some(Server, "id", {row.server_id for row in rows if row.server_id is not None})
            servers = {row.id: item("server", resources.server(row)) for row in owners}
        found = []
        for row in rows:
            included = self._with(names, node=nodes.get(row.node_id, nothing()), server=servers.get(row.server_id or -1, nothing()))
            found.append(item("allocation", resources.allocation(row), included))
        return found

    async def nests(self, rows: Sequence[Nest], names: frozenset[str] = frozenset()) -> list[Json]:
        eggs: list[Egg] = []
        if names & {"eggs", "servers"}:
            eggs = await self._directory.some(Egg, "nest_id", [row.id for row in rows])
        shown = dict(zip([egg.id for egg in eggs], await self.eggs(eggs, inner(names, "eggs")), strict=True))
        servers = await self._grouped_servers("egg_id", [egg.id for egg in eggs], names)
        found = []
        for row in rows:
            own = [egg.id for egg in eggs if egg.nest_id == row.id]
            included = self._with(names, eggs=[shown[number] for number in own], servers=[s for n in own for s in servers.get(n, [])])
            found.append(item("nest", resources.nest(row), included))
        return found

    async def eggs(self, rows: Sequence[Egg], names: frozenset[str] = frozenset()) -> list[Json]:
        nests = {}
        if "nest" in names:
            nests = {row.id: item("nest", resources.nest(row)) for row in await self._directory.some(Nest, "id", {e.nest_id for e in rows})}
        servers = await self._grouped_servers("egg_id", [row.id for row in rows], names)
        found = []
        for row in rows:
            variables = [item("egg_variable", resources.egg_variable(each, row)) for each in row.variables]
            included = self._with(
                names,
                nest=nests.get(row.nest_id, nothing()),
                servers=servers.get(row.id, []),
                config=nothing(),
                script=nothing(),
                variables=variables,
            )
            found.append(item("egg", resources.egg(row), included))
        return found

    async def servers(self, rows: Sequence[Server], names: frozenset[str] = frozenset()) -> list[Json]:
        owners = {row.owner.id: row.owner for row in rows if row.owner is not None}
        nodes: dict[int, Node] = {row.node.id: row.node for row in rows}
        shown_nodes = dict(zip(nodes, await self.nodes(list(nodes.values())), strict=True)) if "node" in names else {}
        places = {}
        if "location" in names:
            places = {p.short: p for p in await self._directory.some(Location, "short", {node.location for node in nodes.values()})}
        nests = {}
        if "nest" in names:
            nests = {nest.id: nest for nest in await self._directory.some(Nest, "id", {row.egg.nest_id for row in rows})}
        eggs: dict[int, Egg] = {row.egg.id: row.egg for row in rows}
        shown_eggs = dict(zip(eggs, await self.eggs(list(eggs.values())), strict=True)) if "egg" in names else {}
        subusers = await self._directory.subusers(rows) if "subusers" in names else {}
        found = []
        for row in rows:
            place, nest = places.get(row.node.location), nests.get(row.egg.nest_id)
            included = self._with(
                names,
                allocations=[item("allocation", resources.allocation(each)) for each in row.allocations],
                user=item("user", resources.user(owners[row.owner_id])) if row.owner_id in owners else nothing(),
                subusers=[_subuser(row, user, keys) for user, keys in subusers.get(row.id, [])],
                nest=item("nest", resources.nest(nest)) if nest is not None else nothing(),
                egg=shown_eggs.get(row.egg_id, nothing()),
                variables=_variables(row),
                location=item("location", resources.location(place)) if place is not None else nothing(),
                node=shown_nodes.get(row.node_id, nothing()),
                databases=[],
                transfer=nothing(),
            )
            found.append(item("server", resources.server(row), included))
        return found

    async def _grouped_servers(self, by: str, ids: Sequence[int], names: frozenset[str]) -> dict[int, list[Json]]:
        grouped: dict[int, list[Json]] = {}
        if "servers" in names:
            for row in await self._directory.some(Server, by, ids):
                grouped.setdefault(getattr(row, by), []).append(item("server", resources.server(row)))
        return grouped

    def _with(self, names: frozenset[str], **known: list[Json] | Json) -> Json | None:
        """Of what there is, what was asked for; `nothing` where the key may not read it."""
        included: Json = {}
        for name in known.keys() & names:
            allowed = name not in _NEEDS or self._caller.may(_NEEDS[name], READ)
            value = known[name]
            included[name] = (collection(value) if isinstance(value, list) else value) if allowed else nothing()
        return included or None


def _variables(row: Server) -> list[Json]:
    chosen = {value.egg_variable_id: value.value for value in row.variables}
    return [
        item("server_variable", {**resources.egg_variable(each, row.egg), "server_value": chosen.get(each.id, each.default_value)})
        for each in row.egg.variables
    ]


def _subuser(row: Server, user: User, keys: list[str]) -> Json:
    moment = at(user.created_at)
    return item(
        "subuser",
        {"id": user.id, "user_id": user.id, "server_id": row.id, "permissions": keys, "created_at": moment, "updated_at": moment},
    )
