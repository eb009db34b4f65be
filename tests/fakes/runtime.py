"""Twins of the process runtime that behave as engines do on a bad day: slow, rude, dead."""

import asyncio
from pathlib import Path

from agent.runtime.installer import SCRIPT, name_of
from agent.runtime.process import ProcessRuntime
from agent.runtime.runtime import Inspection, Progress
from core.errors import EngineUnreachable, PortTaken
from core.protocol.remote import InstallScript
from core.protocol.settings import ServerConfiguration


class SlowRuntime(ProcessRuntime):
    """Its image never comes."""

    async def ensure_image(self, configuration: ServerConfiguration, progress: Progress) -> None:
        progress.say("pulling, and pulling")
        await asyncio.sleep(3600)


class RudeRuntime(ProcessRuntime):
    """Something else sits on the port."""

    async def start(self, uuid: str) -> None:
        raise PortTaken("Port 25565 is already taken on the node.", hint="Stop what uses it.")


class ScriptRuntime(ProcessRuntime):
    """Runs install scripts as plain processes, in the server's folder: only for scripts that a test wrote."""

    @property
    def runs_scripts(self) -> bool:
        return True

    async def create_installer(self, configuration: ServerConfiguration, script: InstallScript, folder: Path, scripts: Path) -> str:
        name = name_of(configuration.settings.uuid)
        line = f"exec {script.entrypoint} {scripts / SCRIPT}"
        settings = configuration.settings.model_copy(update={"uuid": name, "invocation": line})
        await self.create(configuration.model_copy(update={"settings": settings}), folder)
        return name

    async def installers(self) -> list[str]:
        return [name.removesuffix("_installer") for name in self._processes if name.endswith("_installer")]


class DeadRuntime(ProcessRuntime):
    """Does not answer while `dead`."""

    dead = False

    async def inspect(self, uuid: str) -> Inspection:
        if self.dead:
            raise EngineUnreachable("The Docker Engine cannot be reached.", hint="Start Docker on the node.")
        return await super().inspect(uuid)
