"""The engine's own word on who ended, was removed or was started: one event stream for the whole node.

When the stream breaks it is opened again and every known container is looked at anew, so nothing that happened meanwhile is missed.
"""

import json
import logging
from collections.abc import Awaitable, Callable

import aiohttp
from aiodocker import Docker, DockerError

from agent.runtime import container
from agent.runtime.runtime import Began, Died, EngineEvent, Exit, Inspection
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


class DockerEvents:
    """Follows the stream while `run` runs. `known` are the servers whose containers are looked at after a gap."""

    def __init__(self, inspect: Callable[[str], Awaitable[Inspection]], clock: Clock, tasks: Supervisor) -> None:
        self.known: set[str] = set()
        self.heard: Fanout[EngineEvent] = Fanout()
        self._inspect = inspect
        self._clock = clock
        self._tasks = tasks
        self._closing = False

    def close(self) -> None:
        """Told before the connection is closed, so that its end is not taken for a failure."""
        self._closing = True

    async def run(self, docker: Docker) -> None:
        """Follow the engine's events for ever; an engine that is away is asked again each second, so that its return is seen at once."""
        told = False
        while not self._closing:
            try:
                await self._follow(docker)
                told = False
            except EngineUnreachable as error:
                if not told:
                    log.warning("%s", error)
                told = True
            await self._clock.sleep(_RECONNECT_SECONDS)

    async def _follow(self, docker: Docker) -> None:
        """One connection's events, all known containers being looked at when it begins: so nothing that happened before is missed."""
        subscriber = docker.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        reader = self._tasks.spawn("event stream", _read(docker, json.dumps(_FILTERS)))
        try:
            for uuid in self.known.copy():
                await self._look(uuid)
            while (event := await subscriber.get()) is not None:
                await self._hear(event["Action"], _whose(event["Actor"]["Attributes"]))
            if not self._closing:
                raise EngineUnreachable("The Docker Engine ended its event stream.", hint="It may be restarting.")
        finally:
            reader.cancel()

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
