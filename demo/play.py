"""The demo's programs on their stage: started together, ready together, stopped together; one address for the person.

`async with playing(stage, programs) as play:` yields once every program answers. Must never leave a program running after the block.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.supervise import Supervisor
from demo.children import Child, Program, aerie, answers
from demo.stage import Stage

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Play:
    """Running programs by name, and the page's address."""

    stage: Stage
    children: dict[str, Child]

    @property
    def address(self) -> str:
        """Where the chat page is."""
        return f"http://{HOST}:{self.stage.remembered.ports['sandbox']}"


def sandbox_program(stage: Stage) -> Program:
    """The local Discord, with the demo's community and this demo's bot token."""
    port = stage.remembered.ports["sandbox"]

    async def ready() -> bool:
        return await answers(HOST, port, "/sandbox/people") == 200

    return Program("sandbox", aerie("sandbox", "--host", HOST, "--port", str(port), "--seed", str(stage.seed)), ready)


@asynccontextmanager
async def playing(stage: Stage, programs: Sequence[Program]) -> AsyncIterator[Play]:
    """Start the programs all at once, and stop them all at once. Raises NotStarted with the log of the one at fault."""
    children = {program.name: Child(program, stage.folder.root) for program in programs}
    play = Play(stage, children)
    async with Supervisor("demo") as tasks:
        try:
            await _start_all(children.values(), tasks)
            stage.folder.announce(play.address)
            yield play
        finally:
            await asyncio.gather(*(child.stop() for child in children.values()))


async def _start_all(children: Iterable[Child], tasks: Supervisor) -> None:
    """Start all at once; the first that fails is told and the others are not waited for."""
    try:
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(child.start(tasks))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def until_stopped() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)  # stays in place while we clean up: an impatient Ctrl-C must not leave things behind
    await stop.wait()
