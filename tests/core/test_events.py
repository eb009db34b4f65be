"""Events survive the backplane: what is written is read again as the same fact."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from core.events import (
    EVENT,
    Event,
    NodeBack,
    NodeLost,
    ServerDeleted,
    ServerPowerProgressed,
    ServerStateChanged,
    ServerStatsSampled,
)
from core.protocol.socket import PowerProgress, StateChange, StatsFrame
from core.vocabulary import PowerPhase, PowerSignal, ServerState

AT = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)

EVENTS: list[Event] = [
    ServerStateChanged(
        server_uuid="u", change=StateChange(state=ServerState.OFFLINE, previous=ServerState.RUNNING, at=AT, exit_code=137, oom_killed=True)
    ),
    ServerPowerProgressed(
        server_uuid="u",
        progress=PowerProgress(signal_id="f" * 32, signal=PowerSignal.KILL, phase=PowerPhase.DONE, state=ServerState.OFFLINE, at=AT),
    ),
    ServerStatsSampled(server_uuid="u", stats=StatsFrame(memory_bytes=1, aerie_players=["Ada"])),
    NodeLost(node_id=1, node_name="n", at=AT, reason="it does not answer"),
    NodeBack(node_id=1, node_name="n", at=AT),
    ServerDeleted(server_uuid="u"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_reads_back_as_itself(event: Event) -> None:
    assert EVENT.validate_json(EVENT.dump_json(event)) == event


def test_an_event_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValidationError):
        EVENT.validate_json(b'{"type": "moon_landed"}')


@pytest.mark.parametrize(("phase", "final"), [(phase, phase.value in ("done", "failed", "superseded")) for phase in PowerPhase])
def test_a_phase_knows_whether_it_ends_the_signal(phase: PowerPhase, final: bool) -> None:
    assert phase.final is final
