"""`python -m bot --config FILE`: settings, log, run until SIGINT or SIGTERM."""

import argparse
import asyncio
import gc
import sys
from pathlib import Path

import uvloop

from bot.app import running
from core import log
from core.config import BotConfig, load
from core.errors import AerieError
from core.supervise import stop_asked


async def serve(path: Path | None) -> None:
    """Raises AerieError with what is wrong with the settings."""
    config = load(BotConfig, path)
    log.set_up(config.log.level)
    stop = stop_asked()
    async with running(config):
        gc.freeze()  # code and tables live as long as we do; looking through them took 120 ms, in which no interaction was answered
        await stop.wait()


def main() -> int:
    """Answers the exit code: 2 when the settings cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m bot", description="Aerie's control plane.")
    parser.add_argument("--config", type=Path, help="settings file; aerie.toml when there is one")
    arguments = parser.parse_args()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(arguments.config))
    except AerieError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
