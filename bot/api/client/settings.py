"""/api/client/servers/{server}/startup, /settings, /users: how a server starts, what it is called, who may use it."""

from aiohttp import web

from bot.api.auth import caller_of
from bot.api.client import resources
from bot.api.client.gate import Gate
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import Json, answer, collection, done
from core.errors import BadRequest, Forbidden, Invalid, NotFound
from core.models.server import Server
from core.rules import MOST_VALUE
from core.services.build import Services


class SettingsRoutes:
    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def startup(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "startup.read", event="server:startup.read")
        shown = [resources.egg_variable(variable, server) for variable in server.egg.variables if variable.user_viewable]
        return answer(collection(shown, {**_meta(server), "docker_images": server.egg.docker_images}))

    async def set_variable(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "startup.update", event="server:startup.edit")
        given = await Input.of(request)
        key, value = given.text("key"), given.text("value", most=MOST_VALUE, required=False)
        if not given.given("value"):
            given.fail("value", "present", "The value field must be present.")
        given.checked()
        try:
            changed = await self._services.startup.set_variable(caller_of(request).actor, server.uuid, key, value)
        except BadRequest:
            raise
        except Invalid as error:
            given.fail("value", "p_variable_rules", str(error))
            given.checked()
            raise
        return answer({**resources.egg_variable(changed.variable, changed.server), "meta": _meta(changed.server)})

    async def set_image(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "startup.docker-image", event="server:startup.image")
        given = await Input.of(request)
        image = given.text("docker_image")
        given.checked()
        try:
            await self._services.startup.set_image(caller_of(request).actor, server.uuid, image)
        except BadRequest as error:
            raise PanelError(400, "BadRequestHttpException", error.message) from error
        except Invalid as error:
            given.fail("docker_image", "in", str(error))
            given.checked()
        return done()

    async def users(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "user.read", event="server:subuser.read")
        people = (await self._services.directory.subusers([server]))[server.id]
        return answer(collection([resources.subuser(user, keys) for user, keys in people]))

    async def user(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "user.read", event="server:subuser.read")
        uuid = request.match_info["user"]
        if uuid == caller_of(request).user.uuid:
            raise Forbidden("You cannot look at your own entry.")
        for user, keys in (await self._services.directory.subusers([server]))[server.id]:
            if user.uuid == uuid:
                return answer(resources.subuser(user, keys))
        raise NotFound("There is no such user of this server.")

    async def rename(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "settings.rename", event="server:settings.rename")
        given = await Input.of(request)
        name = given.text("name", most=100)
        description = given.text("description", most=10_000, required=False) if given.given("description") else None
        given.checked()
        try:
            await self._services.servers.rename(caller_of(request).actor, server.uuid, name, description=description)
        except Invalid as error:
            given.fail("name", "regex", str(error))
            given.checked()
        return done()

    async def reinstall(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "settings.reinstall", event="server:reinstall")
        await self._services.servers.reinstall(caller_of(request).actor, server.uuid)
        return done(202)


def _meta(server: Server) -> Json:
    return {"startup_command": resources.invocation(server), "raw_startup_command": server.startup}
