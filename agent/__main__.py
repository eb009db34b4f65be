"""`python -m agent --config FILE`: settings, then run until SIGTERM."""

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop

from agent.app import running
from core import log
from core.config import AgentConfig, load
from core.errors import AerieError
from core.supervise import stop_asked


async def main(path: Path | None) -> None:
    config = load(AgentConfig, path)
    log.set_up(config.log.level)
    stop = stop_asked()
    async with running(config):
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="agent", description="Aerie's node daemon.")
    parser.add_argument("--config", type=Path, default=None)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(parser.parse_args().config))
    except AerieError as error:
        sys.exit(str(error))
