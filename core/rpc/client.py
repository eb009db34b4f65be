"""One node's HTTP API, typed. Every failure becomes an AerieError here; nothing waits longer than its time limit.

Facts of the wire: Wings 1.11. The token alone is the bearer; errors come as `{"error", "request_id"}`, ours add `code` and `hint`.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError

from core import errors
from core.clock import Clock
from core.errors import AerieError, NodeError, NodeRefused, NodeTimeout, NodeUnreachable, NotFound, ServerOffline
from core.protocol.agent import (
    SIGNAL_HEADER,
    CommandsRequest,
    CreateServer,
    Deauthorize,
    DenyRequest,
    ErrorBody,
    LogsResponse,
    NodeUpdate,
    PowerRequest,
    ServerDescription,
    SystemV2,
    UpdateResponse,
)
from core.protocol.backups import MakeBackup, RestoreBackup
from core.protocol.history import HistoryPage
from core.rpc.circuit import Circuit
from core.tokens import NodeToken
from core.vocabulary import PowerSignal

log = logging.getLogger(__name__)

M = TypeVar("M")

CONNECT_LIMIT = 3.0  # seconds
TOTAL_LIMIT = 10.0
MOST_BYTES = 8 * 1024 * 1024
"""Of one answer."""

_SYSTEM = TypeAdapter(SystemV2)
_SERVER = TypeAdapter(ServerDescription)
_SERVERS = TypeAdapter(list[ServerDescription])
_HISTORY = TypeAdapter(HistoryPage)
_LOGS = TypeAdapter(LogsResponse)
_UPDATED = TypeAdapter(UpdateResponse)

_TOLD: dict[str, type[AerieError]] = {
    kind.code: kind
    for kind in (
        errors.Invalid,
        errors.Conflict,
        errors.ServerSuspended,
        errors.ServerBusy,
        errors.ServerOffline,
        errors.LimitReached,
        errors.RuntimeFailure,
        errors.EngineUnreachable,
        errors.ImageUnavailable,
        errors.PortTaken,
        errors.DiskFull,
        errors.ProcessGone,
    )
}
"""Codes of our agent that stay what they are on this side."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node is and how to be let in. `origin` is the control plane's own address, which sockets must name."""

    id: int
    name: str
    url: str
    token: NodeToken
    origin: str = ""


