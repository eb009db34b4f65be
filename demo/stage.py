"""The ground the demo plays on: its folder held, leftovers swept, an engine found or started, the games' images ready, the databases up.

`async with staged(folder, …) as stage:` gives it up in reverse order: game containers, the databases, a private engine, the folder.
Must never touch a container, process or engine that is not this demo's.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from demo import cast, containers, images
from demo.children import end_leftovers
from demo.folder import Folder, Remembered
from demo.stores import Stores, stored
from setup import engine
from setup.engine import Engine
from setup.engine_api import EngineApi
from setup.progress import say
from setup.sockets import Claims

INSTALLER = "_installer"
"""What an agent puts behind a server's uuid to name the container of its install script."""
SEED = Path(__file__).resolve().parent / "seed.json"


@dataclass(frozen=True)
class Stage:
    """What is there to play with."""

    folder: Folder
    remembered: Remembered
    engine: Engine | None
    missing: str
    stores: Stores

    @property
    def api(self) -> EngineApi:
        """The engine's API. Only where there is an engine."""
        assert self.engine is not None
        return EngineApi(self.engine.host)

    @property
    def network(self) -> str:
        """Name of the demo's own Docker network."""
        return network_of(self.remembered)

    @property
    def seed(self) -> Path:
        """The sandbox's seed with this demo's bot token in it."""
        return self.folder.root / "seed.json"

    def host_pid(self, server: str) -> int:
        """Process id of a server's game on the engine's machine, 0 when it is not running. Raises EngineError."""
        return containers.host_pid(self.api, self.remembered.servers[server])


@asynccontextmanager
async def staged(root: Path, engine_folder: Path, fresh: bool = False, docker: bool = True) -> AsyncIterator[Stage]:
    """Prepare everything the demo's programs need. `fresh` forgets what earlier demos made; `docker=False` asks for plain processes.

    Raises AlreadyRunning when another demo holds the folder. An engine or image that cannot be had is no error: see `Stage.missing`.
    """
    folder = Folder(root)
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.locked())
        claims = stack.enter_context(Claims())
        if leftovers := await asyncio.to_thread(end_leftovers, root):
            say(f"✓ Ended what an earlier demo left running: {', '.join(leftovers)}")
        before = folder.recall()
        found, missing = await asyncio.to_thread(_engine, engine_folder) if docker else (None, "Docker was not wanted.")
        if found is not None:
            stack.push_async_callback(asyncio.to_thread, found.stop)
            await containers.stop_all(EngineApi(found.host), played(folder, before))
            if before is not None:
                await asyncio.to_thread(containers.remove_network, EngineApi(found.host), network_of(before))
            try:
                await asyncio.to_thread(images.prepare, EngineApi(found.host), root / "logs" / "images.log")
            except images.ImageFailed as error:
                missing, ready = str(error), None
            else:
                ready = found
        else:
            ready = None
        if fresh:
            folder.clear()
        remembered = folder.remember(claims)
        stores = await stack.enter_async_context(stored(folder, remembered))
        stage = Stage(folder, remembered, ready, missing, stores)
        write_seed(stage)
        if ready is not None:
            stack.push_async_callback(_sweep, stage)
        yield stage


def _engine(folder: Path) -> tuple[Engine | None, str]:
    try:
        found = engine.find(folder)
    except engine.NoEngine as error:
        return None, str(error)
    if found.private is None:
        say(f"✓ Docker {found.version} ({found.found})")
    return found, ""


def network_of(remembered: Remembered) -> str:
    """Name of a demo's Docker network."""
    return f"aerie_demo_{remembered.mark}"


def played(folder: Folder, remembered: Remembered | None) -> list[str]:
    """Names of all containers that this demo's agents may have made: those of its own servers, and of servers that people made."""
    uuids = set(remembered.servers.values()) if remembered is not None else set()
    for node in cast.NODES:
        uuids |= {path.name for path in (folder.agent_data(node) / "volumes").glob("*-*-*-*-*")}
    return [name for uuid in sorted(uuids) for name in (uuid, f"{uuid}{INSTALLER}")]


def write_seed(stage: Stage) -> None:
    """Put the sandbox's seed, with the bot's token, into the demo's folder."""
    seed = json.loads(SEED.read_text())
    seed["application"]["token"] = stage.remembered.secrets["bot_token"]
    stage.seed.write_text(json.dumps(seed, indent=1))
    stage.seed.chmod(0o600)


async def _sweep(stage: Stage) -> None:
    await containers.stop_all(stage.api, await asyncio.to_thread(played, stage.folder, stage.remembered))
    await asyncio.to_thread(containers.remove_network, stage.api, stage.network)
