"""Users: who has a name of their own in Aerie. A Discord member gets one when something must be kept of them: a password, a key.

A username is safe in Wings' sign-in form `username.shortid`, unique, and never changed by us, whatever people call themselves later.
"""

import re
import unicodedata

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Conflict, Forbidden, Invalid, NotFound
from core.models.user import User

LONGEST = 32  # characters of a username we make
_TRIES = 20
_USERNAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


class Users:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def of(self, actor: Actor, login: str = "") -> User:
        """The user behind an actor, made when a Discord member has none yet; `login` is their name with Discord, for a new username.

        Raises Forbidden for actors that are no people.
        """
        if actor.discord_id is None:
            if actor.user_id is not None:
                return await self.get(actor.user_id)
            raise Forbidden("Only a person has an account.")
        known = await self.by_discord(actor.discord_id)
        if known is None:
            return await self.create(name=actor.name, login=login or actor.name, discord_id=actor.discord_id)
        if known.name != actor.name[:191]:
            async with self._database.begin() as session:
                row = await session.get_one(User, known.id)
                row.name = actor.name[:191]
            return row
        return known

    async def create(
        self,
        *,
        name: str,
        login: str = "",
        username: str = "",
        email: str | None = None,
        discord_id: int | None = None,
        root_admin: bool = False,
        uuid: str | None = None,
    ) -> User:
        """Make a user. A given `username` is taken as it is or refused; else one is made of `login`. Two makers at once get one row.

        Raises Invalid and Conflict.
        """
        if username and not _USERNAME.fullmatch(username):
            raise Invalid(
                "A username has 1 to 64 lower-case letters, digits, dots, `_` and `-`.", hint="Begin and end it with a letter or a digit."
            )
        for attempt in range(_TRIES):
            row = User(
                name=name[:191] or username,
                username=username or await self._free(login or name, attempt),
                email=email,
                discord_id=discord_id,
                root_admin=root_admin,
                password_version=0,
                created_at=self._clock.now(),
            )
            if uuid is not None:
                row.uuid = uuid
            try:
                async with self._database.begin() as session:
                    session.add(row)
                return row
            except IntegrityError as error:
                if discord_id is not None and (twin := await self.by_discord(discord_id)) is not None:
                    return twin
                if username or uuid is not None:
                    raise Conflict("There is already a user with this name or uuid.", hint="Choose another one.") from error
        raise Conflict("No free username was found.", hint="Try again.")

    async def _free(self, wanted: str, attempt: int) -> str:
        """A username nobody has yet: the wanted one, else with a number."""
        stem = username_of(wanted)
        async with self._database.session() as session:
            taken = set(await session.scalars(select(User.username).where(User.username.startswith(stem, autoescape=True))))
        if stem not in taken and not attempt:
            return stem
        number = 2 + attempt
        while f"{stem}-{number}" in taken:
            number += 1
        return f"{stem}-{number}"

    async def get(self, user_id: int) -> User:
        """Raises NotFound."""
        async with self._database.session() as session:
            row = await session.get(User, user_id)
        if row is None:
            raise NotFound("There is no such user.")
        return row

    async def by_discord(self, discord_id: int) -> User | None:
        async with self._database.session() as session:
            return await session.scalar(select(User).where(User.discord_id == discord_id))

    async def by_username(self, username: str) -> User | None:
        """Case does not count. What cannot be a username is nobody's, whatever a database takes for equal (MariaDB: `ada` and `ada `)."""
        if not _USERNAME.fullmatch(username.lower()):
            return None
        async with self._database.session() as session:
            return await session.scalar(select(User).where(User.username == username.lower()))

    async def by_uuid(self, uuid: str) -> User | None:
        async with self._database.session() as session:
            return await session.scalar(select(User).where(User.uuid == uuid))


def username_of(name: str) -> str:
    """A username made of any text: accents taken off, everything but letters and digits to `-`, at most 32 characters, else `user`."""
    flat = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9_]+", "-", flat).strip("-_")[:LONGEST].strip("-_")
    return made or "user"
