"""Ending people's sessions on nodes when a password, a key, a grant or a role is taken from them.

What is to be told is a row first, so that a node that is away hears it when it is back, and a restart forgets nothing. Telling twice does
no harm: a session that was ended too much is signed in again.
"""

import asyncio
import logging
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import selectinload

from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, NodeError, NotFound
from core.models.server import Server
from core.models.user import Farewell, User
from core.services.nodes import Nodes
from core.tokens import socket_jti

log = logging.getLogger(__name__)

TRY_EVERY = 15.0  # s


class Sessions:
    def __init__(self, database: Database, nodes: Nodes, clock: Clock) -> None:
        self._database = database
        self._nodes = nodes
        self._clock = clock
        self._woken = asyncio.Event()

    async def end(self, user: User, *, guild_id: int | None = None, server_id: int | None = None) -> int:
        """End this user's sessions on one server, on all of a guild's, or everywhere. Returns how many nodes are to be told."""
        wanted = select(Server.node_id, Server.uuid)
        if server_id is not None:
            wanted = wanted.where(Server.id == server_id)
        elif guild_id is not None:
            wanted = wanted.where(Server.guild_id == guild_id)
        async with self._database.begin() as session:
            homes: dict[int, list[str]] = {}
            for node_id, uuid in await session.execute(wanted):
                homes.setdefault(node_id, []).append(uuid)
            session.add_all(
                Farewell(node_id=node_id, user_id=user.id, user_uuid=user.uuid, servers=uuids, created_at=self._clock.now())
                for node_id, uuids in homes.items()
            )
        self._woken.set()
        return len(homes)

    async def end_of(self, discord_ids: Iterable[int], *, guild_id: int, server_id: int | None = None) -> None:
        """The same for Discord members; those without an account have no sessions."""
        async with self._database.session() as session:
            users = list(await session.scalars(select(User).where(User.discord_id.in_(list(discord_ids)))))
        for user in users:
            await self.end(user, guild_id=guild_id, server_id=server_id)

    async def run(self) -> None:
        """Worker: tell the nodes what they are still to be told, for ever."""
        while True:
            self._woken.clear()
            await self.deliver()
            try:
                async with asyncio.timeout(TRY_EVERY):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def deliver(self) -> int:
        """Tell every node that answers; returns how many messages are left. One node that is away holds up no other."""
        async with self._database.session() as session:
            rows = list(await session.scalars(select(Farewell).options(selectinload(Farewell.node)).order_by(Farewell.id).limit(1000)))
        nodes: dict[int, list[Farewell]] = {}
        for row in rows:
            nodes.setdefault(row.node_id, []).append(row)
        left = await asyncio.gather(*(self._tell(told) for told in nodes.values()))
        return sum(left)

    async def _tell(self, rows: list[Farewell]) -> int:
        """All that one node is to hear, in order, until it does not answer."""
        client, failed = self._nodes.client(rows[0].node), 0
        for number, row in enumerate(rows):
            try:
                await self._deauthorize(row)
            except NodeError as error:
                log.warning("node %s could not end the sessions of user %s: %s", client.address.name, row.user_uuid, error.message)
                failed += 1
                continue
            except AerieError as error:
                log.info("node %s is told later that user %s must go: %s", client.address.name, row.user_uuid, error.message)
                return failed + len(rows) - number
            async with self._database.begin() as session:
                await session.execute(delete(Farewell).where(Farewell.id == row.id))
        return failed

    async def _deauthorize(self, row: Farewell) -> None:
        """Wings before 1.12 cannot end sessions of SFTP; its sockets are closed by their tokens' ids."""
        client = self._nodes.client(row.node)
        try:
            await client.deauthorize(row.user_uuid, row.servers)
        except NotFound:
            for uuid in row.servers:
                try:
                    await client.deny(uuid, [socket_jti(str(row.user_id), uuid), socket_jti(row.user_uuid, uuid)])
                except NotFound:
                    continue  # the node does not have this server (any more): nothing is open there
