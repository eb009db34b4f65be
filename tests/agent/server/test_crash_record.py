"""What is kept of a crash."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.runtime.runtime import Exit
from agent.server.crash import Verdict
from agent.server.crash_record import BYTES, LINES, LONGEST_LINE, crash_record, signal_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("code", "name"), [(137, "SIGKILL"), (139, "SIGSEGV"), (1, ""), (0, ""), (None, ""), (255, ""), (128, "")])
def test_a_signal_is_told_by_its_name(code: int | None, name: str) -> None:
    assert signal_of(code) == name


def test_it_keeps_how_long_it_ran_and_its_last_lines() -> None:
    lines = [f"line {number}" for number in range(300)] + ["x" * 5000]
    kept = crash_record(
        Exit(137, oom_killed=True), Verdict(True, "It crashed.", restarts=2), began=NOW - timedelta(seconds=90), now=NOW, lines=lines
    )
    assert (kept.exit_code, kept.oom_killed, kept.signal, kept.uptime, kept.restarts, kept.restarting) == (
        137,
        True,
        "SIGKILL",
        90.0,
        2,
        True,
    )
    assert len(kept.lines) == LINES
    assert kept.lines[-2] == "line 299"
    assert len(kept.lines[-1]) == LONGEST_LINE + 1


def test_a_beginning_that_nobody_knows_is_no_uptime() -> None:
    assert crash_record(Exit(1), Verdict(False, ""), began=None, now=NOW, lines=[]).uptime == 0.0


def test_long_last_words_are_kept_to_what_a_frame_bears() -> None:
    kept = crash_record(Exit(1), Verdict(False, ""), began=None, now=NOW, lines=["x" * 400] * 200)
    assert 0 < sum(map(len, kept.lines)) <= BYTES
