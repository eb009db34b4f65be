"""How one server starts: values of its egg's variables, and its image. What changes is committed, then its node is told."""

import asyncio
import logging
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from core import rules
from core.actor import Actor
from core.db.engine import Database
from core.errors import AerieError, BadRequest, Invalid
from core.models.egg import EggVariable
from core.models.server import Server, ServerVariable, whole_servers
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.nodes import Nodes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changed:
    server: Server
    variable: EggVariable


class Startup:
    def __init__(self, database: Database, access: Access, activity: ActivityLog, nodes: Nodes) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._nodes = nodes

    async def set_variable(self, actor: Actor, ref: str | int, key: str, value: str) -> Changed:
        """Give one variable a value; an empty one is an empty text. The game sees it at its next start.

        Raises NotFound, MissingPermission, BadRequest (hidden, read-only or unknown), Invalid (breaks the variable's rules).
        """
        server = await self._access.server(actor, ref, "startup.update", event="server:startup.edit")
        variable = next((each for each in server.egg.variables if each.env_variable == key), None)
        if variable is None or not variable.user_viewable:
            raise BadRequest("The environment variable you are trying to edit does not exist.")
        if not variable.user_editable:
            raise BadRequest("The environment variable you are trying to edit is read-only.")
        await asyncio.to_thread(check_value, variable, value)
        before = {each.egg_variable_id: each.value for each in server.variables}.get(variable.id, variable.default_value)
        async with self._database.begin() as session:
            await session.execute(select(Server.id).where(Server.id == server.id).with_for_update())
            own = (ServerVariable.server_id == server.id) & (ServerVariable.egg_variable_id == variable.id)
            await session.execute(delete(ServerVariable).where(own))
            session.add(ServerVariable(server_id=server.id, egg_variable_id=variable.id, value=value))
        await self._activity.write(actor, "server:startup.edit", server, metadata={"variable": key, "old": before, "new": value})
        return Changed(await self._told(server), variable)

    async def set_image(self, actor: Actor, ref: str | int, image: str) -> Server:
        """Choose one of the egg's images. Raises BadRequest where an administrator chose one that is not the egg's, Invalid for others."""
        server = await self._access.server(actor, ref, "startup.docker-image", event="server:startup.image")
        images = set(server.egg.docker_images.values())
        if server.image not in images:
            raise BadRequest("This server's image was set by an administrator and cannot be changed.")
        if image not in images:
            raise Invalid("The egg has no such image.", hint=f"It has: {', '.join(sorted(images))}.")
        async with self._database.begin() as session:
            await session.execute(update(Server).where(Server.id == server.id).values(image=image))
        await self._activity.write(actor, "server:startup.image", server, metadata={"old": server.image, "new": image})
        return await self._told(server)

    async def _told(self, server: Server) -> Server:
        """Have the node fetch the settings again; one that cannot now does so at its next start."""
        try:
            await self._nodes.client(server.node).sync(server.uuid)
        except AerieError as error:
            log.warning("server %s: its node learns of the change at its next start: %s", server.short, error.message)
        async with self._database.session() as session:
            return (await session.scalars(whole_servers().where(Server.id == server.id))).one()


def check_value(variable: EggVariable, value: str) -> None:
    """Raises Invalid, saying which rule the value breaks. May take seconds, so call it in a thread."""
    if problems := rules.check(variable.rules, value).problems:
        raise Invalid(f"{variable.name} ({variable.env_variable}) {' and '.join(problems)}.")
