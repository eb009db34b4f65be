"""The far end of one WebSocket: what is written to it, and how it is sent away. Knows bytes and patience, no server and no token."""

import asyncio

from aiohttp import web

from agent.api.frames import frame, message
from core.protocol.socket import Outbound

LARGEST_MESSAGE = 4096
"""Bytes (Wings 1.12). Compression is not offered, so that nothing small can become something large."""
PING_SECONDS = 30.0
STALLED_SECONDS = 30.0
"""A peer that reads nothing for so long is cut off."""
CLOSE_SECONDS = 2.0
"""For the peer's half of a goodbye."""


class Peer:
    """One open connection. Everything goes out in the order of the calls."""

    def __init__(self, request: web.Request, largest: int = LARGEST_MESSAGE) -> None:
        limit = largest + 1  # aiohttp refuses what is as long as its limit
        self.response = web.WebSocketResponse(timeout=CLOSE_SECONDS, heartbeat=PING_SECONDS, max_msg_size=limit, compress=False)
        self._request = request

    async def open(self) -> None:
        """Answer the handshake."""
        await self.response.prepare(self._request)

    async def send(self, event: Outbound, text: str | None = None) -> None:
        """One message. Raises ConnectionResetError when the peer has left or does not read."""
        await self.write(frame(message(event, text)))

    async def write(self, data: bytes) -> None:
        """Put finished frames on the wire at once, and wait while the peer reads slowly. Raises ConnectionResetError."""
        transport = self._request.transport
        if transport is None or transport.is_closing() or self.response.closed:
            raise ConnectionResetError("the peer has left")
        transport.write(data)
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._request.protocol._drain_helper()
        except TimeoutError:
            self.cut_off()
            raise ConnectionResetError("the peer does not read") from None

    async def close(self, code: int, words: str) -> None:
        """Say goodbye; a peer that does not answer is cut off."""
        try:
            async with asyncio.timeout(2 * CLOSE_SECONDS):
                await self.response.close(code=code, message=words.encode())
        except (TimeoutError, ConnectionError):
            self.cut_off()

    def cut_off(self) -> None:
        """End the connection without a word."""
        if (transport := self._request.transport) is not None:
            transport.abort()
