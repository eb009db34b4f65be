"""/api/application/servers: made, looked at, changed, suspended and deleted by administrators."""

import json
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from bot.api.application.includes import Shown
from bot.api.application.listing import Listing, number_of
from bot.api.auth import caller_of
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import answer, done, includes
from core.errors import BadRequest, Invalid
from core.models.egg import Egg
from core.models.node import Node
from core.models.server import Allocation, Server
from core.models.user import User
from core.services.administration import Build
from core.services.build import Services
from core.services.fleet import ports_of
from core.services.servers import Extras, Limits

K = TypeVar("K", User, Egg, Allocation)

_IMAGE = r"~?[\w./\-:@ ]+"
_NAME = r"[^\x00-\x1f\x7f]+"
_THREADS = r"[0-9,-]+"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new server goes: its main address, and further ones."""

    main: Allocation
    also: tuple[int, ...] = ()


class ServerRoutes:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.directory
        self._list = Listing(
            self._directory,
            Server,
            filters=("uuid", "uuidShort", "name", "description", "image", "external_id"),
            sorts=("id", "uuid"),
            columns={"uuidShort": "short"},
        )

    async def listing(self, request: web.Request) -> web.Response:
        return await self._list.answer(request, Shown.to(request, self._directory).servers)

    async def show(self, request: web.Request) -> web.Response:
        return await self._one(request, await self._server(request))

    async def external(self, request: web.Request) -> web.Response:
        return await self._one(request, await self._directory.one(Server, "external_id", request.match_info["external_id"]))

    async def create(self, request: web.Request) -> web.Response:
        given = await Input.of(request)
        name, external_id = given.text("name", most=100, pattern=_NAME), given.text("external_id", required=False) or None
        user = await self._existing(given, "user", User)
        egg = await self._existing(given, "egg", Egg)
        image, startup = given.text("docker_image", pattern=_IMAGE), given.text("startup", most=20_000)
        limits, extras = _limits(given, "limits."), _features(given)
        environment = given.object("environment")
        if external_id is not None and await self._directory.find(Server, "external_id", external_id) is not None:
            given.fail("external_id", "unique", "The external id has already been taken.")
        place = await self._place(given, limits)
        given.checked()
        assert user is not None
        assert egg is not None
        assert place is not None
        try:
            server = await self._services.servers.create(
                caller_of(request).actor,
                name=name,
                egg_id=egg.id,
                node_id=place.main.node_id,
                ip=place.main.ip,
                port=place.main.port,
                guild_id=await self._services.administration.guild_for(user),
                limits=limits,
                variables=_known(egg, environment),
                image=image,
                startup=startup,
                description=given.text("description", most=10_000, required=False),
                start=given.flag("start_on_completion"),
                extras=Extras(
                    owner_id=user.id,
                    external_id=external_id,
                    also=place.also,
                    databases=extras.databases,
                    allocations=extras.allocations,
                    backups=extras.backups,
                    skip_scripts=given.flag("skip_scripts"),
                ),
            )
        except BadRequest:
            raise
        except Invalid as error:
            given.fail("environment", "p_variable_rules", str(error))
            given.checked()
            raise
        shown = await Shown.to(request, self._directory).servers([server], includes(request))
        return answer(shown[0], status=201)

    async def details(self, request: web.Request) -> web.Response:
        server, given = await self._server(request), await Input.of(request)
        name, external_id = given.text("name", most=100, pattern=_NAME), given.text("external_id", required=False) or None
        user = await self._existing(given, "user", User)
        twin = await self._directory.find(Server, "external_id", external_id) if external_id is not None else None
        if twin is not None and twin.id != server.id:
            given.fail("external_id", "unique", "The external id has already been taken.")
        description = given.text("description", most=10_000, required=False)
        given.checked()
        assert user is not None
        changed = await self._services.administration.details(
            caller_of(request).actor, server.id, name=name, owner_id=user.id, external_id=external_id, description=description
        )
        return await self._one(request, changed)

    async def build(self, request: web.Request) -> web.Response:
        server, given = await self._server(request), await Input.of(request)
        limits: Limits | None = None
        if given.object("limits", required=False):
            limits = _limits(given, "limits.")
        elif any(given.given(name) for name in ("memory", "swap", "io", "cpu", "disk")):
            limits = _limits(given, "")
        wanted = Build(
            allocation=given.number("allocation", least=1),
            limits=limits,
            oom_disabled=given.flag("oom_disabled") if given.value("oom_disabled") is not None else None,
            extras=_features(given),
            add=tuple(given.numbers("add_allocations")),
            remove=tuple(given.numbers("remove_allocations")),
        )
        given.checked()
        try:
            changed = await self._services.administration.build(caller_of(request).actor, server.id, wanted)
        except BadRequest as error:
            raise PanelError(400, "DisplayException", error.message) from error
        return await self._one(request, changed)

    async def startup(self, request: web.Request) -> web.Response:
        server, given = await self._server(request), await Input.of(request)
        startup, image = given.text("startup", most=20_000), given.text("image", pattern=_IMAGE)
        egg = await self._existing(given, "egg", Egg)
        environment, skip = given.object("environment"), given.flag("skip_scripts", required=True)
        given.checked()
        assert egg is not None
        try:
            changed = await self._services.administration.startup(
                caller_of(request).actor,
                server.id,
                startup=startup,
                egg_id=egg.id,
                image=image,
                skip_scripts=skip,
                values=_known(egg, environment),
            )
        except BadRequest:
            raise
        except Invalid as error:
            given.fail("environment", "p_variable_rules", str(error))
            given.checked()
            raise
        return await self._one(request, changed)

    async def suspend(self, request: web.Request) -> web.Response:
        await self._services.administration.suspend(caller_of(request).actor, (await self._server(request)).id, suspended=True)
        return done()

    async def unsuspend(self, request: web.Request) -> web.Response:
        await self._services.administration.suspend(caller_of(request).actor, (await self._server(request)).id, suspended=False)
        return done()

    async def reinstall(self, request: web.Request) -> web.Response:
        await self._services.servers.reinstall(caller_of(request).actor, (await self._server(request)).uuid)
        return done()

    async def delete(self, request: web.Request) -> web.Response:
        await self._services.servers.delete(caller_of(request).actor, (await self._server(request)).uuid)
        return done()

    async def force_delete(self, request: web.Request) -> web.Response:
        await self._services.servers.delete(caller_of(request).actor, (await self._server(request)).uuid, force=True)
        return done()

    async def _server(self, request: web.Request) -> Server:
        return await self._directory.one(Server, "id", number_of(request, "id"))

    async def _one(self, request: web.Request, row: Server) -> web.Response:
        return answer((await Shown.to(request, self._directory).servers([row], includes(request)))[0])

    async def _existing(self, given: Input, path: str, kind: type[K]) -> K | None:
        """The row a number names; a failure is noted when there is none."""
        number = given.number(path, least=1)
        row = await self._directory.find(kind, "id", number) if number > 0 else None
        if row is None and number > 0:
            given.fail(path, "exists", f"The selected {path} is invalid.")
        return row

    async def _place(self, given: Input, limits: Limits) -> Place | None:
        """The addresses that are named, or those of a node with room (`deploy`). Raises PanelError (400) when there is none."""
        if given.value("deploy") is None:
            return await self._named(given)
        places, spans = given.numbers("deploy.locations", required=True), given.items("deploy.port_range", required=True)
        given.checked()
        try:
            ports = set(ports_of([str(span) for span in spans if span is not None]))
        except Invalid as error:
            raise PanelError(400, "PortOutOfRangeException", str(error)) from error
        fit = await self._services.placement.fitting(limits.memory, limits.disk, places)
        if not fit:
            hint = "Ask for less, or add a node; a node must answer."
            raise PanelError(400, "NoViableNodeException", "No node has so much memory and disk left.", hint=hint)
        for room in fit:
            free = await self._free(room.node, ports, dedicated=given.flag("deploy.dedicated_ip"))
            if free is not None:
                return Place(free)
        raise PanelError(400, "NoViableAllocationException", "No node with room has a free address.", hint="Add allocations to a node.")

    async def _named(self, given: Input) -> Place | None:
        main = await self._existing(given, "allocation.default", Allocation)
        if main is not None and main.server_id is not None:
            given.fail("allocation.default", "p_free", "The selected allocation.default belongs to a server.")
        return Place(main, tuple(given.numbers("allocation.additional"))) if main is not None else None

    async def _free(self, node: Node, ports: set[int], *, dedicated: bool) -> Allocation | None:
        """The lowest free address of a node, in the wanted ports if any are named; `dedicated`: at an IP nobody else uses."""
        rows = await self._directory.some(Allocation, "node_id", [node.id])
        busy = {row.ip for row in rows if row.server_id is not None}
        free = [row for row in rows if row.server_id is None and (not ports or row.port in ports) and not (dedicated and row.ip in busy)]
        return min(free, key=lambda row: (row.port, row.id), default=None)


def _limits(given: Input, prefix: str) -> Limits:
    threads = given.text(f"{prefix}threads", required=False, pattern=_THREADS)
    return Limits(
        memory=given.number(f"{prefix}memory"),
        swap=given.number(f"{prefix}swap", least=-1),
        disk=given.number(f"{prefix}disk"),
        io=given.number(f"{prefix}io", least=10, most=1000),
        cpu=given.number(f"{prefix}cpu"),
        threads=threads or None,
        oom_disabled=given.flag("oom_disabled", default=True),
    )


def _features(given: Input) -> Extras:
    given.object("feature_limits")
    for name in ("databases", "backups"):
        if not given.given(f"feature_limits.{name}"):
            given.fail(f"feature_limits.{name}", "present", f"The feature limits.{name} field must be present.")
    return Extras(
        databases=given.number("feature_limits.databases", required=False),
        allocations=given.number("feature_limits.allocations", required=False),
        backups=given.number("feature_limits.backups", required=False),
    )


def _known(egg: Egg, environment: dict[str, object]) -> dict[str, str]:
    """Values of the egg's own variables as text; programs send more, which is passed over."""
    names = {variable.env_variable for variable in egg.variables}
    return {name: _text(value) for name, value in environment.items() if name in names}


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
