"""The control plane's bearer on every route but the WebSocket, which has tokens of its own. Statuses are Wings'."""

from aiohttp import web
from aiohttp.typedefs import Middleware

from agent.api.errors import Handler, answer
from core import tokens

OPEN_SUFFIX = "/ws"


def bearer(secret: str) -> Middleware:
    """A middleware that lets in whoever holds the node's secret: 401 without a proper header, 403 with a wrong token."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.endswith(OPEN_SUFFIX) and request.method == "GET":
            return await handler(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            refused = answer(401, "The required authorization headers were not present in the request.")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        if not tokens.same(token, secret):
            return answer(403, "You are not authorized to access this endpoint.")
        return await handler(request)

    return check
