"""The front door: `aerie sandbox`, and what else Aerie can be started as.

Knows the command line alone and wires what it starts; each command imports its own room, so that an agent's machine never loads
discord.py. Nothing may import this module.
"""

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Game servers, run from Discord.")
errors = Console(stderr=True)


async def _stopped() -> None:
    """Wait for SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()


@app.callback()
def main_help() -> None:
    """Game servers, run from Discord."""


@app.command()
def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on; loopback only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8580,
    seed: Annotated[Path | None, typer.Option(help="JSON or TOML file with the community; a small one is made up without it.")] = None,
    latency: Annotated[float, typer.Option(help="Seconds added to every answer.")] = 0.0,
) -> None:
    """A Discord on your desk: a chat page, and the API a bot needs."""
    from sandbox.app import SandboxConfig, running
    from sandbox.door import NotLoopback
    from sandbox.seed import SeedError

    async def serve() -> None:
        async with running(SandboxConfig(host=host, port=port, seed=seed, latency=latency)) as box:
            typer.echo(f"Open {box.url}  (API {box.api_url}, gateway {box.gateway_url})")
            await _stopped()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve())
    except (NotLoopback, SeedError, OSError) as error:
        errors.print(f"The sandbox cannot start: {error}", style="red", highlight=False, markup=False)
        raise typer.Exit(2) from error


def main() -> None:
    """Entry of the `aerie` command and of `python -m aerie`."""
    app()


if __name__ == "__main__":
    main()
