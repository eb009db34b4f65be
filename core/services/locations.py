"""Locations: where nodes stand, under a short code that nodes and games are told."""

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, NotFound
from core.models.node import Location, Node
from core.services.activity import ActivityLog


class Locations:
    def __init__(self, database: Database, activity: ActivityLog, clock: Clock) -> None:
        self._database = database
        self._activity = activity
        self._clock = clock

    async def create(self, actor: Actor, short: str, long: str = "") -> Location:
        """Raises Conflict when the short code is taken."""
        row = Location(short=short, long=long, created_at=self._clock.now())
        try:
            async with self._database.begin() as session:
                session.add(row)
        except IntegrityError as error:
            raise Conflict(f"There is already a location {short}.", hint="Choose another short code.") from error
        await self._activity.write(actor, "admin:location.create", metadata={"short": short})
        return row

    async def update(self, actor: Actor, location_id: int, short: str, long: str) -> Location:
        """Rename a location; its nodes keep belonging to it. Raises NotFound and Conflict."""
        try:
            async with self._database.begin() as session:
                row = await session.get(Location, location_id)
                if row is None:
                    raise NotFound("There is no such location.")
                await session.execute(update(Node).where(Node.location == row.short).values(location=short))
                row.short, row.long = short, long
        except IntegrityError as error:
            raise Conflict(f"There is already a location {short}.", hint="Choose another short code.") from error
        await self._activity.write(actor, "admin:location.update", metadata={"short": short})
        return row

    async def delete(self, actor: Actor, location_id: int) -> None:
        """Raises NotFound, and Conflict while nodes stand there."""
        async with self._database.begin() as session:
            row = await session.get(Location, location_id)
            if row is None:
                raise NotFound("There is no such location.")
            if await session.scalar(select(func.count()).select_from(Node).where(Node.location == row.short)):
                raise Conflict("This location still has nodes.", hint="Move them elsewhere, or delete them first.")
            await session.execute(delete(Location).where(Location.id == location_id))
        await self._activity.write(actor, "admin:location.delete", metadata={"short": row.short})
