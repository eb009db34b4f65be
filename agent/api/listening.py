"""The agent's listening socket. A connection that asks for nothing within a few seconds is ended: strangers must not hold descriptors.

Knows connections, no routes. Later requests of a connection are bounded by aiohttp's keep-alive limit, bodies by agent/api/system.py.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from agent.api.errors import Handler
from core.agent_settings import ApiSection
from core.errors import NotConfigured

FIRST_REQUEST_SECONDS = 15.0
"""From connecting to the end of the first request's headers."""


class Quiet:
    """Connections that have not asked for anything yet."""

    def __init__(self) -> None:
        self._timers: dict[object, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def begin(self, protocol: web.RequestHandler) -> None:
        self._timers[protocol] = asyncio.get_running_loop().call_later(FIRST_REQUEST_SECONDS, self._end, protocol)

    def asked(self, protocol: object) -> None:
        if (timer := self._timers.pop(protocol, None)) is not None:
            timer.cancel()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _end(self, protocol: web.RequestHandler) -> None:
        del self._timers[protocol]
        protocol.force_close()


QUIET = web.AppKey("quiet", Quiet)


@web.middleware
async def heard(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[QUIET].asked(request.protocol)
    return await handler(request)


@asynccontextmanager
async def listening(app: web.Application, settings: ApiSection, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve the application until the block ends; gives the port. Raises NotConfigured."""
    quiet = app[QUIET]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=3.0)
    await runner.setup()
    try:
        handlers = runner.server
        assert handlers is not None  # after setup there is one

        def connection() -> asyncio.BaseProtocol:
            protocol = handlers()
            quiet.begin(protocol)
            return protocol

        try:
            limit = FIRST_REQUEST_SECONDS if tls else None
            loop = asyncio.get_running_loop()
            server = await loop.create_server(connection, settings.host, settings.port, ssl=tls, ssl_handshake_timeout=limit)
        except OSError as error:
            raise NotConfigured(
                f"The agent cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
                hint="Stop what uses that port, or set another [api] port.",
            ) from error
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            quiet.close()
    finally:
        await runner.cleanup()
