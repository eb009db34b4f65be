"""Which pages may talk to this node from a browser: Wings' CORS headers, and the Origin of sockets, compared letter by letter."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from agent.api.errors import Handler
from core.config import AgentConfig

_FIXED = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, PATCH, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Accept, Accept-Encoding, Authorization, Cache-Control, Content-Type, Content-Length, Origin, X-Real-IP, X-CSRF-Token"
    ),
    "Access-Control-Max-Age": "7200",
}


def may_open(config: AgentConfig, origin: str | None) -> bool:
    """Whether a page of this origin may open a socket; a client that names none may not (Wings)."""
    return "*" in config.allowed_origins or (bool(origin) and origin in (config.remote.url, *config.allowed_origins))


def headers(config: AgentConfig) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer tells browsers."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin", "")
        allowed = "*" if "*" in config.allowed_origins else origin if origin in config.allowed_origins else config.remote.url
        response.headers.update({"Access-Control-Allow-Origin": allowed, "Vary": "Origin", **_FIXED})
        if config.allow_cors_private_network:
            response.headers["Access-Control-Request-Private-Network"] = "true"

    return add


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A browser asks before it asks: 204, whoever it is and whatever the path (Wings)."""
    return web.Response(status=204) if request.method == "OPTIONS" else await handler(request)


@web.middleware
async def slashes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A known path with a slash too many is sent on to the one without, as Wings does: 301 for GET, else 307."""
    bare = request.rel_url.raw_path.removesuffix("/")
    if bare == request.rel_url.raw_path or not bare or request.match_info.http_exception is None:
        return await handler(request)
    query = request.rel_url.raw_query_string
    target = f"{bare}?{query}" if query else bare
    found = await request.app.router.resolve(request.clone(rel_url=target))
    if found.http_exception is not None:
        return await handler(request)
    raise web.HTTPMovedPermanently(target) if request.method == "GET" else web.HTTPTemporaryRedirect(target)
