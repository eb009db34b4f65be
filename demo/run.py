"""`aerie demo` and `aerie tour`, from an empty folder to a clean end.

Order: stage (engine, images, databases), the local Discord, the database's rows, then bot and agents; everything stops in reverse.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from core.clock import SystemClock
from core.errors import AerieError
from demo import cast
from demo.children import NotStarted
from demo.folder import AlreadyRunning
from demo.play import HOST, Play, playing, sandbox_program, until_stopped
from demo.programs import agent_program, bot_program
from demo.seeding import egg_of, hand_over, seed, services_of
from demo.stage import Stage, staged
from demo.tour import TourFailed, tour_of
from sandbox.person import NotSeen, Refused

logging.getLogger("core").addHandler(logging.NullHandler())  # what the seeding finds odd is no news: the nodes are not up yet


@asynccontextmanager
async def performing(stage: Stage) -> AsyncIterator[Play]:
    """Local Discord, bot and agents, all ready. Raises NotStarted with the log of the one at fault."""
    async with playing(stage, [sandbox_program(stage)]) as hall, services_of(stage) as services:
        await seed(services, stage, hall.address)
        async with playing(stage, [bot_program(stage), *(agent_program(stage, node) for node in cast.NODES)]) as play:
            await hand_over(services)
            yield Play(stage, {**hall.children, **play.children})


async def demo(state: Path, *, fresh: bool, docker: bool, console: Console) -> int:
    """Run the demo until Ctrl-C. Answers the exit code."""
    try:
        async with staged(state / "demo", state / "engine", fresh=fresh, docker=docker) as stage:
            _tell_of_missing(stage, console)
            async with performing(stage) as play:
                console.print(f"\n[bold green]Aerie is up.[/] Open [bold]{play.address}[/] in a browser and type /", soft_wrap=True)
                for line in await asyncio.to_thread(suggestions, stage):
                    console.print(escape(line), soft_wrap=True, highlight=False)
                console.print(f"[dim]Logs: {stage.folder.root / 'logs'}   ·   Ctrl-C stops everything.[/]\n", soft_wrap=True)
                await until_stopped()
                console.print("Stopping …")
    except (AlreadyRunning, NotStarted, AerieError, NotSeen, Refused) as error:
        console.print(escape(str(error)), style="red", soft_wrap=True)
        return 1
    console.print("✓ Stopped: the games, the programs and what was started for them.")
    return 0


async def tour(state: Path, *, docker: bool, console: Console) -> int:
    """Run the demo on fresh data with scripted people; 0 only if every step was seen to happen."""
    try:
        async with staged(state / "tour", state / "engine", fresh=True, docker=docker) as stage:
            _tell_of_missing(stage, console)
            async with performing(stage) as play:
                watch = asyncio.get_running_loop().create_task(until_stopped())
                walk = asyncio.get_running_loop().create_task(tour_of(play, console, SystemClock()))
                done, _ = await asyncio.wait({watch, walk}, return_when=asyncio.FIRST_COMPLETED)
                if walk not in done:
                    walk.cancel()
                    console.print("Interrupted; stopping …")
                    return 130
                watch.cancel()
                await walk
    except (AlreadyRunning, NotStarted, AerieError, TourFailed, NotSeen, Refused) as error:
        console.print(escape(str(error)), style="red", soft_wrap=True)
        return 1
    return 0


def suggestions(stage: Stage) -> list[str]:
    """What to try, with this demo's own addresses; writes the egg that can be imported."""
    ports = stage.remembered.ports
    egg = stage.folder.root / "numbers.json"
    egg.write_text(json.dumps(egg_of(stage, "numbers"), indent=1))
    webhook = f"http://{HOST}:{ports['bot']}/webhooks/{stage.folder.webhook.read_text()}"
    alert = json.dumps({"title": "Disk almost full", "status": "firing", "severity": "warning", "key": "disk"})
    lines = [
        "  As Ada     /server list, then /server start; the consoles are live in #luanti-console, #freeciv-console, #aliens-console",
        "  As Cleo    /request restart in #requests; become Dora and Eli to vote it through",
        f"  An alert   curl -sS {webhook} -H 'Content-Type: application/json' -d '{alert}'",
        '             it opens in #alerts; send it again with "resolved" for "firing"',
        f"  Files      /account sftp, then sftp -P {ports['sftp-attic']} NAME@{HOST} (node attic; cellar: {ports['sftp-cellar']})",
    ]
    if stage.engine is not None:
        lines.append(f"  A server   /egg import with {egg}, then /server create")
    return lines


def _tell_of_missing(stage: Stage, console: Console) -> None:
    if stage.stores.missing:
        console.print(
            f"No MariaDB and Redis: {escape(stage.stores.missing)} SQLite and memory serve instead.", style="yellow", soft_wrap=True
        )
    if stage.engine is None:
        console.print(
            f"No Docker: {escape(stage.missing)} The games run as plain processes, without isolation.", style="yellow", soft_wrap=True
        )
