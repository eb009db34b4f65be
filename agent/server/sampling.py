"""All servers that run, measured once a second in one pass: one task for the node, however many servers there are."""

from collections.abc import Callable, Iterable

from agent.runtime.runtime import Runtime
from agent.server.server import Server
from core.clock import Clock

SAMPLE_SECONDS = 1.0


async def sample_for_ever(runtime: Runtime, servers: Callable[[], Iterable[Server]], clock: Clock) -> None:
    """Measure, second by second; a pass that comes late is not made up for."""
    due = clock.monotonic()
    while True:
        due = max(due + SAMPLE_SECONDS, clock.monotonic())
        await clock.sleep(due - clock.monotonic())
        sample(runtime, servers())


def sample(runtime: Runtime, servers: Iterable[Server]) -> None:
    """One pass. Nothing in it waits, so that no server's trouble delays another's figures."""
    running = [server for server in servers if server.measured]
    samples = runtime.samples([server.uuid for server in running])
    for server in running:
        server.take(samples.get(server.uuid))
