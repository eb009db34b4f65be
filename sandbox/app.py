"""A running sandbox: one port with Discord's REST API, its gateway, the page and the people.

`async with running(SandboxConfig()) as app:` starts it and yields a `Sandbox`: where it listens and what tests may steer.
Must never listen beyond loopback unless it was asked to in so many words.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox import door, limits
from sandbox.acts import Acts
from sandbox.clock import Clock
from sandbox.commands import Commands
from sandbox.gateway import Gateway
from sandbox.hub import Hub
from sandbox.interactions import Interaction, Interactions
from sandbox.pages import Pages
from sandbox.ratelimits import Limiter
from sandbox.rest import applications, channels, guilds, interactions, messages, users, webhooks
from sandbox.rest.router import Recorded, Refusal, Router, Traffic, not_found
from sandbox.seed import Seed, demo_seed
from sandbox.state import State
from sandbox.tasks import Tasks
from sandbox.world import World


@dataclass
class SandboxConfig:
    """How a sandbox runs.

    `port` 0 takes a free one. `seed` is a Seed or the path of its file; None is the small demo community. `strict` enforces rate
    limits. `latency` seconds are added to every REST answer. `observers` are called with every REST request of the bot.
    `pace_identify` enforces one IDENTIFY per 5 s. `allow_remote` permits a host that is not loopback.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: Seed | Path | str | None = None
    strict: bool = True
    latency: float = 0.0
    observers: list[Callable[[Recorded], None]] = field(default_factory=list)
    pace_identify: bool = False
    allow_remote: bool = False


class Sandbox:
    """A running sandbox: its addresses, and what a test may look at and steer."""

    def __init__(self, world: World, traffic: Traffic, url: str, port: int) -> None:
        self.world = world
        self.state = world.state
        self.clock = world.clock
        self.url = url
        self.port = port
        self._traffic = traffic
        self.acknowledged_after: list[float] = []
        world.interactions.on_acknowledged.append(self._timed)

    def _timed(self, _item: Interaction, seconds: float) -> None:
        self.acknowledged_after.append(seconds)
        if len(self.acknowledged_after) > limits.REQUESTS_KEPT:
            del self.acknowledged_after[: limits.REQUESTS_KEPT // 10]

    @property
    def api_url(self) -> str:
        """What `discord.http.Route.BASE` must be."""
        return f"{self.url}/api/v10"

    @property
    def gateway_url(self) -> str:
        """What `discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY` must be."""
        return f"{self.url.replace('http', 'ws', 1)}/gateway"

    @property
    def token(self) -> str:
        """The bot's token."""
        return self.state.token

    @property
    def requests(self) -> list[Recorded]:
        """The requests of the bot, oldest first (the last 5000)."""
        return self._traffic.requests

    @property
    def observers(self) -> list[Callable[[Recorded], None]]:
        """Who is shown every request; may be changed while running."""
        return self._traffic.observers

    @property
    def rate_limit_hits(self) -> int:
        """How many 429s were sent."""
        return self.world.limiter.hits

    @property
    def latency(self) -> float:
        """Seconds added to every REST answer."""
        return self._traffic.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._traffic.latency = seconds

    def drop_gateway(self, resumable: bool = True) -> None:
        """Cuts every gateway connection without a goodbye; `resumable=False` also forgets the sessions."""
        self.world.gateway.drop(resumable=resumable)

    def ask_to_reconnect(self) -> None:
        """Sends op 7 to every gateway connection."""
        self.world.gateway.ask_to_reconnect()

    def deliver_twice(self, count: int = 1) -> None:
        """The next `count` gateway events arrive twice."""
        self.world.gateway.deliver_twice(count)

    def refuse(self, method: str, path_regex: str, status: int, code: int = 0, times: int = 1) -> None:
        """The next `times` requests with this method ("*": any) and path are refused; status 5xx makes clients retry."""
        self._traffic.refusals.append(Refusal(method.upper(), re.compile(path_regex), status, code, times))


def load(seed: Seed | Path | str | None) -> Seed:
    """A seed from whatever the configuration holds. Raises SeedError."""
    if seed is None:
        return demo_seed()
    return seed if isinstance(seed, Seed) else Seed.load(Path(seed))


@asynccontextmanager
async def running(config: SandboxConfig) -> AsyncIterator[Sandbox]:
    """Runs a sandbox until the block ends. Raises NotLoopback, SeedError, or OSError when the port is taken."""
    door.require_loopback(config.host, allow_remote=config.allow_remote)
    clock, tasks = Clock(), Tasks()
    state = State(await asyncio.to_thread(load, config.seed), clock)
    hub = Hub(state)
    limiter = Limiter(clock, enforce=config.strict)
    commands = Commands(clock, state.application_id)
    gateway = Gateway(clock, state, hub, tasks, pace_identify=config.pace_identify)
    world = World(clock, state, hub, commands, Interactions(clock, state, hub), gateway, limiter)
    traffic = Traffic(list(config.observers), config.latency)
    pages = Pages(world, Acts(world), tasks)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tasks.close)
        runner = web.AppRunner(_application(config, world, traffic, pages), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(pages.close)
        stack.push_async_callback(gateway.close)
        stack.callback(world.interactions.close)
        site = web.TCPSite(runner, config.host, config.port)
        await site.start()
        port = _port(runner)
        shown = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
        url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
        hub.base_url = url
        yield Sandbox(world, traffic, url, port)


def _port(runner: web.AppRunner) -> int:
    address: Any = runner.addresses[0]
    return int(address[1])


def _application(config: SandboxConfig, world: World, traffic: Traffic, pages: Pages) -> web.Application:
    app = web.Application(middlewares=[door.guard(allow_remote=config.allow_remote)], client_max_size=limits.REQUEST_BYTES + (1 << 20))
    router = Router(world, traffic)
    for room in (users, applications, guilds, channels, messages, interactions, webhooks):
        router.add(app, room.ROUTES)
    app.router.add_get("/gateway", world.gateway.serve)
    app.router.add_get("/gateway/", world.gateway.serve)
    app.router.add_get("/sandbox/people", pages.list_people)
    app.router.add_get("/sandbox/ws", pages.connect)
    app.router.add_get("/attachments/{channel_id}/{attachment_id}/{filename}", door.attachments(world.state))
    app.router.add_get("/", door.index)
    app.router.add_get("/page/{path:.+}", door.page)
    app.router.add_route("*", "/api/{path:.*}", not_found)
    return app
