"""One server's WebSocket: frames, event names, JWT claims. Wings' own, plus frames named `aerie.*` that only those get who ask.

A frame is one JSON object in a text message: `{"event": name, "args": [text, …]}`; objects travel as JSON text inside args[0].

Aerie's extension: after `auth`, a client may send the event `aerie.batch`. From then on it receives `aerie.console` instead of
`console output`, and also `aerie.state`, `aerie.power` and `aerie.crash`. A client that never asks sees exactly what Wings would send it.
With a ConsolePlace as its argument, `aerie.resumed` answers, and then come the lines after that number before any others.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictInt

from core.protocol.settings import Wire
from core.vocabulary import PowerPhase, PowerSignal, ServerState


class Inbound(StrEnum):
    """Events a client sends."""

    AUTH = "auth"
    SET_STATE = "set state"
    SEND_COMMAND = "send command"
    SEND_LOGS = "send logs"
    SEND_STATS = "send stats"
    BATCH = "aerie.batch"


class Outbound(StrEnum):
    """Events a node sends."""

    AUTH_SUCCESS = "auth success"
    TOKEN_EXPIRING = "token expiring"
    TOKEN_EXPIRED = "token expired"
    JWT_ERROR = "jwt error"
    DAEMON_ERROR = "daemon error"
    DAEMON_MESSAGE = "daemon message"
    STATUS = "status"
    STATS = "stats"
    CONSOLE_OUTPUT = "console output"
    INSTALL_OUTPUT = "install output"
    INSTALL_STARTED = "install started"
    INSTALL_COMPLETED = "install completed"
    BACKUP_COMPLETED = "backup completed"
    BACKUP_RESTORE_COMPLETED = "backup restore completed"
    TRANSFER_LOGS = "transfer logs"
    TRANSFER_STATUS = "transfer status"
    THROTTLED = "throttled"
    DELETED = "deleted"
    AERIE_CONSOLE = "aerie.console"
    AERIE_STATE = "aerie.state"
    AERIE_POWER = "aerie.power"
    AERIE_CRASH = "aerie.crash"
    AERIE_RESUMED = "aerie.resumed"


JWT_EXPIRED = "jwt: exp claim is invalid"
JWT_DENIED = "jwt: created too far in past (denylist)"
JWT_MISSING = "jwt: no jwt present"
JWT_NO_CONNECT = "jwt: missing connect permission"
JWT_WRONG_SERVER = "jwt: server uuid mismatch"
"""The stock panel's page looks for these words; keep them as they are."""

SUSPENDED_CLOSE_CODE = 4409


def _args(value: Any) -> Any:
    """args may be missing, and the panel's page sends `[null]`."""
    return ["" if item is None else item for item in value] if isinstance(value, list) else [] if value is None else value


class Frame(Wire):
    event: str
    args: Annotated[list[str], BeforeValidator(_args)] = Field(default_factory=list)


class Network(Wire):
    rx_bytes: int = 0
    tx_bytes: int = 0


class StatsFrame(Wire):
    """Wings' `stats` payload. Bytes; cpu in percent of one thread; uptime in milliseconds.

    What begins with `aerie_` is our addition, on a WebSocket only for those who asked for `aerie.batch`; None when it is not known.
    """

    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    cpu_absolute: float = 0.0
    network: Network = Field(default_factory=Network)
    uptime: int = 0
    state: ServerState = ServerState.OFFLINE
    disk_bytes: int = 0
    aerie_players: list[str] | None = None
    """Names of players, when the egg says how the console tells of them; None when it cannot be known."""
    aerie_cpu_of_limit: float | None = None
    """Percent of what it may use: of its CPU limit, or of all the machine's cores when it has none."""
    aerie_oom_kills: int | None = None
    """Processes in it that the kernel killed for want of memory, since it started."""

    def text(self, *, extended: bool) -> str:
        """As JSON: with our additions, or exactly as Wings sends it."""
        return self.model_dump_json(exclude=None if extended else _STATS_ADDED)


_STATS_ADDED = {name for name in StatsFrame.model_fields if name.startswith("aerie_")}


class StateChange(Wire):
    """`aerie.state`: one transition and why. `reason` is a sentence for people, `code` an AerieError code or empty."""

    state: ServerState
    previous: ServerState
    reason: str = ""
    code: str = ""
    at: datetime
    signal_id: str = ""
    exit_code: int | None = None
    oom_killed: bool = False


class PowerProgress(Wire):
    """`aerie.power`: how far an accepted signal has got. `signal_id` is what the power route returned in X-Aerie-Signal."""

    signal_id: str
    signal: PowerSignal
    phase: PowerPhase
    state: ServerState
    reason: str = ""
    code: str = ""
    at: datetime


class CrashReport(Wire):
    """`aerie.crash`: the process ended although nobody asked it to. `uptime` in seconds; `lines` at most 200 and 16 KiB, oldest first."""

    exit_code: int | None = None
    """None when the container is gone and nobody knows."""
    oom_killed: bool = False
    signal: str = ""
    """Name of the signal that ended it, such as SIGKILL, when one did."""
    uptime: float = 0.0
    restarts: int = 0
    """Restarts after crashes within ten minutes, this one's included."""
    restarting: bool = False
    reason: str = ""
    """What was made of it, in a sentence: started again, or why not."""
    lines: list[str] = Field(default_factory=list)
    at: datetime


class ConsoleBatch(Wire):
    """`aerie.console`: consecutive lines. `first_seq` numbers the first; `dropped` counts lines this reader lost just before it."""

    first_seq: int
    lines: list[str]
    dropped: int = 0
    boot: str = ""
    """The count that the numbers belong to, when the reader knows it; not sent with each batch."""


class ConsolePlace(Wire):
    """How far a reader got: the last line's number, and the count it belongs to. Without a number it begins now."""

    after: int | None = None
    boot: str = ""


class Resumed(Wire):
    """`aerie.resumed`: lines come from the one after `after` on. `found` is False where the place that was named says nothing here."""

    after: int
    boot: str
    found: bool


class SocketClaims(Wire):
    """The JWT of a WebSocket (HS256 with the node's secret). Times are whole seconds since 1970."""

    iss: str = ""
    aud: str | list[str] = ""
    jti: str = ""
    iat: StrictInt
    nbf: StrictInt | None = None
    exp: StrictInt
    server_uuid: str
    user_uuid: str = ""
    user_id: int | None = None
    unique_id: str = ""
    permissions: list[str] = Field(default_factory=list)
    scope: str = ""
    """Words parted by blanks; a socket's token says `websocket` (panels from 1.12.3 on)."""
