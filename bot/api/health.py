"""/health: does the process live. /ready: can it do its work. Both are open, so they name no addresses and no errors' texts."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web

from core.errors import AerieError
from core.services.build import Services
from core.supervise import WorkerHealth

_LIMIT = 3.0  # seconds a part may take to answer


@dataclass(frozen=True, slots=True)
class BotState:
    """What the endpoint may know of the rest of the bot."""

    discord: Callable[[], bool] = lambda: False
    """Whether the gateway connection stands."""
    workers: Callable[[], Iterable[WorkerHealth]] = tuple
    queues: Callable[[], Mapping[str, int]] = dict
    """What waits in each queue, by the queue's name."""


class Health:
    def __init__(self, services: Services, state: BotState) -> None:
        self._services = services
        self._state = state

    async def health(self, _: web.Request) -> web.Response:
        """200 as long as the event loop turns."""
        workers = [{"name": w.name, "running": w.running, "failures": w.failures} for w in self._state.workers()]
        return web.json_response({"status": "ok", "workers": workers})

    async def ready(self, _: web.Request) -> web.Response:
        """200 when database, backplane and Discord are there, else 503; which of them is missing is named."""
        parts = {"database": await self._database(), "backplane": await self._backplane(), "discord": self._state.discord()}
        return web.json_response({"ready": all(parts.values()), **parts}, status=200 if all(parts.values()) else 503)

    async def _database(self) -> bool:
        try:
            async with asyncio.timeout(_LIMIT):
                await self._services.database.open()
        except (AerieError, TimeoutError):
            return False
        return True

    async def _backplane(self) -> bool:
        try:
            async with asyncio.timeout(_LIMIT):
                await self._services.backplane.ping()
        except (AerieError, TimeoutError):
            return False
        return True
