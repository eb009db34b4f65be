"""/metrics for Prometheus: what was counted, and how things stand at the moment of asking. Also the stop-watch of every request."""

from collections import Counter

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from bot.api.errors import Handler
from bot.api.health import BotState
from core.clock import Clock
from core.errors import Unauthenticated
from core.metrics import CONTENT_TYPE, Metrics
from core.services.build import Services
from core.tokens import same
from core.vocabulary import ServerState

_APIS = ("client", "application", "remote")


class MetricsRoute:
    def __init__(self, services: Services, state: BotState, metrics: Metrics, token: str = "") -> None:
        self._services = services
        self._state = state
        self._metrics = metrics
        self._token = token

    async def show(self, request: web.Request) -> web.Response:
        """Open, unless [metrics] token is set; then it must come as a bearer."""
        if self._token:
            scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            if scheme.lower() != "bearer" or not same(token.strip(), self._token):
                raise Unauthenticated("The metrics need their token.", hint="It stands in [metrics] token.")
        await self._look()
        return web.Response(body=self._metrics.text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    async def _look(self) -> None:
        """Read how nodes, servers and workers stand now."""
        metrics, live = self._metrics, self._services.live
        metrics.discord.set(self._state.discord())
        workers = list(self._state.workers())
        metrics.set_all(metrics.workers, {"running": sum(w.running for w in workers), "stopped": sum(not w.running for w in workers)})
        metrics.failures.set(sum(worker.failures for worker in workers))
        firing, behind = await self._services.directory.alerts()
        metrics.set_all(metrics.alerts, firing)
        metrics.set_all(metrics.queues, {**self._state.queues(), "alert_messages": behind})
        nodes = [live.lost(node.id) is None for node in await self._services.nodes.all()]
        metrics.set_all(metrics.nodes, {"up": sum(nodes), "lost": len(nodes) - sum(nodes)})
        states: Counter[str] = Counter({state.value: 0 for state in (*ServerState,)} | {"unknown": 0})
        statuses: Counter[str] = Counter()
        players, memory = 0, 0
        for uuid, status in await self._services.directory.census():
            now = live.of(uuid)
            states[now.state.value if now.state is not None and now.node_up else "unknown"] += 1
            statuses[status or "ready"] += 1
            if now.stats is not None and now.node_up:
                players += len(now.stats.aerie_players or ())
                memory += now.stats.memory_bytes
        metrics.set_all(metrics.servers, states)
        metrics.set_all(metrics.statuses, statuses)
        metrics.players.set(players)
        metrics.memory.set(memory)


def stopwatch(metrics: Metrics, clock: Clock) -> Middleware:
    """A middleware that measures every answer."""

    @web.middleware
    async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = clock.monotonic()
        response = await handler(request)
        method = request.method if request.method in hdrs.METH_ALL else "OTHER"
        metrics.requests.labels(_api(request.path), method, str(response.status)).observe(clock.monotonic() - began)
        return response

    return measured


def _api(path: str) -> str:
    parts = path.split("/", 3)
    return parts[2] if len(parts) > 2 and parts[1] == "api" and parts[2] in _APIS else "other"
