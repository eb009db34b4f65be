"""Signing in to SFTP, as a node asks for it: who it is, which server, what they may do there. The panel's answers and status codes.

Wrong passwords are counted per household and per name, in the backplane: a household is refused after so many, so that others may still
use the name; a name that many households try is only slowed. Keys are not counted: clients offer several. Must never tell whether a name
exists.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import or_

from core.actor import Actor
from core.addresses import household
from core.backplane.backplane import Backplane
from core.backplane.memory import MemoryBackplane
from core.bot_settings import AccountsSection
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, BadRequest, Conflict, Forbidden, LimitReached, MissingPermission, ServerBusy, ServerSuspended
from core.events import SignInsRefused
from core.models.node import Node
from core.models.server import Server, whole_servers
from core.models.user import User
from core.permissions import FILE_SFTP, allows, meaning
from core.protocol.remote import SftpAuth, SftpGrant
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.credentials import Credentials
from core.services.live import LiveBoard
from core.services.users import Users
from core.vocabulary import ActorKind, Outcome, ServerStatus

log = logging.getLogger(__name__)

WINDOW = 600.0  # s in which wrong passwords are counted
NAME_FACTOR = 2  # a name is slowed after so many times the wrong passwords that a household may send
SLOWED = 2.0  # s that a try for such a name waits
_WAITING = 32  # tries that may wait at once; more are refused

_REF = re.compile(r"[0-9a-f]{8}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_EVENT = "auth:sftp.sign-in"


@dataclass(frozen=True, slots=True)
class _Try:
    node: Node
    username: str
    ip: str

    @property
    def home(self) -> str:
        return household(self.ip)


class SignIns:
    def __init__(
        self,
        database: Database,
        users: Users,
        credentials: Credentials,
        access: Access,
        activity: ActivityLog,
        backplane: Backplane,
        live: LiveBoard,
        clock: Clock,
        accounts: AccountsSection,
    ) -> None:
        self._database = database
        self._users = users
        self._credentials = credentials
        self._access = access
        self._activity = activity
        self._backplane = backplane
        self._alone = MemoryBackplane(clock)
        self._live = live
        self._clock = clock
        self._most = accounts.wrong_passwords
        self._slow = 0
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}

    async def sftp(self, node: Node, asked: SftpAuth) -> SftpGrant:
        """Let somebody in to one server of this node.

        Raises BadRequest (no server in the name), LimitReached (429), Forbidden (403) and, for servers in no state for it, Conflict (409).
        """
        name, dot, ref = asked.username.rpartition(".")
        if not dot or not name:
            raise BadRequest("To sign in, give a username, a dot and the server's short id.", hint="`/account sftp` shows it.")
        this = _Try(node, asked.username[:191], address_of(asked.ip))
        async with self._one_at_a_time(this.home):
            return await self._sign_in(this, name, ref.lower(), asked)

    async def _sign_in(self, this: _Try, name: str, ref: str, asked: SftpAuth) -> SftpGrant:
        if asked.type == "password":
            await self._admit(this)
        user = await self._users.by_username(name) if len(name) <= 64 else None
        server = await self._server(this.node, ref)
        if not await self._proven(this, user, server, asked):
            raise Forbidden("The name, the password or the key is wrong.")
        if user is None or server is None:
            raise Forbidden("The name, the password or the key is wrong.")
        return await self._grant(this, user, server)

    @asynccontextmanager
    async def _one_at_a_time(self, home: str) -> AsyncIterator[None]:
        """A household's tries follow each other, so that none is looked at before those before it are counted."""
        turn, waiting = self._turns.get(home, (asyncio.Lock(), 0))
        if waiting >= _WAITING:
            raise LimitReached("Too many sign-ins come from one household at once.", hint="Try again in a minute.")
        self._turns[home] = (turn, waiting + 1)
        try:
            async with turn:
                yield
        finally:
            _, waiting = self._turns[home]
            if waiting > 1:
                self._turns[home] = (turn, waiting - 1)
            else:
                del self._turns[home]

    async def _server(self, node: Node, ref: str) -> Server | None:
        if not _REF.fullmatch(ref):
            return None
        async with self._database.session() as session:
            wanted = whole_servers().where(Server.node_id == node.id, or_(Server.short == ref, Server.uuid == ref))
            return await session.scalar(wanted)

    async def _proven(self, this: _Try, user: User | None, server: Server | None, asked: SftpAuth) -> bool:
        if asked.type == "public_key":
            return user is not None and await self._credentials.holds(user, asked.password)
        if await self._credentials.fits(user, asked.password):
            return True
        await self._wrong(this, user, server)
        return False

    async def _grant(self, this: _Try, user: User, server: Server) -> SftpGrant:
        actor = Actor(ActorKind.USER, user.name, discord_id=user.discord_id, guild_id=server.guild_id, user_id=user.id, origin=this.ip)
        held = await self._access.permissions_of(user, server)
        error: AerieError | None = _obstacle(server)
        if not allows(held, FILE_SFTP):
            error = MissingPermission(FILE_SFTP, meaning(FILE_SFTP, server.name), grantors="The guild's owner")
        if error is not None:
            await self._activity.refused(actor, _EVENT, server, error)
            raise error
        await self._activity.write(actor, _EVENT, server)
        return SftpGrant(user=user.uuid, server=server.uuid, permissions=sorted(held))

    async def _admit(self, this: _Try) -> None:
        """Refuse a household that has used up its tries; let a try for a name that many try wait."""
        if await self._count(f"sftp:home:{this.home}") >= self._most:
            raise LimitReached(
                f"Too many wrong passwords came from {this.home}.", hint=f"Tries are read again after {WINDOW / 60:.0f} minutes."
            )
        if await self._count(f"sftp:name:{this.username.lower()}") < self._most * NAME_FACTOR:
            return
        if self._slow >= _WAITING:
            raise LimitReached("Too many passwords are being tried for this name.", hint="Try again in a minute, or use an SSH key.")
        self._slow += 1
        try:
            await self._clock.sleep(SLOWED)
        finally:
            self._slow -= 1

    async def _wrong(self, this: _Try, user: User | None, server: Server | None) -> None:
        """Count a wrong password, write it down for a user there is, and tell once when it becomes too many."""
        home = await self._increment(f"sftp:home:{this.home}")
        name = await self._increment(f"sftp:name:{this.username.lower()}")
        if user is not None:
            guild_id = server.guild_id if server is not None else None
            actor = Actor(ActorKind.USER, user.name, discord_id=user.discord_id, guild_id=guild_id, user_id=user.id, origin=this.ip)
            details = {"username": this.username}
            await self._activity.write(actor, "auth:sftp.fail", server, Outcome.REFUSED, details, reason="The password is wrong.")
        if home == self._most or name == self._most * NAME_FACTOR:
            log.warning("%d wrong passwords for SFTP on node %s, the last from %s", max(home, name), this.node.name, this.home)
            await self._live.publish(
                SignInsRefused(
                    node_id=this.node.id,
                    node_name=this.node.name,
                    username=this.username,
                    household=this.home,
                    tries=max(home, name),
                    at=self._clock.now(),
                )
            )

    async def _count(self, name: str) -> int:
        """What all processes counted, and what this one counted while the backplane was away."""
        alone = await self._alone.count(name)
        try:
            return max(alone, await self._backplane.count(name))
        except AerieError as error:
            log.warning("wrong passwords are counted in this process alone: %s", error)
            return alone

    async def _increment(self, name: str) -> int:
        try:
            return await self._backplane.increment(name, WINDOW)
        except AerieError:
            return await self._alone.increment(name, WINDOW)


def address_of(text: str) -> str:
    """The address without its port: `203.0.113.9:51812`, `[2001:db8::1]:51812`, or neither; at most 45 characters of it."""
    if text.startswith("["):
        return text[1:].partition("]")[0][:45]
    host, colon, port = text.rpartition(":")
    return (host if colon and port.isdigit() and ":" not in host else text)[:45]


def _obstacle(server: Server) -> Conflict | None:
    """Why nobody may touch the server's files now."""
    if server.node.maintenance:
        return ServerBusy(f"The node of {server.name} is in maintenance.", hint="Try again when it is over.")
    if server.status is None:
        return None
    if server.status == ServerStatus.SUSPENDED:
        return ServerSuspended(f"{server.name} is suspended.", hint="An administrator of Aerie can lift it.")
    return ServerBusy(f"{server.name} is in no state for this: {server.status.replace('_', ' ')}.", hint="Try again when it is ready.")
