"""`python -m sandbox --seed FILE --port N`: a Discord on your desk until Ctrl-C.

Must never do more than read the command line, start the app and print where it is.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

from sandbox.app import SandboxConfig, running
from sandbox.door import NotLoopback
from sandbox.seed import SeedError


async def serve(config: SandboxConfig) -> None:
    """Runs until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with running(config) as app:
        sys.stdout.write(f"sandbox: open {app.url}  (API {app.api_url}, gateway {app.gateway_url}, bot token {app.token})\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Reads the arguments; 0 after a clean stop, 2 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A local Discord for discord.py bots.")
    parser.add_argument("--seed", type=Path, help="JSON or TOML file with the community; default: a small demo community")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=8580, help="port to listen on; 0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to every REST answer")
    parser.add_argument("--allow-remote", action="store_true", help="permit a host that is not loopback: anybody who reaches it is anybody")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = SandboxConfig(
        host=arguments.host, port=arguments.port, seed=arguments.seed, latency=arguments.latency, allow_remote=arguments.allow_remote
    )
    try:
        asyncio.run(serve(config))
    except (NotLoopback, SeedError, OSError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
