"""What a server uses right now: from the live board where its stream tells, else from its node, asked once in 20 s at most."""

from dataclasses import dataclass

from core.clock import Clock
from core.models.server import Server
from core.protocol.socket import StatsFrame
from core.services.live import LiveBoard
from core.services.nodes import Nodes
from core.vocabulary import ServerState

FRESH = 20.0  # seconds
_MOST_REMEMBERED = 5000


@dataclass(frozen=True, slots=True)
class Used:
    state: ServerState
    stats: StatsFrame


class Usage:
    def __init__(self, nodes: Nodes, live: LiveBoard, clock: Clock) -> None:
        self._nodes = nodes
        self._live = live
        self._clock = clock
        self._known: dict[str, tuple[float, Used]] = {}

    async def of(self, server: Server) -> Used:
        """Raises the node's errors when nobody has told and it cannot be asked."""
        live = self._live.of(server.uuid)
        if live.node_up and live.state is not None and live.stats is not None:
            return Used(live.state, live.stats)
        now = self._clock.monotonic()
        asked, used = self._known.get(server.uuid, (0.0, None))
        if used is not None and now - asked < FRESH:
            return used
        told = await self._nodes.client(server.node).server(server.uuid)
        used = Used(told.state, told.utilization)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        self._known[server.uuid] = (now, used)
        return used
