"""What is kept of a crash for people who were not there: how it ended, how long it had run, its last lines.

Describes only; crash.py judges. Goes out as `aerie.crash`, to a control plane that was away when it next connects.
"""

import signal
from collections.abc import Sequence
from datetime import datetime, timedelta

from agent.runtime.runtime import Exit
from agent.server.crash import Verdict
from core.protocol.socket import CrashReport

LINES, BYTES = 200, 16 * 1024
LONGEST_LINE = 500
"""Characters kept of one line."""
REPLAYED_FOR = timedelta(hours=24)


def crash_record(ended: Exit, verdict: Verdict, *, began: datetime | None, now: datetime, lines: Sequence[str]) -> CrashReport:
    """`lines` are the console's newest, oldest first; `began` is when the process started, None when nobody knows."""
    return CrashReport(
        exit_code=ended.code,
        oom_killed=ended.oom_killed,
        signal=signal_of(ended.code),
        uptime=round(max(0.0, (now - began).total_seconds()), 1) if began else 0.0,
        restarts=verdict.restarts,
        restarting=verdict.restart,
        reason=verdict.words,
        lines=_last(lines),
        at=now,
    )


def signal_of(code: int | None) -> str:
    """The signal behind an exit code over 128 (137 is SIGKILL), empty when there was none."""
    try:
        return signal.Signals((code or 0) - 128).name
    except ValueError:
        return ""


def _last(lines: Sequence[str]) -> list[str]:
    """The newest lines that fit."""
    kept: list[str] = []
    room = BYTES
    for line in reversed(lines[-LINES:]):
        short = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"
        room -= len(short.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        kept.append(short)
    return kept[::-1]
