"""One client per node, over one pool of connections. Knows no database: who calls brings the address."""

import ssl
from typing import Self

import aiohttp

from core.clock import Clock, SystemClock
from core.rpc.circuit import Circuit, NodeHealth
from core.rpc.client import NodeAddress, NodeClient

__all__ = ["NodeAddress", "NodeClient", "NodeHealth", "NodePool"]


class NodePool:
    """`async with NodePool(clock) as pool:`; the connections are made when first needed."""

    def __init__(self, clock: Clock | None = None, tls: ssl.SSLContext | None = None) -> None:
        """`tls` is how nodes' certificates are judged; by the system's authorities without it."""
        self._tls = tls
        self._clock = clock or SystemClock()
        self._clients: dict[int, NodeClient] = {}
        self._session: aiohttp.ClientSession | None = None

    def client(self, address: NodeAddress) -> NodeClient:
        """The node's client; a changed address or token makes a new one, with a closed circuit. Call inside a running loop."""
        known = self._clients.get(address.id)
        if known is None or known.address != address:
            circuit = Circuit(address.id, address.name, self._clock)
            if known is not None and (known.address.url, known.address.token) == (address.url, address.token):
                circuit = known.circuit
            known = self._clients[address.id] = NodeClient(address, self._connections(), circuit, self._clock)
        return known

    def health(self) -> list[NodeHealth]:
        """Every node called so far."""
        return [client.circuit.health for client in self._clients.values()]

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=15, ssl=self._tls or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._clients.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
