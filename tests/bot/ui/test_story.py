"""A power signal's story, from Aerie's progress frames and from bare states alone."""

from datetime import UTC, datetime

from bot.ui.story import Story
from core.errors import NodeUnreachable
from core.events import ServerDeleted, ServerPowerProgressed, ServerStateChanged
from core.protocol.socket import PowerProgress, StateChange
from core.vocabulary import PowerPhase, PowerSignal, ServerState

UUID = "7a1f0c7e-0000-4000-8000-000000000000"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def story(signal: PowerSignal, before: ServerState, signal_id: str = "") -> Story:
    made = Story("luanti", UUID, signal, before)
    made.signal_id = signal_id
    return made


def progress(phase: PowerPhase, state: ServerState, signal: PowerSignal, reason: str = "", signal_id: str = "s1") -> ServerPowerProgressed:
    body = PowerProgress(signal_id=signal_id, signal=signal, phase=phase, state=state, reason=reason, at=AT)
    return ServerPowerProgressed(server_uuid=UUID, progress=body)


def ended(told: Story) -> bool:
    return told.done


def change(state: ServerState, previous: ServerState, reason: str = "") -> ServerStateChanged:
    return ServerStateChanged(server_uuid=UUID, change=StateChange(state=state, previous=previous, reason=reason, at=AT))


def test_a_restart_is_told_through_stopping_and_starting_to_its_time() -> None:
    told = story(PowerSignal.RESTART, ServerState.RUNNING, "s1")
    told.hear(progress(PowerPhase.STOPPING, ServerState.STOPPING, PowerSignal.RESTART), 1)
    assert "stopping" in told.text
    told.hear(progress(PowerPhase.STARTING, ServerState.STARTING, PowerSignal.RESTART), 9)
    assert "starting" in told.text
    assert not ended(told)
    told.hear(progress(PowerPhase.DONE, ServerState.RUNNING, PowerSignal.RESTART), 41)
    assert ended(told)
    assert "running again, 41 s" in told.text


def test_a_failure_tells_the_nodes_reason() -> None:
    told = story(PowerSignal.START, ServerState.OFFLINE, "s1")
    told.hear(progress(PowerPhase.FAILED, ServerState.OFFLINE, PowerSignal.START, "port 30000 is taken"), 2)
    assert ended(told)
    assert "was not started: port 30000 is taken." in told.text


def test_an_overtaken_start_says_by_what() -> None:
    told = story(PowerSignal.START, ServerState.OFFLINE, "s1")
    told.hear(progress(PowerPhase.SUPERSEDED, ServerState.OFFLINE, PowerSignal.START), 2)
    assert ended(told)
    assert "kill overtook it" in told.text


def test_progress_of_another_signal_does_not_end_this_story() -> None:
    told = story(PowerSignal.START, ServerState.OFFLINE, "s1")
    told.hear(progress(PowerPhase.DONE, ServerState.RUNNING, PowerSignal.START, signal_id="s2"), 2)
    assert not ended(told)


def test_bare_states_of_stock_wings_tell_a_restart() -> None:
    told = story(PowerSignal.RESTART, ServerState.RUNNING)
    told.hear(change(ServerState.RUNNING, ServerState.RUNNING), 0.1)
    assert not ended(told)
    told.hear(change(ServerState.STOPPING, ServerState.RUNNING), 1)
    told.hear(change(ServerState.OFFLINE, ServerState.STOPPING), 3)
    assert not ended(told)
    told.hear(change(ServerState.STARTING, ServerState.OFFLINE), 4)
    told.hear(change(ServerState.RUNNING, ServerState.STARTING), 12)
    assert "running again, 12 s" in told.text


def test_a_start_that_ends_offline_failed_even_without_progress_frames() -> None:
    told = story(PowerSignal.START, ServerState.OFFLINE)
    told.hear(change(ServerState.STARTING, ServerState.OFFLINE), 1)
    told.hear(change(ServerState.OFFLINE, ServerState.STARTING), 2)
    assert ended(told)
    assert "was not started" in told.text


def test_a_lost_node_is_told_and_the_state_it_comes_back_with_ends_the_story() -> None:
    told = story(PowerSignal.STOP, ServerState.RUNNING, "s1")
    told.node_lost("connection refused.")
    assert "does not answer (connection refused)" in told.text
    assert not ended(told)
    told.saw(ServerState.OFFLINE, 20)
    assert ended(told)
    assert "offline" in told.text


def test_a_signal_that_could_not_be_sent_says_what_to_do() -> None:
    told = story(PowerSignal.STOP, ServerState.RUNNING)
    told.failed(NodeUnreachable("The node n1 does not answer", hint="Check that the agent runs there"))
    assert ended(told)
    assert told.text.endswith("was not stopped: The node n1 does not answer. Check that the agent runs there.")


def test_a_deleted_server_ends_the_story() -> None:
    told = story(PowerSignal.START, ServerState.OFFLINE, "s1")
    told.hear(ServerDeleted(server_uuid=UUID), 1)
    assert ended(told)


def test_nothing_waits_for_ever() -> None:
    told = story(PowerSignal.STOP, ServerState.RUNNING, "s1")
    told.hear(change(ServerState.STOPPING, ServerState.RUNNING), 1)
    told.give_up(3600, "Look at `/server info`.")
    assert ended(told)
    assert "still stopping after 1 h 0 min" in told.text
