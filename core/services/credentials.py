"""What people sign in to SFTP with: one password, which Aerie makes, and their SSH keys. A password is shown once and kept as a hash.

Whatever is taken away ends the sessions on the nodes too.
"""

import asyncio
import secrets
import string
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, Conflict, Invalid, LimitReached, NotFound
from core.models.user import SshKey, User
from core.seal import hash_password, password_fits
from core.services.activity import ActivityLog
from core.services.sessions import Sessions
from core.ssh_keys import read_public_key

T = TypeVar("T")

MOST_KEYS = 50
LONGEST_PASSWORD = 256  # characters that are looked at; ours have 24
_ALPHABET = string.ascii_letters + string.digits
_AT_ONCE = 2  # hashes: each takes a core and 19 MiB
_PATIENCE = 10.0  # s that somebody waits for their turn


class Credentials:
    def __init__(self, database: Database, activity: ActivityLog, sessions: Sessions, clock: Clock) -> None:
        self._database = database
        self._activity = activity
        self._sessions = sessions
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def new_password(self, actor: Actor, user: User) -> tuple[User, str]:
        """Make a password in place of any other; it cannot be read again. Of two at once the later is refused: Conflict."""
        password = "".join(secrets.choice(_ALPHABET) for _ in range(24))
        hashed = await self._hashed(password)
        try:
            row = await self._replace(user, hashed)
        except AerieError as error:
            await self._activity.refused(actor, "user:sftp-password.create", None, error)
            raise
        await self._activity.write(actor, "user:sftp-password.create")
        if user.password_hash is not None:
            await self._sessions.end(row)
        return row, password

    async def revoke_password(self, actor: Actor, user: User) -> User:
        """Nobody signs in with it any more, and who is signed in is sent away."""
        if user.password_hash is None:
            raise NotFound("You have no password for SFTP.", hint="`/account sftp` makes one.")
        row = await self._replace(user, None)
        await self._activity.write(actor, "user:sftp-password.delete")
        await self._sessions.end(row)
        return row

    async def _replace(self, user: User, hashed: str | None) -> User:
        """Only while the password is the one the caller knows of; so nobody is shown a password that another one has replaced."""
        async with self._database.begin() as session:
            known = update(User).where(User.id == user.id, User.password_version == user.password_version)
            at = self._clock.now() if hashed is not None else None
            done = await session.execute(
                known.values(password_hash=hashed, password_at=at, password_version=user.password_version + 1),
                execution_options={"synchronize_session": False},
            )
            if not done.rowcount:  # type: ignore[attr-defined]
                raise Conflict("Your password was changed a moment ago by another press.", hint="Use the newest one, or press again.")
            return await session.get_one(User, user.id)

    async def fits(self, user: User | None, password: str) -> bool:
        """Whether this is the user's password; takes as long for nobody. Raises LimitReached when too many are being looked at."""
        hashed = user.password_hash if user is not None and len(password) <= LONGEST_PASSWORD else None
        return await self._in_turn(lambda: password_fits(hashed, password[:LONGEST_PASSWORD]))

    async def _hashed(self, password: str) -> str:
        return await self._in_turn(lambda: hash_password(password))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        """Hash in a thread, few at once."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turns.acquire()
        except TimeoutError:
            raise LimitReached("Too many people are signing in at once.", hint="Try again in a minute.") from None
        try:
            return await asyncio.to_thread(work)
        finally:
            self._turns.release()

    async def keys(self, user: User) -> list[SshKey]:
        """Oldest first."""
        async with self._database.session() as session:
            return list(await session.scalars(select(SshKey).where(SshKey.user_id == user.id).order_by(SshKey.id)))

    async def add_key(self, actor: Actor, user: User, text: str, name: str = "") -> SshKey:
        """Take a public key. Raises Invalid, Conflict (they have it already), LimitReached."""
        event = "user:ssh-key.create"
        try:
            key = read_public_key(text)
            row = SshKey(
                user_id=user.id,
                name=(" ".join(name.split()) or key.comment or key.kind)[:100],
                fingerprint=key.fingerprint,
                public_key=key.line,
                created_at=self._clock.now(),
            )
            await self._insert(user, row)
        except AerieError as error:
            await self._activity.refused(actor, event, None, error)
            raise
        await self._activity.write(actor, event, metadata={"fingerprint": row.fingerprint, "name": row.name})
        return row

    async def _insert(self, user: User, row: SshKey) -> None:
        try:
            async with self._database.begin() as session:
                held = await session.scalar(select(func.count()).select_from(SshKey).where(SshKey.user_id == user.id)) or 0
                if held >= MOST_KEYS:
                    raise LimitReached(f"You have {MOST_KEYS} keys, the most one may have.", hint="Remove one first.")
                session.add(row)
        except IntegrityError as error:
            raise Conflict(f"You have this key already: SHA256:{row.fingerprint}.") from error

    async def remove_key(self, actor: Actor, user: User, wanted: str) -> SshKey:
        """Take a key back, by its number, fingerprint or name, and end its user's sessions. Raises NotFound and Invalid."""
        text = wanted.strip().removeprefix("SHA256:")
        keys = await self.keys(user)
        found = [key for key in keys if text in (str(key.id), key.fingerprint)] or [key for key in keys if key.name == text]
        if not found:
            raise NotFound("You have no such key.", hint="`/account ssh-key list` shows yours.")
        if len(found) > 1:
            raise Invalid(f"You have {len(found)} keys with this name.", hint="Name the fingerprint.")
        async with self._database.begin() as session:
            await session.execute(delete(SshKey).where(SshKey.id == found[0].id, SshKey.user_id == user.id))
        await self._activity.write(actor, "user:ssh-key.delete", metadata={"fingerprint": found[0].fingerprint, "name": found[0].name})
        await self._sessions.end(user)
        return found[0]

    async def holds(self, user: User, line: str) -> bool:
        """Whether an authorized_keys line, as a node sends it, is one of the user's keys."""
        try:
            key = read_public_key(line)
        except Invalid:
            return False
        async with self._database.session() as session:
            kept = await session.scalar(select(SshKey.public_key).where(SshKey.user_id == user.id, SshKey.fingerprint == key.fingerprint))
        return kept == key.line
