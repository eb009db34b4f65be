"""The engine's own word on who ended, was removed or was started: one event stream for the whole node.

When the stream breaks it is opened again and every container is looked at anew, so nothing that happened meanwhile is missed. Knows when
the engine was away, so that what it took with it is not called a crash.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import aiohttp
from aiodocker import Docker, DockerError

from agent.runtime import container
from agent.runtime.runtime import ENGINE_ENDS_WITHIN, Began, Died, EngineEvent, EngineLost, Exit, Inspection
from core.clock import Clock
from core.errors import EngineUnreachable
from core.fanout import Fanout
from core.supervise import Supervisor

log = logging.getLogger(__name__)

_RECONNECT_SECONDS = 1.0
_FILTERS = {
    "type": ["container"],
    "label": ["Service=Pterodactyl", "ContainerType=server_process"],  # what Wings' containers bear as well
    "event": ["start", "die", "died", "destroy", "remove"],  # podman filters by its own words for them
}
_LIST_SECONDS = 15.0
_SLACK = timedelta(seconds=2)


class DockerEvents:
    """Follows the stream while `run` runs. `known` are the servers whose containers are looked at after a gap."""

    def __init__(self, inspect: Callable[[str], Awaitable[Inspection]], clock: Clock, tasks: Supervisor) -> None:
        self.known: set[str] = set()
        self.heard: Fanout[EngineEvent] = Fanout()
        self._inspect = inspect
        self._clock = clock
        self._tasks = tasks
        self._closing = False
        self._lost: datetime | None = None
        self._found: datetime | None = None

    def close(self) -> None:
        """Told before the connection is closed, so that its end is not taken for a failure."""
        self._closing = True

    @property
    def _away(self) -> bool:
        return self._lost is not None and self._found is None

    def ended_with_engine(self, at: datetime | None) -> bool:
        """Whether a process that ended then was taken along by an engine that was stopped, killed or restarted."""
        if at is None or self._lost is None or at < self._lost - ENGINE_ENDS_WITHIN:
            return False
        return self._found is None or at <= self._found + _SLACK

    async def run(self, docker: Docker) -> None:
        """Follow the engine's events for ever; an engine that is away is asked again each second, so that its return is seen at once."""
        while not self._closing:
            try:
                await self._follow(docker)
            except EngineUnreachable as error:
                log.log(logging.DEBUG if self._away else logging.WARNING, "%s", error)
            if not self._away:
                self._lost, self._found = self._clock.now(), None
                self.heard.publish(EngineLost())
            await self._clock.sleep(_RECONNECT_SECONDS)

    async def _follow(self, docker: Docker) -> None:
        """One connection's events, all containers being looked at when it begins: so nothing that happened before is missed."""
        subscriber = docker.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        reader = self._tasks.spawn("event stream", _read(docker, json.dumps(_FILTERS)))
        try:
            running = await self._running(docker)
            if self._away:
                self._found = self._clock.now()
            for uuid in self.known - running:
                await self._look(uuid)
            for uuid in running:
                self.heard.publish(Began(uuid))
            while (event := await subscriber.get()) is not None:
                await self._hear(event["Action"], _whose(event["Actor"]["Attributes"]))
            if not self._closing:
                raise EngineUnreachable("The Docker Engine ended its event stream.", hint="It may be restarting.")
        finally:
            reader.cancel()

    async def _running(self, docker: Docker) -> set[str]:
        """Servers whose containers run now. Raises EngineUnreachable."""
        filters = json.dumps({"label": _FILTERS["label"]})
        try:
            shown = await asyncio.wait_for(docker.containers.list(filters=filters), _LIST_SECONDS)
        except (aiohttp.ClientError, OSError, DockerError, TimeoutError) as error:
            raise EngineUnreachable("The Docker Engine does not answer.", hint="Start Docker on the node.") from error
        return {_whose({"name": one["Names"][0].lstrip("/"), **(one["Labels"] or {})}) for one in shown}

    async def _hear(self, action: str, uuid: str) -> None:
        match action:
            case "start":
                self.known.add(uuid)
                self.heard.publish(Began(uuid))
            case "destroy" | "remove":
                if uuid in self.known and not (await self._inspect(uuid)).exists:
                    self.heard.publish(Died(uuid, Exit(None, reason="its container was removed")))
            case _:
                await self._look(uuid)

    async def _look(self, uuid: str) -> None:
        shown = await self._inspect(uuid)
        if not shown.exists:
            self.heard.publish(Died(uuid, Exit(None, reason="its container was removed")))
        elif shown.exit is not None:
            self.heard.publish(Died(uuid, shown.exit))


def _whose(attributes: dict[str, str]) -> str:
    """The server whose container it is. One that Wings made bears its uuid as its name alone."""
    return attributes.get(container.LABEL) or attributes.get("name", "")


async def _read(docker: Docker, filters: str) -> None:
    try:
        await docker.events.run(filters=filters)
    except (aiohttp.ClientError, OSError, DockerError) as error:
        log.debug("the event stream broke: %s", error)
