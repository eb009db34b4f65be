"""All servers that run, measured once a second in one pass: one task for the node, however many servers there are."""

from collections.abc import Callable, Iterable, Sequence

from agent.runtime.runtime import Runtime
from agent.server.server import Server
from core.clock import Clock

SAMPLE_SECONDS = 1.0
AT_ONCE = 32
"""Servers measured before others get their turn: two milliseconds or so."""


async def sample_for_ever(runtime: Runtime, servers: Callable[[], Iterable[Server]], clock: Clock) -> None:
    """Measure, second by second; a pass that comes late is not made up for."""
    due = clock.monotonic()
    while True:
        due = max(due + SAMPLE_SECONDS, clock.monotonic())
        await clock.sleep(due - clock.monotonic())
        running = [server for server in servers() if server.measured]
        for start in range(0, len(running), AT_ONCE):
            sample(runtime, running[start : start + AT_ONCE])
            await clock.sleep(0)


def sample(runtime: Runtime, running: Sequence[Server]) -> None:
    """Measure some of them. Nothing in it waits, so that no server's trouble delays another's figures."""
    samples = runtime.samples([server.uuid for server in running])
    for server in running:
        server.take(samples.get(server.uuid))
