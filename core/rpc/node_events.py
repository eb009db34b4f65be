"""What happens on one node, however it can tell: over one stream where the node has that, else over a socket per server.

Whoever listens gets the same frames either way. A node without the stream is asked for it again now and then: agents are upgraded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from core.clock import Clock
from core.protocol.socket import ConsolePlace
from core.rpc.client import NodeClient
from core.rpc.node_stream import NodeStream, StreamMissing
from core.rpc.stream import Lost, Opened, ServerStream, StreamFrame
from core.supervise import Supervisor

log = logging.getLogger(__name__)

ASK_AGAIN = 600.0
"""Seconds between two questions whether a node has the stream by now."""

Take = Callable[[str, StreamFrame], Awaitable[None]]


class NodeEvents:
    """`run` is a worker; `take` gets a server's uuid (empty for what concerns the node) and a frame. `close` ends it."""

    def __init__(self, client: NodeClient, clock: Clock, tasks: Supervisor, take: Take) -> None:
        self._client = client
        self._clock = clock
        self._tasks = tasks
        self._take = take
        self._stream: NodeStream | None = None
        self._apart: dict[str, tuple[ServerStream, asyncio.Task[None]]] = {}
        self._servers: set[str] = set()
        self._consoles: dict[str, ConsolePlace] = {}
        self._closed = asyncio.Event()
        self.together: bool | None = None
        """Whether the node tells everything over one stream; None while nobody knows."""

    async def want(self, servers: set[str], consoles: Mapping[str, ConsolePlace]) -> None:
        """Hear of these servers from now on, and of the consoles of some, each from its place on where the node can go back."""
        self._servers, self._consoles = set(servers), dict(consoles)
        if self._stream is not None:
            self._stream.want(self._servers, self._consoles)
        if self.together is False:
            await self._tune_apart()

    def go_back(self, uuid: str, place: ConsolePlace) -> None:
        """One more wants a console, from this place on."""
        if self._stream is not None and uuid in self._servers:
            self._stream.go_back(uuid, place)

    async def run(self) -> None:
        """Listen until closed."""
        try:
            while not self._closed.is_set():
                stream = self._stream = NodeStream(self._client, self._clock)
                stream.want(self._servers, self._consoles)
                try:
                    async for uuid, frame in stream:
                        if isinstance(frame, Opened):
                            await self._end_apart()
                            self.together = True
                        if self.together is not False or not isinstance(frame, Lost):
                            await self._take(uuid, frame)
                except StreamMissing:
                    self._stream, self.together = None, False
                    await self._tune_apart()
                    await self._rest(ASK_AGAIN)
        finally:
            await self._end_apart()

    async def close(self) -> None:
        self._closed.set()
        if self._stream is not None:
            await self._stream.close()
        await self._end_apart()

    async def _rest(self, seconds: float) -> None:
        """Wait, but not when asked to end."""
        async with Supervisor("node events", self._clock) as tasks:
            waits = {tasks.spawn("pause", self._clock.sleep(seconds)), tasks.spawn("end", self._until_closed())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

    async def _until_closed(self) -> None:
        await self._closed.wait()

    # A socket per server

    async def _tune_apart(self) -> None:
        for uuid in [uuid for uuid, (_, task) in self._apart.items() if uuid not in self._servers or task.done()]:
            await self._drop(uuid)
        for uuid in self._servers - self._apart.keys():
            stream = ServerStream(self._client, uuid, self._clock)
            self._apart[uuid] = stream, self._tasks.spawn(f"stream {uuid[:8]}", self._read(uuid, stream))

    async def _read(self, uuid: str, stream: ServerStream) -> None:
        async for frame in stream:
            await self._take(uuid, frame)

    async def _drop(self, uuid: str) -> None:
        stream, task = self._apart.pop(uuid)
        await stream.close()
        task.cancel()

    async def _end_apart(self) -> None:
        for uuid in list(self._apart):
            await self._drop(uuid)
