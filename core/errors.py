"""Every error that means something to a person, as data: a code, an HTTP status, a safe message, a hint.

Raise these where the meaning is known; translate a driver's exception where the driver is called (`raise … from`).
They are rendered in three places only: Discord (bot/ui/errors.py), REST (bot/api/errors.py), the agent's API (agent/api/errors.py).

    AerieError                      500 internal
    ├── Invalid                     422 invalid             a value that cannot be accepted
    │   ├── BadRequest              400 bad_request         a body or query that cannot be read
    │   └── TooLarge                413 too_large
    ├── Unauthenticated             401 unauthenticated
    ├── Forbidden                   403 forbidden
    │   └── MissingPermission       403 missing_permission  names the permission and who can grant it
    ├── NotFound                    404 not_found
    ├── Conflict                    409 conflict
    │   ├── ServerSuspended         409 suspended
    │   ├── ServerBusy              409 server_busy         installing, restoring, transferring
    │   └── ServerOffline           409 server_offline      (502 on Wings' command route, as Wings answers)
    ├── LimitReached                429 limit_reached
    ├── NotConfigured               503 not_configured
    │   └── ServiceDown             503 service_down        the database or Redis does not answer; it is tried again
    ├── NodeUnreachable             503 node_unreachable    refused, unknown host, TLS failure, open circuit
    │   ├── NodeTimeout             504 node_timeout
    │   └── NodeRefused             502 node_refused        the node does not accept our token
    ├── NodeError                   502 node_error          the node answered, but with a failure
    └── RuntimeFailure              500 runtime_failure     Docker could not do it
        ├── EngineUnreachable       503 engine_unreachable
        ├── ImageUnavailable        500 image_unavailable
        ├── PortTaken               500 port_taken
        ├── DiskFull                500 disk_full
        └── ProcessGone             500 process_gone        the container vanished behind our back
"""

from typing import ClassVar


class AerieError(Exception):
    """An error a person may read. `message` says what happened, `hint` what to do next; neither holds secrets."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Invalid(AerieError):
    code = "invalid"
    status = 422


class BadRequest(Invalid):
    code = "bad_request"
    status = 400


class TooLarge(Invalid):
    code = "too_large"
    status = 413


class Unauthenticated(AerieError):
    code = "unauthenticated"
    status = 401


class Forbidden(AerieError):
    code = "forbidden"
    status = 403


class MissingPermission(Forbidden):
    """The actor lacks one permission. `permission` is Pterodactyl's key; `grantors` says who can give it."""

    code = "missing_permission"

    def __init__(self, permission: str, what: str, *, grantors: str) -> None:
        super().__init__(
            f"You may not {what}: you lack the permission `{permission}`.", hint=f"{grantors} can grant it with `/access grant`."
        )
        self.permission = permission
        self.grantors = grantors


class NotFound(AerieError):
    code = "not_found"
    status = 404


class Conflict(AerieError):
    code = "conflict"
    status = 409


class ServerSuspended(Conflict):
    code = "suspended"


class ServerBusy(Conflict):
    code = "server_busy"


class ServerOffline(Conflict):
    code = "server_offline"


class LimitReached(AerieError):
    code = "limit_reached"
    status = 429


class NotConfigured(AerieError):
    code = "not_configured"
    status = 503


class ServiceDown(NotConfigured):
    """The database or Redis does not answer: nothing is wrong with what was asked, and it may be asked again a little later."""

    code = "service_down"


class NodeUnreachable(AerieError):
    code = "node_unreachable"
    status = 503


class NodeTimeout(NodeUnreachable):
    code = "node_timeout"
    status = 504


class NodeRefused(NodeUnreachable):
    code = "node_refused"
    status = 502


class NodeError(AerieError):
    """The node answered with a failure. `node_status` is its HTTP status, `request_id` is what to look for in its log."""

    code = "node_error"
    status = 502

    def __init__(self, message: str, *, hint: str = "", node_status: int = 500, request_id: str = "") -> None:
        super().__init__(message, hint=hint)
        self.node_status = node_status
        self.request_id = request_id


class RuntimeFailure(AerieError):
    code = "runtime_failure"


class EngineUnreachable(RuntimeFailure):
    code = "engine_unreachable"
    status = 503


class ImageUnavailable(RuntimeFailure):
    code = "image_unavailable"


class PortTaken(RuntimeFailure):
    code = "port_taken"


class DiskFull(RuntimeFailure):
    code = "disk_full"


class ProcessGone(RuntimeFailure):
    code = "process_gone"
