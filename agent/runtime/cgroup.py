"""What a container uses, read from its cgroup's files (v1 and v2): a tenth of what asking the engine costs.

Only for containers of this machine. Raises OSError where the files are not to be had; the caller then asks the engine.
"""

import contextlib
import os
from datetime import datetime
from pathlib import Path

from agent.runtime.runtime import Sample
from core.clock import Clock

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
_MOST = 64 * 1024


class CgroupMeter:
    """Keeps the files of one running container open. Reading takes microseconds, so it may be done on the event loop."""

    def __init__(self, pid: int, container_id: str, started_at: datetime, clock: Clock, *, root: Path = ROOT, proc: Path = PROC) -> None:
        self._clock = clock
        self._started_at = started_at
        self._files: dict[str, int] = {}
        paths = _controllers((proc / str(pid) / "cgroup").read_text())
        mine = {name: path for name, path in paths.items() if container_id in path}
        try:
            if "memory" in mine and "cpuacct" in mine:  # asked first: a mixed machine names v2 as well, without controllers
                self._v2, memory = False, root / "memory" / mine["memory"].lstrip("/")
                self._open(
                    cpu=root / "cpuacct" / mine["cpuacct"].lstrip("/") / "cpuacct.usage",
                    memory=memory / "memory.usage_in_bytes",
                    details=memory / "memory.stat",
                    limit=memory / "memory.limit_in_bytes",
                )
            elif "" in mine:
                self._v2, folder = True, root / mine[""].lstrip("/")
                self._open(
                    cpu=folder / "cpu.stat",
                    memory=folder / "memory.current",
                    details=folder / "memory.stat",
                    limit=folder / "memory.max",
                )
            else:
                raise FileNotFoundError(f"process {pid} is in no cgroup of container {container_id}")
            self._open(net=proc / str(pid) / "net" / "dev")
        except OSError:
            self.close()
            raise
        self._before = (clock.monotonic(), self._cpu_seconds())

    def sample(self) -> Sample:
        """Measure now. Raises OSError once the process is gone."""
        now, used = self._clock.monotonic(), self._cpu_seconds()
        then, before = self._before
        self._before = (now, used)
        memory = int(self._read("memory"))
        idle = _named(self._read("details"), "inactive_file" if self._v2 else "total_inactive_file")
        received, sent = _traffic(self._read("net"))
        limit = self._read("limit").strip()
        host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Sample(
            memory_bytes=memory - idle if idle < memory else memory,
            memory_limit_bytes=host if limit == "max" else min(host, int(limit)),
            cpu_absolute=round(max(0.0, used - before) / (now - then) * 100, 3) if now > then else 0.0,
            rx_bytes=received,
            tx_bytes=sent,
            uptime_ms=max(0, int((self._clock.now() - self._started_at).total_seconds() * 1000)),
        )

    def close(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):
                os.close(file)
        self._files.clear()

    def _open(self, **paths: Path) -> None:
        for name, path in paths.items():
            self._files[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def _read(self, name: str) -> str:
        if not (data := os.pread(self._files[name], _MOST, 0)):
            raise ProcessLookupError(f"nothing is left to read of {name}")
        return data.decode("ascii", "replace")

    def _cpu_seconds(self) -> float:
        text = self._read("cpu")
        return _named(text, "usage_usec") / 1e6 if self._v2 else int(text) / 1e9


def _controllers(text: str) -> dict[str, str]:
    """`/proc/<pid>/cgroup` as controller -> path; v2's only line has no controller."""
    found = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def _named(text: str, name: str) -> int:
    """One value of a `name value` file; 0 when it is not there."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0)


def _traffic(text: str) -> tuple[int, int]:
    """Bytes received and sent over all interfaces but the loopback (`/proc/net/dev`)."""
    rows = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    counts = [numbers.split() for name, numbers in rows if name.strip() != "lo"]
    return sum(int(row[0]) for row in counts), sum(int(row[8]) for row in counts)
