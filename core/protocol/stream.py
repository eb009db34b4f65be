"""`GET /api/aerie/stream`: everything that happens on a node over one WebSocket, for its control plane. Wings has nothing like it.

The control plane sends one Ask per text message; the node sends arrays of Told: `[{"server", "event", "body"}, …]`. Events are those of a
server's own socket (`core/protocol/socket.py`), but bodies are JSON, not JSON in text: `aerie.state` instead of the bare `status`, but for
the first word on each server, `aerie.console` always batched, `aerie.resumed` when a console was asked for.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from core.protocol.settings import Wire
from core.protocol.socket import ConsolePlace


class Topic(StrEnum):
    """What one may hear of a server."""

    STATE = "state"
    """Each change of state, and how it stands at the beginning."""
    STATS = "stats"
    POWER = "power"
    CRASH = "crash"
    NOTICES = "notices"
    """Whatever else its sockets are told: the installer's output, messages, backups, that it was deleted."""
    CONSOLE = "console"


class Ask(Wire):
    """`watch`: hear of these topics of these servers too, of servers that are still to come as well. `ignore`: hear of them no longer.

    For a console, `servers` says where to go on; asked for again, it goes back there. No topics mean all.
    """

    event: Literal["watch", "ignore"]
    servers: dict[str, ConsolePlace] = Field(default_factory=dict)
    topics: list[Topic] = Field(default_factory=list)


class Told(Wire):
    """One event. `server` is empty for what concerns the node."""

    server: str = ""
    event: str
    body: Any = None
