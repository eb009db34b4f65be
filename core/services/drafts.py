"""Servers in the making: what was asked for, question by question, until it is a server or given up; kept so that a restart loses nothing.

One draft becomes one server, however often and by how many it is finished. Its row then tells which message follows the installation.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from pydantic import BaseModel, Field
from sqlalchemy import delete, select, update

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, Invalid, NotFound
from core.models.draft import Draft
from core.models.egg import Egg
from core.models.server import Server
from core.permissions import ALL
from core.services.access import Access
from core.services.eggs import Eggs
from core.services.placement import Placement
from core.services.servers import Extras, Limits, Servers
from core.services.variables import Question, faults, questions

KEPT = timedelta(days=1)
BACKUPS = 5
"""What a server made from Discord may have at once."""
MOST_OPEN = 50
"""Drafts of one guild that nobody finished."""


class Order(BaseModel):
    """What was asked for. Memory MB, disk MiB, cpu percent of one thread; 0 is unlimited. `node_id` None is automatic."""

    egg_id: int = 0
    name: str = ""
    node_id: int | None = None
    memory: int = 0
    disk: int = 0
    cpu: int = 0
    image: str | None = None
    port: int | None = None
    skip_scripts: bool = False
    answers: dict[str, str] = Field(default_factory=dict)
    reinstall: bool = False


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft with all that people are shown of it. `wrong` holds a sentence for each variable without a good value."""

    row: Draft
    order: Order
    egg: Egg
    questions: list[Question]
    wrong: dict[str, str]
    place: str
    """Name of the node it would go to now."""

    @property
    def code(self) -> str:
        return self.row.code


