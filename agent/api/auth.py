"""The control plane's bearer on every route but those which people open with tokens of their own. Statuses are Wings'."""

import re

from aiohttp import web
from aiohttp.typedefs import Middleware

from agent.api.errors import Handler, answer
from agent.credentials import Credentials
from core import tokens

_OPEN = re.compile(r"GET (/api/servers/[^/]+/ws|/download/(file|backup))|POST (/upload/file|/api/transfers)")
"""WebSockets, signed URLs, incoming transfers."""


def is_control_plane(request: web.Request, credentials: Credentials) -> bool:
    """Whether whoever asks holds the node's secret of this moment."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme == "Bearer" and bool(token) and tokens.same(token, credentials.secret)


def bearer(credentials: Credentials) -> Middleware:
    """A middleware that lets in whoever holds the node's secret: 401 without a proper header, 403 with a wrong token."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _OPEN.fullmatch(f"{request.method} {request.path}"):
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            refused = answer(401, "The required authorization headers were not present in the request.")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        if not is_control_plane(request, credentials):
            return answer(403, "You are not authorized to access this endpoint.")
        return await handler(request)

    return check
