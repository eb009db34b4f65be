"""Errors as REST shows them: the panel's envelope, `{"errors": [{code, status, detail, meta?}]}`. The only place that renders them.

An error nobody foresaw is logged under the request's id and shown as that id alone; traces never leave the process.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from aiohttp import hdrs, web
from pydantic import ValidationError

from core.errors import (
    AerieError,
    BadRequest,
    Invalid,
    NodeError,
    NodeRefused,
    NodeUnreachable,
    NotFound,
    ServerBusy,
    ServerOffline,
    ServerSuspended,
    ServiceDown,
)
from core.log import request_id
from core.protocol.remote import RemoteError, RemoteErrorEntry, RemoteErrorMeta

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXTRA_HEADERS = web.RequestKey("extra_headers", dict[str, str])
"""What a guard wants on the answer, whatever the answer is."""

_REMOTE = "/api/remote/"
_SOON = "10"  # s until a service that was away is asked for again
_NAMES = {
    400: "BadRequestHttpException",
    401: "AuthenticationException",
    403: "AccessDeniedHttpException",
    404: "NotFoundHttpException",
    405: "MethodNotAllowedHttpException",
    409: "ConflictHttpException",
    413: "HttpException",
    422: "ValidationException",
    429: "TooManyRequestsHttpException",
}


class PanelError(AerieError):
    """An answer that the panel gives with a status and a code of its own."""

    def __init__(self, http_status: int, name: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.http_status = http_status
        self.name = name


@dataclass(frozen=True, slots=True)
class Failure:
    """One field that does not fit, and the rule it breaks, in the panel's words."""

    field: str
    rule: str
    message: str


class Rejected(Invalid):
    """Input with fields that do not fit; tells all of them at once."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__(" ".join(failure.message for failure in failures))
        self.failures = tuple(failures)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id and turn whatever it raises into an answer."""
    request_id.set(str(uuid4()))
    try:
        response = await handler(request)
    except AerieError as error:
        response = rendered(error, remote=request.path.startswith(_REMOTE))
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
    response.headers.update(request.get(EXTRA_HEADERS, {}))
    return response


def rendered(error: AerieError, *, remote: bool = False) -> web.Response:
    """One AerieError as the panel would answer it; nodes (`remote`) know fewer names than people's programs."""
    match error:
        case PanelError():
            return _answer(error.http_status, error.name, str(error))
        case Rejected():
            entries = [
                RemoteErrorEntry(
                    code="ValidationException",
                    status="422",
                    detail=failure.message,
                    meta=RemoteErrorMeta(source_field=failure.field, rule=failure.rule),
                )
                for failure in error.failures
            ]
            return _entries(422, entries)
        case ServerSuspended() | ServerBusy():
            return _answer(409, "ServerStateConflictException", str(error))
        case ServerOffline():
            return _answer(502, "HttpException", str(error))
        case NodeRefused():
            return _answer(502, "DaemonConnectionException", str(error))
        case NodeUnreachable():
            return _answer(504, "DaemonConnectionException", str(error))
        case NodeError():
            return _answer(error.node_status if error.node_status >= 400 else 502, "DaemonConnectionException", str(error))
    name = "HttpException" if remote and error.status == 401 else _NAMES.get(error.status, "HttpException")
    response = _answer(error.status, name, str(error))
    if error.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if isinstance(error, ServiceDown):
        response.headers[hdrs.RETRY_AFTER] = _SOON
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
    return _entries(status, [RemoteErrorEntry(code=code, status=str(status), detail=detail)])


def _entries(status: int, entries: list[RemoteErrorEntry]) -> web.Response:
    body = RemoteError(errors=entries)
    return web.Response(status=status, text=body.model_dump_json(exclude_none=True), content_type="application/json")