class Drafts:
    def __init__(self, database: Database, access: Access, eggs: Eggs, placement: Placement, servers: Servers, clock: Clock) -> None:
        self._database = database
        self._access = access
        self._eggs = eggs
        self._placement = placement
        self._servers = servers
        self._clock = clock

    async def begin(self, actor: Actor, egg_ref: str | int, order: Order, *, node_ref: str | int | None = None) -> Drafted:
        """Begin a server. What could not work is refused now: a taken name, an egg or image nobody has, no room on any node."""
        await self._access.require_in_guild(actor, ALL, event="server:create")
        if actor.guild_id is None or actor.discord_id is None:
            raise Invalid("Servers are made in a community on Discord.")
        egg = await self._eggs.find(egg_ref)
        await self._servers.name_is_free(actor.guild_id, order.name)
        if order.image is not None and order.image not in egg.docker_images.values():
            raise Invalid(f"The egg {egg.name} has no such image.", hint="Choose one of the suggestions.")
        room = await self._placement.choose(order.memory, order.disk, node_ref)
        order = order.model_copy(update={"egg_id": egg.id, "node_id": room.node.id if node_ref is not None else None})
        row = Draft(
            code=secrets.token_hex(4),
            guild_id=actor.guild_id,
            user_id=actor.discord_id,
            order=order.model_dump(),
            created_at=self._clock.now(),
        )
        async with self._database.begin() as session:
            await session.execute(delete(Draft).where(Draft.server_uuid.is_(None), Draft.created_at < self._clock.now() - KEPT))
            open_ones = await session.scalars(select(Draft.id).where(Draft.guild_id == actor.guild_id, Draft.server_uuid.is_(None)))
            if len(list(open_ones)) >= MOST_OPEN:
                raise Conflict("Too many servers are in the making here.", hint="Cancel some of them first.")
            session.add(row)
        return await self._whole(row, egg, room.node.name)

    async def placed(self, code: str, channel_id: int, message_id: int) -> None:
        """Remember which message shows a draft."""
        async with self._database.begin() as session:
            await session.execute(update(Draft).where(Draft.code == code).values(channel_id=channel_id, message_id=message_id))

    async def get(self, actor: Actor, code: str) -> Drafted:
        """A draft of the actor's guild. Raises NotFound when it was finished, cancelled or forgotten, and MissingPermission."""
        row = await self._row(actor, code)
        order = Order.model_validate(row.order)
        egg = await self._eggs.get(order.egg_id)
        return await self._whole(row, egg, "")

    async def answer(self, actor: Actor, code: str, answers: Mapping[str, str]) -> Drafted:
        """Put answers in; they are kept even when they are wrong, so that nobody types them twice. Raises Invalid for what nobody asked."""
        before = await self.get(actor, code)
        if strange := sorted(answers.keys() - {question.env for question in before.questions}):
            raise Invalid(f"The egg {before.egg.name} does not ask for {strange[0][:60]}.", hint="Open the form again.")
        async with self._database.begin() as session:
            row = await session.scalar(select(Draft).where(Draft.id == before.row.id, Draft.server_uuid.is_(None)).with_for_update())
            if row is None:
                raise _gone()
            order = Order.model_validate(row.order)
            order.answers.update(answers)
            row.order = order.model_dump()
        return await self._whole(row, before.egg, "")

    async def cancel(self, actor: Actor, code: str) -> None:
        """Forget a draft that is no server yet. Raises NotFound otherwise."""
        row = await self._row(actor, code)
        async with self._database.begin() as session:
            gone = await session.execute(delete(Draft).where(Draft.id == row.id, Draft.server_uuid.is_(None)))
        if not gone.rowcount:  # type: ignore[attr-defined]
            raise _gone()

    async def finish(self, actor: Actor, code: str) -> Server:
        """Make the server. Of several presses one wins, the others find the draft gone. On failure the draft is as before."""
        draft = await self.get(actor, code)
        if draft.wrong:
            raise Invalid(next(iter(draft.wrong.values())), hint="Fill in the variables first.")
        order, uuid = draft.order, str(uuid4())
        room = await self._placement.choose(order.memory, order.disk, order.node_id)
        async with self._database.begin() as session:
            mine = update(Draft).where(Draft.id == draft.row.id, Draft.server_uuid.is_(None)).values(server_uuid=uuid)
            claimed = await session.execute(mine)
        if not claimed.rowcount:  # type: ignore[attr-defined]
            raise _gone()
        try:
            return await self._servers.create(
                actor,
                name=order.name,
                egg_id=order.egg_id,
                node_id=room.node.id,
                port=order.port,
                guild_id=draft.row.guild_id,
                limits=Limits(memory=order.memory, disk=order.disk, cpu=order.cpu),
                variables=order.answers,
                image=order.image,
                extras=Extras(skip_scripts=order.skip_scripts, backups=BACKUPS),
                uuid=uuid,
            )
        except BaseException:
            async with self._database.begin() as session:
                await session.execute(update(Draft).where(Draft.id == draft.row.id).values(server_uuid=None))
            raise

    async def follow(self, server: Server, user_id: int, channel_id: int, message_id: int, *, reinstall: bool) -> Draft:
        """Have a message follow a server's installation; it follows nothing else from now on. Asks nobody: what began it was asked for."""
        if server.guild_id is None:
            raise Invalid("This server belongs to no community.")
        row = Draft(
            code=secrets.token_hex(4),
            guild_id=server.guild_id,
            user_id=user_id,
            channel_id=channel_id,
            message_id=message_id,
            server_uuid=server.uuid,
            order=Order(name=server.name, egg_id=server.egg_id, reinstall=reinstall).model_dump(),
            created_at=self._clock.now(),
        )
        async with self._database.begin() as session:
            await session.execute(delete(Draft).where(Draft.message_id == message_id))
            session.add(row)
        return row

    async def followed(self) -> list[Draft]:
        """Drafts whose server is being installed: for Aerie's own worker."""
        async with self._database.session() as session:
            return list(await session.scalars(select(Draft).where(Draft.server_uuid.is_not(None)).order_by(Draft.id)))

    async def told(self, draft_id: int) -> None:
        """Its message has told the end; nothing more is to be remembered."""
        async with self._database.begin() as session:
            await session.execute(delete(Draft).where(Draft.id == draft_id))

    async def _row(self, actor: Actor, code: str) -> Draft:
        await self._access.require_in_guild(actor, ALL, event="server:create")
        async with self._database.session() as session:
            row = await session.scalar(select(Draft).where(Draft.code == code, Draft.guild_id == (actor.guild_id or -1)))
        if row is None or row.server_uuid is not None:
            raise _gone()
        return row

    async def _whole(self, row: Draft, egg: Egg, place: str) -> Drafted:
        order = Order.model_validate(row.order)
        return Drafted(row, order, egg, await questions(egg), await faults(egg, order.answers), place)


def _gone() -> NotFound:
    return NotFound(
        "This server is no longer in the making.", hint="It was made, cancelled or is too old; `/server create` begins another."
    )
