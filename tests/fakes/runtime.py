"""Twins of the process runtime that behave as engines do on a bad day: slow, rude, dead."""

import asyncio

from agent.runtime.process import ProcessRuntime
from agent.runtime.runtime import Inspection, Progress
from core.errors import EngineUnreachable, PortTaken
from core.protocol.settings import ServerConfiguration


class SlowRuntime(ProcessRuntime):
    """Its image never comes."""

    async def ensure_image(self, configuration: ServerConfiguration, progress: Progress) -> None:
        progress("pulling, and pulling")
        await asyncio.sleep(3600)


class RudeRuntime(ProcessRuntime):
    """Something else sits on the port."""

    async def start(self, uuid: str) -> None:
        raise PortTaken("Port 25565 is already taken on the node.", hint="Stop what uses it.")


class DeadRuntime(ProcessRuntime):
    """Does not answer while `dead`."""

    dead = False

    async def inspect(self, uuid: str) -> Inspection:
        if self.dead:
            raise EngineUnreachable("The Docker Engine cannot be reached.", hint="Start Docker on the node.")
        return await super().inspect(uuid)
