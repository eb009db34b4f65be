"""Users as administrators keep them by REST: made, changed and removed there, with or without Discord. How people sign in is not
decided here."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, NotFound
from core.models.server import Server
from core.models.user import User
from core.services.activity import ActivityLog
from core.services.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Person:
    """What an administrator writes down of a user."""

    email: str
    username: str
    first_name: str
    last_name: str
    external_id: str | None = None
    root_admin: bool = False
    language: str = "en"

    @property
    def columns(self) -> Mapping[str, object]:
        return {
            "email": self.email,
            "username": self.username.lower(),
            "first_name": self.first_name,
            "last_name": self.last_name,
            "external_id": self.external_id,
            "root_admin": self.root_admin,
            "language": self.language,
        }


class People:
    def __init__(self, database: Database, activity: ActivityLog, sessions: Sessions, clock: Clock) -> None:
        self._database = database
        self._activity = activity
        self._sessions = sessions
        self._clock = clock

    async def create(self, actor: Actor, person: Person) -> User:
        """Raises Conflict when name, address or external id belongs to somebody."""
        now = self._clock.now()
        name = f"{person.first_name} {person.last_name}".strip()[:191]
        row = User(name=name, created_at=now, updated_at=now, **person.columns)
        try:
            async with self._database.begin() as session:
                await self._refuse_twins(person, None)
                session.add(row)
        except IntegrityError as error:
            raise _taken() from error
        await self._activity.write(actor, "admin:user.create", metadata={"user": row.uuid, "username": row.username})
        return row

    async def update(self, actor: Actor, user_id: int, person: Person) -> User:
        """Whoever administers Aerie no longer is signed out everywhere. Raises NotFound and Conflict."""
        await self._refuse_twins(person, user_id)
        try:
            async with self._database.begin() as session:
                row = await session.get(User, user_id)
                if row is None:
                    raise NotFound("There is no such user.")
                lessened = row.root_admin and not person.root_admin
                for name, value in person.columns.items():
                    setattr(row, name, value)
                if row.discord_id is None:
                    row.name = f"{person.first_name} {person.last_name}".strip()[:191]
                row.updated_at = self._clock.now()
        except IntegrityError as error:
            raise _taken() from error
        if lessened:
            await self._sessions.end(row)
        await self._activity.write(actor, "admin:user.update", metadata={"user": row.uuid, "username": row.username})
        return row

    async def delete(self, actor: Actor, user_id: int) -> None:
        """Their sessions end. Raises NotFound, and Conflict while they own servers."""
        async with self._database.begin() as session:
            row = await session.get(User, user_id)
            if row is None:
                raise NotFound("There is no such user.")
            if await session.scalar(select(func.count()).select_from(Server).where(Server.owner_id == user_id)):
                raise Conflict("This user still owns servers.", hint="Give the servers to somebody else, or delete them first.")
            await session.execute(delete(User).where(User.id == user_id))
        await self._sessions.end(row)
        await self._activity.write(actor, "admin:user.delete", metadata={"user": row.uuid, "username": row.username})

    async def _refuse_twins(self, person: Person, own_id: int | None) -> None:
        same = or_(User.username == person.username.lower(), func.lower(User.email) == person.email.lower())
        async with self._database.session() as session:
            if await session.scalar(select(User.id).where(same, User.id != (own_id or -1)).limit(1)) is not None:
                raise _taken()


def _taken() -> Conflict:
    return Conflict("This user name, address or external id belongs to another user.", hint="Choose another.")
