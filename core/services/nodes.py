"""Nodes: machines that run servers. The only place that seals and opens their secrets.

Methods with an actor ask whether they may; `create` and `move` are Aerie's own.
"""

import asyncio
import logging
import re
from dataclasses import replace
from urllib.parse import urlsplit

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, BadRequest, Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from core.log import hide
from core.models.node import Location, Node
from core.models.server import Server
from core.protocol.agent import NodeUpdate
from core.rpc.client import NodeAddress, NodeClient
from core.rpc.pool import NodePool
from core.seal import Seal
from core.services.access import Access
from core.services.activity import ActivityLog
from core.tokens import NodeToken, new_node_token, same

log = logging.getLogger(__name__)

TELL_WITHIN = 5.0  # s
SFTP_PORT = 2022
"""Where an agent's SFTP server listens unless its settings say otherwise."""


class Nodes:
    def __init__(
        self, database: Database, access: Access, activity: ActivityLog, pool: NodePool, clock: Clock, seal: Seal, origin: str = ""
    ) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._pool = pool
        self._clock = clock
        self._seal = seal
        self.origin = origin
        """The control plane's own public address, as agents know it (`remote.url`); sockets name it as their Origin."""
        self.sftp_host = ""
        """Name for SFTP of nodes without one of their own; the setting `accounts.sftp_host`."""

    async def make(
        self, actor: Actor, name: str, url: str, *, location: str = "local", memory: int = 0, disk: int = 0, sftp: str = ""
    ) -> tuple[Node, NodeToken]:
        """Make a node for somebody who may; see `create`, and `reach` for `sftp`. Raises MissingPermission too."""
        await self._access.require_builder(actor, event="node:create")
        port, host = _sftp(sftp)
        made = await self.create(name, url, location=location, memory=memory, disk=disk, sftp_port=port, sftp_host=host)
        await self._activity.write(actor, "node:create", metadata={"node": made[0].name})
        return made

    async def create(
        self,
        name: str,
        url: str,
        token: NodeToken | None = None,
        *,
        location: str = "local",
        memory: int = 0,
        disk: int = 0,
        sftp_port: int = SFTP_PORT,
        sftp_host: str | None = None,
    ) -> tuple[Node, NodeToken]:
        """Make a node and its token, which cannot be read again by people. Memory MB, disk MiB, see Node. Raises Invalid and Conflict."""
        if memory < 0 or disk < 0:
            raise Invalid("A node cannot give less than nothing.")
        if not re.fullmatch(r"[\w.\-]{1,60}", location, re.ASCII):
            raise Invalid("A node's location is a short code of letters, digits, dots and dashes.")
        token = token or new_node_token()
        row = Node(
            name=_name(name),
            url=_address(url),
            location=location,
            memory=memory,
            disk=disk,
            sftp_port=sftp_port,
            sftp_host=sftp_host,
            token_id=token.id,
            token_sealed=self._seal.close(token.secret),
            created_at=self._clock.now(),
        )
        try:
            async with self._database.begin() as session:
                if await session.scalar(select(Location.id).where(Location.short == location)) is None:
                    session.add(Location(short=location, long="", created_at=self._clock.now()))
                session.add(row)
        except IntegrityError as error:
            raise Conflict(f"There is already a node called {name}, or one with this token.", hint="Choose another name.") from error
        hide(token.secret)
        return row, token

    async def remove(self, actor: Actor, ref: str | int) -> Node:
        """Forget a node that has no servers, its ports included. Raises Conflict, NotFound and MissingPermission."""
        await self._access.require_builder(actor, event="node:delete")
        row = await self.find(ref)
        try:
            async with self._database.begin() as session:
                count = await session.scalar(select(func.count()).select_from(Server).where(Server.node_id == row.id)) or 0
                if count:
                    raise Conflict(
                        f"The node {row.name} cannot be deleted: it has {count} server{'' if count == 1 else 's'}.",
                        hint="Delete them first.",
                    )
                await session.execute(delete(Node).where(Node.id == row.id))
        except IntegrityError as error:
            raise Conflict(f"A server was made on the node {row.name} at the same moment.", hint="Delete it first.") from error
        await self._activity.write(actor, "node:delete", metadata={"node": row.name})
        return row

    async def move(self, node_id: int, url: str) -> Node:
        """Give a node another address."""
        async with self._database.begin() as session:
            row = await session.get(Node, node_id)
            if row is None:
                raise NotFound("There is no such node.")
            row.url = _address(url)
        return row

    async def reach(self, actor: Actor, ref: str | int, sftp: str) -> Node:
        """Say where people's SFTP clients find a node: `host:port`, one of both, or empty for its agent's host and 2022.

        Raises Invalid, NotFound and MissingPermission.
        """
        await self._access.require_builder(actor, event="node:sftp")
        port, host = _sftp(sftp)
        row = await self.sftp_at((await self.find(ref)).id, port, host)
        await self._activity.write(actor, "node:sftp", metadata={"node": row.name})
        return row

    async def sftp_at(self, node_id: int, port: int, host: str | None = None) -> Node:
        """Say where people's SFTP clients find a node; without `host`, where its agent is."""
        if not 1 <= port <= 65535:
            raise Invalid("A port must be from 1 to 65535.")
        async with self._database.begin() as session:
            row = await session.get(Node, node_id)
            if row is None:
                raise NotFound("There is no such node.")
            row.sftp_port, row.sftp_host = port, host
        return row

    def sftp(self, node: Node) -> tuple[str, int]:
        """Host and port that people's SFTP clients use."""
        return node.sftp_host or self.sftp_host or urlsplit(node.url).hostname or node.name, node.sftp_port

    async def renew(self, node_id: int) -> Node:
        """Give a node a new token; the old one opens nothing from now on, and its daemon must be told. Raises NotFound."""
        token = new_node_token()
        async with self._database.begin() as session:
            row = await session.get(Node, node_id)
            if row is None:
                raise NotFound("There is no such node.")
            row.token_id, row.token_sealed = token.id, self._seal.close(token.secret)
        hide(token.secret)
        return row

    async def all(self) -> list[Node]:
        async with self._database.session() as session:
            return list(await session.scalars(select(Node).order_by(Node.name)))

    async def find(self, ref: str | int) -> Node:
        """By id or name. Raises NotFound, naming the nodes there are."""
        rows = await self.all()
        text = str(ref).strip()
        found = [row for row in rows if not isinstance(ref, int) and row.name.lower() == text.lower()]
        found = found or [row for row in rows if str(row.id) == text]
        if not found:
            names = ", ".join(row.name for row in rows[:8]) or "none yet"
            raise NotFound("There is no such node.", hint=f"There are: {names}.")
        return found[0]

    async def by_name(self, name: str) -> Node:
        """Raises NotFound."""
        async with self._database.session() as session:
            row = await session.scalar(select(Node).where(Node.name == name))
        if row is None:
            raise NotFound(f"There is no node called {name}.")
        return row

    async def addresses(self) -> list[NodeAddress]:
        """Every node with its opened token. Raises NotConfigured when the key is not the one they were sealed with."""
        return [self.address(row) for row in await self.all()]

    def address(self, node: Node) -> NodeAddress:
        secret = self._seal.open(node.token_sealed)
        hide(secret)
        return NodeAddress(node.id, node.name, node.url, NodeToken(node.token_id, secret), self.origin)

    def client(self, node: Node) -> NodeClient:
        """The hand on this node."""
        return self._pool.client(self.address(node))

    async def tell(self, known: NodeAddress, row: Node, configuration: NodeUpdate) -> str:
        """Hand a node its changed configuration, let in by the token that it was `known` with. Answers why it does not use it, or nothing.

        Best effort, within a few seconds: a node that is away must be given its configuration by hand. Raises nothing of the node's.
        """
        try:
            async with asyncio.timeout(TELL_WITHIN):
                applied = await self._pool.client(replace(known, name=row.name, url=row.url)).update(configuration)
            trouble = "" if applied else f"The node {row.name} keeps the settings of its own file."
        except TimeoutError:
            trouble = f"The node {row.name} did not answer in time."
        except AerieError as error:
            trouble = error.message
        if trouble:
            log.warning("%s It must be given its changed configuration by hand.", trouble)
        return trouble

    async def authenticate(self, bearer: str | None) -> Node:
        """The node behind an `id.token` bearer. Raises Unauthenticated (none), BadRequest (not of that shape), Forbidden (wrong)."""
        if not bearer:
            raise Unauthenticated("This address is for nodes; it needs their token.")
        parts = bearer.split(".")
        if len(parts) != 2 or not all(parts):
            raise BadRequest("The token must be an id and a secret with one dot between them.", hint="Copy both from the node's settings.")
        async with self._database.session() as session:
            row = await session.scalar(select(Node).where(Node.token_id == parts[0]))
        known = self._seal.open(row.token_sealed) if row else "0" * 64
        if not same(known, parts[1]) or row is None:
            raise Forbidden("No node has this token.", hint="Give the agent the token its node was made with.")
        return row


def _name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise Invalid("A node's name must have 1 to 100 printable characters.")
    return name


def _sftp(text: str) -> tuple[int, str | None]:
    """Port and host of `host:port`, `host`, `port`, `[v6]:port`; without a host, where the agent is."""
    text = text.strip()
    if text.isdecimal():
        text = f":{text}"
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, SFTP_PORT if parts.port is None else parts.port
    except ValueError:
        host, port = None, 0
    good = port > 0 and len(host or "") <= 255 and text.isascii() and re.fullmatch(r"[\w.\-\[\]:]*", text)
    if not good:
        raise Invalid(f"{text[:80]} is no place for SFTP.", hint="Write it like node.example.net:2022, or only a name or a port.")
    return port, host


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.query and not parts.username
    except ValueError:
        good = False
    if not good or len(url) > 255:
        raise Invalid("A node's address must look like https://node.example.net:8080.")
    return url.rstrip("/")
