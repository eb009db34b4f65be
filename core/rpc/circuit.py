"""Whether a node is worth asking. After it failed, callers are told so at once, and one of them at a time is let through to look again.

Knows nothing of HTTP. A stream that connects closes the circuit too.
"""

from dataclasses import dataclass
from datetime import datetime

from core.clock import Clock
from core.errors import NodeUnreachable

FIRST_PAUSE = 2.0  # seconds until a dead node is asked again; doubles
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """`reason` and `since` say why and since when a node counts as dead."""

    node_id: int
    node_name: str
    up: bool
    reason: str = ""
    since: datetime | None = None


class Circuit:
    """One node's. Opens at the second failure in a row, or at the first that cost a time limit."""

    def __init__(self, node_id: int, node_name: str, clock: Clock) -> None:
        self._node_id = node_id
        self._node_name = node_name
        self._clock = clock
        self._failures = 0
        self._open = False
        self._reason = ""
        self._since: datetime | None = None
        self._probe_at = 0.0
        self._pause = FIRST_PAUSE

    @property
    def health(self) -> NodeHealth:
        return NodeHealth(self._node_id, self._node_name, not self._open, self._reason, self._since)

    def enter(self) -> None:
        """Ask to call the node. Raises NodeUnreachable while the circuit is open, unless it is time to look again."""
        if not self._open:
            return
        now = self._clock.monotonic()
        if now < self._probe_at:
            reason = self._reason.removeprefix(f"The node {self._node_name} ")
            raise NodeUnreachable(
                f"The node {self._node_name} has not answered for {self._silence()}: {reason}",
                hint=f"Aerie looks again in {max(1, round(self._probe_at - now))} s by itself; check that the agent runs there.",
            )
        self._probe_at = now + self._pause  # one caller looks; the others go on being told

    def _silence(self) -> str:
        """How long it has been dead, in words."""
        seconds = (self._clock.now() - self._since).total_seconds() if self._since else 0.0
        if seconds < 120:
            return f"{max(1, round(seconds))} s"
        return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"

    def succeeded(self) -> None:
        self._failures, self._open, self._reason, self._since, self._pause = 0, False, "", None, FIRST_PAUSE

    def failed(self, reason: str, *, slow: bool) -> None:
        """`slow` failures held a caller until a time limit."""
        self._failures += 1
        self._reason = reason
        if self._since is None:
            self._since = self._clock.now()
        if self._open:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if slow or self._failures >= 2:
            self._open = True
            self._probe_at = self._clock.monotonic() + self._pause
