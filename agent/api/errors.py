"""Errors as the agent's API shows them: Wings' envelope `{"error", "request_id"}`. The one broad except of the agent lives here."""

import logging
import uuid
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from core.errors import AerieError
from core.log import request_id
from core.protocol.agent import ErrorBody

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NUMBER = web.RequestKey("number", str)
"""The request's id, which outlives its handler."""


def answer(status: int, words: str, *, code: str | None = None, hint: str | None = None) -> web.Response:
    """An error answer."""
    body = ErrorBody(error=words, request_id=request_id.get() or None, code=code, hint=hint or None)
    return json_response(body.model_dump(exclude_none=True), status=status)


def json_response(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id, and render whatever goes wrong. The id goes out with `numbered`."""
    number = request[NUMBER] = str(uuid.uuid4())
    token = request_id.set(number)
    try:
        return await _rendered(request, handler)
    finally:
        request_id.reset(token)


async def numbered(request: web.Request, response: web.StreamResponse) -> None:
    """Every answer bears its request's id, streams and handshakes too."""
    response.headers["X-Request-Id"] = request[NUMBER]


async def _rendered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except AerieError as error:
        return answer(error.status, error.message, code=error.code, hint=error.hint)
    except web.HTTPException as error:
        if 300 <= error.status < 400:
            return web.Response(status=error.status, headers={"Location": error.headers["Location"]})
        if error.status in (404, 405):
            return web.Response(text="404 page not found", status=404)
        return answer(error.status, error.reason)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return answer(500, "An unexpected error was encountered while processing this request.", code="internal")
