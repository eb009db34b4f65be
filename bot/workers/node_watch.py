"""The heartbeat of nodes: one question to each every ten seconds, NodeLost and NodeBack as facts for everybody; those that answer are
told of servers they never took.

A node that was just heard by a stream counts as alive; one that just hung up is asked at once. Must never call a node lost for one
lost answer: it takes two, unless nothing listens there at all.
"""

import asyncio
import logging

from core.clock import Clock
from core.errors import AerieError, NodeTimeout, NodeUnreachable
from core.events import NodeBack, NodeLost
from core.rpc.client import NodeAddress
from core.rpc.pool import NodePool
from core.services.build import Services

log = logging.getLogger(__name__)

BEAT = 10.0  # s
MOST_AT_ONCE = 50


class NodeWatch:
    """`run` is the worker; `heard` and `suspect` are told by the streams."""

    def __init__(self, services: Services, pool: NodePool, clock: Clock) -> None:
        self._services = services
        self._pool = pool
        self._clock = clock
        self._lost: dict[int, str] = {}
        self._missed: dict[int, int] = {}
        self._wake = asyncio.Event()

    def heard(self, node_id: int) -> None:
        self._missed.pop(node_id, None)
        if node_id in self._lost:
            self._wake.set()

    def suspect(self, node_id: int) -> None:
        if node_id not in self._lost:
            self._wake.set()

    async def run(self) -> None:
        """Ask every node, rest, again."""
        while True:
            self._wake.clear()
            addresses = await self._services.nodes.addresses()
            gate = asyncio.Semaphore(MOST_AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for address in addresses:
                    group.create_task(self._ask(address, gate))
            await self._clock.sleep(0.5)
            try:
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _ask(self, address: NodeAddress, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                await self._pool.client(address).system()
            except NodeUnreachable as error:
                await self._failed(address, error)
            except AerieError as error:
                log.warning("node %s answers, but badly: %s", address.name, error)
                await self._alive(address)
            else:
                await self._alive(address)
                await self._remind(address)

    async def _remind(self, address: NodeAddress) -> None:
        """Tell it of the servers that were made while it could not take them; what fails now is tried at the next beat."""
        try:
            for uuid in await self._services.servers.waiting(address.id):
                await self._services.servers.remind(uuid)
        except AerieError as error:
            log.info("node %s does not take a server that waits for it: %s", address.name, error)

    async def _failed(self, address: NodeAddress, error: NodeUnreachable) -> None:
        missed = self._missed[address.id] = self._missed.get(address.id, 0) + 1
        if missed < 2 and isinstance(error, NodeTimeout):
            self._wake.set()
            return
        if self._lost.get(address.id) == error.message:
            return
        self._lost[address.id] = error.message
        log.warning("node %s is lost: %s", address.name, error)
        await self._services.live.publish(NodeLost(node_id=address.id, node_name=address.name, at=self._clock.now(), reason=error.message))

    async def _alive(self, address: NodeAddress) -> None:
        self._missed.pop(address.id, None)
        if self._lost.pop(address.id, None) is None:
            return
        log.info("node %s is back", address.name)
        await self._services.live.publish(NodeBack(node_id=address.id, node_name=address.name, at=self._clock.now()))
