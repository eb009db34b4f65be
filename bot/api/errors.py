"""Errors as REST shows them: the panel's envelope, `{"errors": [{code, status, detail}]}`. The only place of bot/api that renders them.

An error nobody foresaw is logged under the request's id and shown as that id alone; traces never leave the process.
"""

import logging
from collections.abc import Awaitable, Callable
from uuid import uuid4

from aiohttp import hdrs, web
from pydantic import ValidationError

from core.errors import AerieError, BadRequest, Invalid, NotFound
from core.log import request_id
from core.protocol.remote import RemoteError, RemoteErrorEntry

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NAMES = {
    400: "BadRequestHttpException",
    401: "HttpException",
    403: "AccessDeniedHttpException",
    404: "NotFoundHttpException",
    405: "MethodNotAllowedHttpException",
    409: "ConflictHttpException",
    422: "ValidationException",
    429: "TooManyRequestsHttpException",
}


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id and turn whatever it raises into an answer."""
    request_id.set(str(uuid4()))
    try:
        response = await handler(request)
    except AerieError as error:
        response = rendered(error)
    except web.HTTPException as error:
        response = _of_aiohttp(error)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        response = rendered(Invalid(f"{where}: {first['msg']}."))
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        response = _answer(500, "HttpException", f"An unexpected error happened; the log tells of it under {request_id.get()}.")
    response.headers["X-Request-Id"] = request_id.get()
    return response


def rendered(error: AerieError) -> web.Response:
    """One AerieError as the panel would answer it."""
    response = _answer(error.status, _NAMES.get(error.status, "HttpException"), str(error))
    if error.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return response


def _of_aiohttp(error: web.HTTPException) -> web.Response:
    match error.status:
        case 404:
            return rendered(NotFound("There is nothing at this address."))
        case 413:
            return _answer(413, "HttpException", "The body of this request is too large.")
        case 400:
            return rendered(BadRequest("The request cannot be read."))
    response = _answer(error.status, _NAMES.get(error.status, "HttpException"), error.reason or "")
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return response


def _answer(status: int, code: str, detail: str) -> web.Response:
    body = RemoteError(errors=[RemoteErrorEntry(code=code, status=str(status), detail=detail)])
    return web.Response(status=status, text=body.model_dump_json(), content_type="application/json")