class NodeClient:
    """Calls one node. Made by NodePool, which shares the connection pool and the circuit."""

    def __init__(self, address: NodeAddress, session: aiohttp.ClientSession, circuit: Circuit, clock: Clock) -> None:
        self.address = address
        self.session = session
        self.circuit = circuit
        self._clock = clock
        self._asking = asyncio.Lock()
        self.derived: bool | None = None
        """Whether the node takes tokens signed with the derived key; None while nobody asked."""

    async def system(self) -> SystemV2:
        found = self._read(await self._call("GET", "/api/system?v=2"), _SYSTEM)
        self.derived = found.aerie is not None and found.aerie.derived_keys
        return found

    async def takes_derived(self) -> bool:
        """Whether to sign with the derived key; the node is asked once, and what cannot be asked is taken for Wings. Raises nothing."""
        async with self._asking:
            if self.derived is None:
                with suppress(AerieError):
                    await self.system()
        return bool(self.derived)

    async def servers(self) -> list[ServerDescription]:
        return self._read(await self._call("GET", "/api/servers"), _SERVERS)

    async def server(self, uuid: str) -> ServerDescription:
        """Raises NotFound when the node does not have it."""
        return self._read(await self._call("GET", f"/api/servers/{uuid}"), _SERVER)

    async def create(self, server: CreateServer) -> None:
        """The node fetches the settings, installs, and starts when asked to. Accepted, not done, on return."""
        await self._call("POST", "/api/servers", server)

    async def delete(self, uuid: str) -> None:
        """Removes container and files. Raises NotFound when the node does not have it."""
        await self._call("DELETE", f"/api/servers/{uuid}")

    async def install(self, uuid: str, *, again: bool) -> None:
        """Run the install script, `again` over the files of an installed server. Accepted on return. Raises NotFound."""
        await self._call("POST", f"/api/servers/{uuid}/{'reinstall' if again else 'install'}")

    async def power(self, uuid: str, signal: PowerSignal) -> str:
        """Hand over a signal; returns the id it is told about under, empty from a stock Wings."""
        answer = await self._call("POST", f"/api/servers/{uuid}/power", PowerRequest(action=signal))
        return answer.headers.get(SIGNAL_HEADER, "")

    async def commands(self, uuid: str, commands: list[str]) -> None:
        """Type lines into the console. Raises ServerOffline when nothing listens."""
        await self._call("POST", f"/api/servers/{uuid}/commands", CommandsRequest(commands=commands), offline=502)

    async def logs(self, uuid: str, lines: int = 100) -> list[str]:
        """The last `lines` (1 to 100) of the console, oldest first."""
        return self._read(await self._call("GET", f"/api/servers/{uuid}/logs?size={lines}"), _LOGS).data or []

    async def console(self, uuid: str, **query: str) -> HistoryPage:
        """Old lines, one page: `after`, `before`, `since`, `until`, `text`, `regex`, `order`, `limit`, `cursor` (docs/console.md).

        Raises NotFound from a node that keeps no history, such as a stock Wings, or does not know the server.
        """
        path = f"/api/aerie/servers/{uuid}/console?{urlencode(query)}"
        return self._read(await self._call("GET", path), _HISTORY)

    async def backup(self, uuid: str, wanted: MakeBackup) -> None:
        """Have a backup made. Accepted on return; the end is reported to `/api/remote/backups`. Raises Conflict while another is made."""
        await self._call("POST", f"/api/servers/{uuid}/backup", wanted)

    async def restore_backup(self, uuid: str, backup: str, wanted: RestoreBackup) -> None:
        """Have one put back. Accepted on return. Raises NotFound when the node has none, ServerBusy."""
        await self._call("POST", f"/api/servers/{uuid}/backup/{quote(backup, safe='')}/restore", wanted)

    async def delete_backup(self, uuid: str, backup: str) -> None:
        """Raises NotFound when the node has none."""
        await self._call("DELETE", f"/api/servers/{uuid}/backup/{quote(backup, safe='')}")

    async def sync(self, uuid: str) -> None:
        """Have the node fetch the server's settings again."""
        await self._call("POST", f"/api/servers/{uuid}/sync")

    async def deny(self, uuid: str, jtis: list[str]) -> None:
        """Make socket tokens issued so far worthless."""
        await self._call("POST", f"/api/servers/{uuid}/ws/deny", DenyRequest(jtis=jtis))

    async def deauthorize(self, user: str, servers: list[str]) -> None:
        """End a user's sessions on these servers. Raises NotFound from a Wings before 1.12, which cannot."""
        await self._call("POST", "/api/deauthorize-user", Deauthorize(user=user, servers=servers))

    async def update(self, configuration: NodeUpdate) -> bool:
        """Hand the node its changed configuration; answers whether it applied it, which its owner's settings may forbid."""
        body = RootModel[NodeUpdate](configuration)
        return self._read(await self._call("POST", "/api/update", body), _UPDATED).applied

    async def _call(self, method: str, path: str, body: BaseModel | None = None, *, offline: int | None = None) -> "_Answer":
        self.circuit.enter()
        try:
            answer = await self._exchange(method, path, body)
        except NodeUnreachable as error:
            self.circuit.failed(error.message, slow=isinstance(error, NodeTimeout))
            raise
        self.circuit.succeeded()
        if answer.status >= 300:
            raise self._refusal(answer, offline)
        return answer

    async def _exchange(self, method: str, path: str, body: BaseModel | None) -> "_Answer":
        headers = {"Authorization": f"Bearer {self.address.token.secret}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = body.model_dump_json().encode()
        try:
            async with self.session.request(
                method,
                self.address.url + path,
                data=content,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TOTAL_LIMIT, sock_connect=CONNECT_LIMIT, connect=TOTAL_LIMIT),
            ) as response:
                answer = bytearray()
                async for chunk in response.content.iter_chunked(65536):
                    answer += chunk
                    if len(answer) > MOST_BYTES:
                        raise NodeError(f"The node {self.address.name} answered more than 8 MiB.", node_status=response.status)
                return _Answer(response.status, dict(response.headers), bytes(answer))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise unreachable(self.address, error) from error

    def _refusal(self, answer: "_Answer", offline: int | None) -> AerieError:
        name = self.address.name
        try:
            body = ErrorBody.model_validate_json(answer.body)
        except ValidationError:
            body = ErrorBody(error="")
        request = body.request_id or answer.headers.get("X-Request-Id", "")
        if answer.status in (401, 403):
            self.circuit.failed(f"The node {name} does not accept our token.", slow=False)
            return refused(self.address)
        if body.code in _TOLD:
            return _TOLD[body.code](body.error, hint=body.hint or "")
        if answer.status == offline:
            return ServerOffline("The server is offline, so nothing reads its console.", hint="Start it first.")
        if answer.status == 404:
            return NotFound(
                f"The node {name} does not know this server.", hint="It may still be setting it up; `aerie doctor` on the node tells more."
            )
        text = body.error or f"it answered with status {answer.status}"
        log.warning("node %s answered %d: %s (request %s)", name, answer.status, text, request)
        hint = f"Its log says more under the request {request}." if request else "Its log says more."
        return NodeError(f"The node {name} could not do it: {text.rstrip('.')}.", hint=hint, node_status=answer.status, request_id=request)

    def _read(self, answer: "_Answer", kind: TypeAdapter[M]) -> M:
        try:
            return kind.validate_json(answer.body)
        except ValidationError as error:
            raise NodeError(
                f"The node {self.address.name} answered something that cannot be read.",
                hint="Is it an agent of Aerie, or Wings? Check the node's address.",
                node_status=answer.status,
            ) from error


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def refused(address: NodeAddress) -> NodeRefused:
    return NodeRefused(
        f"The node {address.name} does not accept our token.", hint="Give the agent the token the node was made with, then restart it."
    )


