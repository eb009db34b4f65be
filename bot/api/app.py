"""The bot's HTTP endpoint: middlewares and routes in one visible list. Works while Discord is down, and knows nothing of it."""

from collections.abc import Sequence

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from bot.api.application.routes import application_routes
from bot.api.auth import KeyAuth, Limits, NodeAuth
from bot.api.client.routes import client_routes
from bot.api.errors import errors
from bot.api.health import BotState, Health
from bot.api.metrics import MetricsRoute, stopwatch
from bot.api.paging import ORIGIN
from bot.api.remote.activity import RemoteActivity
from bot.api.remote.backups import RemoteBackups
from bot.api.remote.servers import RemoteServers
from bot.api.remote.sftp import RemoteSftp
from bot.api.webhooks import Webhooks
from core.addresses import caller, networks
from core.clock import Clock, SystemClock
from core.errors import NotConfigured
from core.metrics import Metrics
from core.services.build import Services

MOST_BYTES = 4 * 1024 * 1024
"""Of one request's body."""


def make_app(
    services: Services,
    state: BotState | None = None,
    limits: Limits | None = None,
    metrics: Metrics | None = None,
    *,
    metrics_token: str = "",
    clock: Clock | None = None,
    proxies: Sequence[str] = (),
) -> web.Application:
    """The application, to be run by bot/app.py or a test. `proxies` are networks whose X-Forwarded-For is believed."""
    state, metrics = state or BotState(), metrics or Metrics()
    health, prometheus = Health(services, state), MetricsRoute(services, state, metrics, metrics_token)
    servers = RemoteServers(services.servers)
    activity = RemoteActivity(services.activity)
    backups = RemoteBackups(services.backups)
    sftp = RemoteSftp(services.sign_ins)
    webhooks = Webhooks(services.alert_sources, services.alerts, clock or SystemClock())
    node = NodeAuth(services.nodes).guard
    keys = KeyAuth(services.api_keys, services.throttles, limits or Limits())
    watched = stopwatch(metrics, clock or SystemClock())
    app = web.Application(middlewares=[_behind(proxies), watched, errors], client_max_size=MOST_BYTES)
    app[ORIGIN] = lambda: services.nodes.origin
    app.add_routes(
        [
            web.get("/health", health.health),
            web.get("/ready", health.ready),
            web.get("/metrics", prometheus.show),
            web.post("/webhooks/{token}", webhooks.receive),
            web.get("/api/remote/servers", node(servers.page)),
            web.post("/api/remote/servers/reset", node(servers.reset)),
            web.get("/api/remote/servers/{uuid}", node(servers.settings)),
            web.get("/api/remote/servers/{uuid}/install", node(servers.install_script)),
            web.post("/api/remote/servers/{uuid}/install", node(servers.report_install)),
            web.post("/api/remote/activity", node(activity.report)),
            web.get("/api/remote/backups/{backup}", node(backups.upload_urls)),
            web.post("/api/remote/backups/{backup}", node(backups.report)),
            web.post("/api/remote/backups/{backup}/restore", node(backups.report_restore)),
            web.post("/api/remote/sftp/auth", node(sftp.auth)),
            *client_routes(services, keys),
            *application_routes(services, keys),
        ]
    )
    return app


def _behind(proxies: Sequence[str]) -> Middleware:
    """From here on `request.remote` is who really asks."""

    try:
        known = networks(proxies)
    except ValueError as error:
        raise NotConfigured(f"The setting endpoint.trusted_proxies cannot be used: {error}.", hint="Write it as 10.0.0.0/8.") from None

    @web.middleware
    async def behind(request: web.Request, handler: Handler) -> web.StreamResponse:
        if known:
            said = request.headers.getall(hdrs.X_FORWARDED_FOR, [])
            request = request.clone(remote=caller(request.remote or "", said, known))
        return await handler(request)

    return behind
