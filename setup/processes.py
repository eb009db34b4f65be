"""Processes that outlive us, told apart safely: a process id counts only together with the moment the process started.

Must never signal a process that it cannot prove to be the one that was written down.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path


def started_at(pid: int) -> str | None:
    """A text that changes when the process id is used again; None when no such process lives."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self").exists():
        return None
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def remember(path: Path, pid: int) -> None:
    """Write down a process, so that a later run can find it."""
    path.write_text(json.dumps({"pid": pid, "started": started_at(pid)}))


def remembered(path: Path) -> int | None:
    """The process written down there, when it is still the same one and alive."""
    try:
        record = json.loads(path.read_text())
        pid, started = int(record["pid"]), record["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if started is not None and started_at(pid) == started else None


def end(path: Path, seconds: float) -> bool:
    """End the process written down there: asked first, killed after `seconds`. True when there was one."""
    pid = remembered(path)
    if pid is not None:
        mark = started_at(pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + (seconds if number is signal.SIGTERM else 5.0)
            while time.monotonic() < deadline and started_at(pid) == mark:
                _reap(pid)
                time.sleep(0.05)
            _reap(pid)
            if started_at(pid) != mark:
                break
    path.unlink(missing_ok=True)
    return pid is not None


def _reap(pid: int) -> None:
    """Collect the process when it is our own child; another's is left alone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
