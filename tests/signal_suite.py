"""Signals at random from many clients on one server: what must hold whatever engine is underneath."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from agent.runtime.runtime import Runtime
from agent.server.server import Server
from core.errors import AerieError
from core.protocol.socket import PowerProgress
from core.vocabulary import PowerPhase, PowerSignal, ServerState

CLIENTS = 10
PATIENCE = 120.0  # seconds until every signal has ended

ENDS_IN = {
    PowerSignal.START: ServerState.RUNNING,
    PowerSignal.RESTART: ServerState.RUNNING,
    PowerSignal.STOP: ServerState.OFFLINE,
    PowerSignal.KILL: ServerState.OFFLINE,
}


@dataclass
class Storm:
    """What was accepted, in order, and how each ended."""

    accepted: dict[str, PowerSignal] = field(default_factory=dict)
    last: str = ""
    refused: int = 0
    ends: dict[str, list[PowerProgress]] = field(default_factory=dict)

    def unended(self) -> list[str]:
        return [signal_id for signal_id in self.accepted if signal_id not in self.ends]


async def storm(server: Server, runtime: Runtime, *, signals: int, seed: int, pause: float) -> Storm:
    """Send them, each client waiting up to `pause` seconds in between; answers once every accepted one has ended."""
    found, listener = Storm(), server.events.listen(capacity=1_000_000)

    async def client(number: int) -> None:
        dice = random.Random(f"{seed}/{number}")
        for _ in range(signals // CLIENTS):
            await asyncio.sleep(dice.random() * pause)
            signal = dice.choice(list(PowerSignal))
            try:
                found.last = server.power(signal)
            except AerieError as error:
                assert error.status < 500, error
                found.refused += 1
            else:
                found.accepted.setdefault(found.last, signal)

    async def listen() -> None:
        async for event in listener:
            if isinstance(event, PowerProgress) and event.phase.final:
                found.ends.setdefault(event.signal_id, []).append(event)

    listening = asyncio.ensure_future(listen())
    try:
        await asyncio.gather(*map(client, range(CLIENTS)))
        async with asyncio.timeout(PATIENCE):
            while found.unended():
                await asyncio.sleep(0.02)
    finally:
        listener.close()
        await listening
    assert listener.dropped == 0
    return found


async def holds(found: Storm, server: Server, runtime: Runtime) -> None:
    """No signal was forgotten, each ended once, and the state is the engine's and what was asked for last."""
    assert found.accepted.keys() == found.ends.keys()
    assert {len(ends) for ends in found.ends.values()} == {1}
    assert all(end.reason for [end] in found.ends.values() if end.phase is not PowerPhase.DONE)
    assert not server.power_busy
    assert (await runtime.inspect(server.uuid)).running is (server.state is ServerState.RUNNING)
    [end] = found.ends[found.last]
    assert end.phase is PowerPhase.DONE, end
    assert server.state is ENDS_IN[found.accepted[found.last]], (found.accepted[found.last], server.reason)
    phases = Counter(end.phase for [end] in found.ends.values())
    assert phases[PowerPhase.DONE] > 1
    assert phases[PowerPhase.SUPERSEDED] > 1