def unreachable(address: NodeAddress, error: BaseException) -> NodeUnreachable:
    """What a failed exchange means to a person."""
    name = address.name
    if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.SocketTimeoutError | TimeoutError | asyncio.TimeoutError):
        return NodeTimeout(f"The node {name} did not answer in time.", hint="It may be overloaded or cut off; try again in a minute.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NodeUnreachable(f"The node {name} has an address nobody knows.", hint="Correct the node's address.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return NodeUnreachable(
            f"The node {name} has a certificate that cannot be trusted: {_why(error)}.",
            hint="Renew it, correct the address, or name your own authority in [tls] ca.",
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return NodeUnreachable(f"The node {name} does not speak TLS.", hint="Write its address with http://, or give it a certificate.")
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return NodeUnreachable(f"The node {name} has an address that is none.", hint="Correct the node's address.")
    if isinstance(error, ConnectionRefusedError) or isinstance(getattr(error, "os_error", None), ConnectionRefusedError):
        return NodeUnreachable(f"The node {name} refused the connection.", hint="Check that its agent runs.")
    return NodeUnreachable(f"The node {name} broke off the connection.", hint="Check that its agent runs, and the network between.")


def _why(error: aiohttp.ClientConnectorCertificateError) -> str:
    reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
    return reason.rstrip(".")[:150]


def headers_of(address: NodeAddress) -> dict[str, Any]:
    """What a socket's handshake must carry: Wings refuses a missing or foreign Origin; our agents count who bears no token."""
    said = {"Origin": address.origin} if address.origin else {}
    return {**said, "Authorization": f"Bearer {address.token.secret}"}
