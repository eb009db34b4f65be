"""What a container uses, read from its cgroup's files (v1 and v2): a tenth of what asking the engine costs.

Only for containers of this machine. Raises OSError where the files are not to be had; the caller then asks the engine. The rules are
Docker's and Wings': memory without the page cache that can go at once, network of all interfaces but the loopback.
"""

import contextlib
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from agent.runtime.runtime import Sample
from core.clock import Clock

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")
LIMITS_SECONDS = 10.0
"""Limits change seldom: they are read anew after so long."""
SHORTEST_SECONDS = 0.2
"""Over less than this a CPU figure says nothing; the one before is shown again."""
_MOST = 64 * 1024
_OPEN = os.O_RDONLY | os.O_CLOEXEC


class CgroupMeter:
    """Keeps the files of one running container open. Reading takes microseconds, so it may be done on the event loop."""

    def __init__(self, pid: int, container_id: str, started_at: datetime, clock: Clock, *, root: Path = ROOT, proc: Path = PROC) -> None:
        """`pid` is its first process on this machine. A number that meanwhile belongs to another process is found out."""
        self._clock = clock
        self._cpu = self._memory = self._details = self._events = self._net = -1
        text = _text(membership := f"{proc}/{pid}/cgroup")
        paths = {names: _own(path, container_id) for names, path in _controllers(text).items() if container_id in path}
        try:
            if "memory" in paths and "cpuacct" in paths:  # asked first: a mixed machine names v2 as well, without controllers
                self._open_v1(str(root), paths)
            elif "" in paths:
                self._open_v2(f"{root}/{paths['']}")
            else:
                raise FileNotFoundError(f"process {pid} is in no cgroup of container {container_id}")
            if _has_own_network(str(proc), pid):
                self._net = os.open(f"{proc}/{pid}/net/dev", _OPEN)
            if _text(membership) != text:
                raise ProcessLookupError(f"process {pid} has ended, and its number is another's now")
            self._began = clock.monotonic()
            self._age = max(0.0, (clock.now() - started_at).total_seconds())
            self._then, self._before, self._percent = self._began, self._cpu_ns(), 0.0
            self._read_limits()
            self.sample()  # a meter that cannot read is of no use, and the caller is to know now
        except BaseException:
            self.close()
            raise

    def _open_v1(self, root: str, paths: Mapping[str, str]) -> None:
        self._v2 = False
        memory = f"{root}/memory/{paths['memory']}"
        self._cpu = os.open(f"{root}/cpuacct/{paths['cpuacct']}/cpuacct.usage", _OPEN)
        self._memory = os.open(f"{memory}/memory.usage_in_bytes", _OPEN)
        self._details = os.open(f"{memory}/memory.stat", _OPEN)
        self._events = _opened(f"{memory}/memory.oom_control")
        self._limit_file = f"{memory}/memory.limit_in_bytes"
        self._quota_folder = f"{root}/cpu/{paths['cpu']}" if "cpu" in paths else None
        self._inactive = b"\ntotal_inactive_file "

    def _open_v2(self, folder: str) -> None:
        self._v2 = True
        self._cpu = os.open(f"{folder}/cpu.stat", _OPEN)
        self._memory = os.open(f"{folder}/memory.current", _OPEN)
        self._details = os.open(f"{folder}/memory.stat", _OPEN)
        self._events = _opened(f"{folder}/memory.events")
        self._limit_file, self._quota_folder = f"{folder}/memory.max", folder
        self._inactive = b"\ninactive_file "

    def sample(self) -> Sample:
        """Measure now. Raises OSError once the process is gone, ValueError when a file holds what it should not."""
        now = self._clock.monotonic()
        if now - self._limits_read >= LIMITS_SECONDS:
            self._read_limits()
        if (passed := now - self._then) >= SHORTEST_SECONDS:
            used = self._cpu_ns()
            # a counter that went back is another process's: nothing is said of what lies between; the machine cannot have given more
            self._percent = round(min(max(0, used - self._before) / (passed * 1e7), self._all_cores), 3)
            self._then, self._before = now, used
        memory = int(_read(self._memory))
        idle = _named(_read(self._details), self._inactive)
        received, sent = traffic(_read(self._net)) if self._net >= 0 else (0, 0)
        return Sample(
            memory_bytes=memory - idle if idle < memory else memory,
            memory_limit_bytes=self._memory_limit,
            cpu_absolute=self._percent,
            rx_bytes=received,
            tx_bytes=sent,
            uptime_ms=int((self._age + now - self._began) * 1000),
            cpu_limit=self._cpu_limit,
            oom_kills=_named(_read(self._events), b"\noom_kill ") if self._events >= 0 else None,
        )

    def close(self) -> None:
        """Let go of its files."""
        files = (self._cpu, self._memory, self._details, self._events, self._net)
        self._cpu = self._memory = self._details = self._events = self._net = -1
        for file in files:
            if file >= 0:
                with contextlib.suppress(OSError):
                    os.close(file)

    def _cpu_ns(self) -> int:
        data = _read(self._cpu)
        return _named(b"\n" + data, b"\nusage_usec ") * 1000 if self._v2 else int(data)

    def _read_limits(self) -> None:
        """Of memory and CPU; without one it is what the machine has, as Docker shows it."""
        self._limits_read = self._clock.monotonic()
        host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = _text(self._limit_file).strip()
        self._memory_limit = host if limit == "max" else min(host, int(limit))
        self._all_cores = 100.0 * (os.cpu_count() or 1)
        self._cpu_limit = min(self._all_cores, self._quota() or self._all_cores)

    def _quota(self) -> float:
        """Percent of one thread that it may use; 0 without a quota."""
        if self._quota_folder is None:
            return 0.0
        try:
            if self._v2:
                quota, period = _text(f"{self._quota_folder}/cpu.max").split()
            else:
                quota, period = (_text(f"{self._quota_folder}/cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
            return 0.0 if quota in ("max", "-1") else int(quota) / int(period) * 100
        except (OSError, ValueError, ZeroDivisionError):  # a kernel without quotas
            return 0.0


def _controllers(text: str) -> dict[str, str]:
    """`/proc/<pid>/cgroup` as controller -> path; v2's only line has no controller."""
    found = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def _own(path: str, container_id: str) -> str:
    """The container's own cgroup, relative to the root: its processes may have made others below, whose files count less."""
    parts = path.strip("/").split("/")
    return "/".join(parts[: next(place for place, part in enumerate(parts, 1) if container_id in part)])


def _has_own_network(proc: str, pid: int) -> bool:
    """Whether its counters are its own: in the machine's own network they are everybody's, and Docker tells none then either."""
    theirs = _network(f"{proc}/{pid}")
    return theirs is None or all(theirs != _network(f"{proc}/{whose}") for whose in ("self", "1"))


def _network(process: str) -> str | None:
    """Which network a process is in; None when we may not know."""
    try:
        return os.readlink(f"{process}/ns/net")  # noqa: PTH115
    except OSError:
        return None


def _opened(path: str) -> int:
    """A file that an older kernel may lack; -1 then."""
    try:
        return os.open(path, _OPEN)
    except FileNotFoundError:
        return -1


def _text(path: str) -> str:
    """A small file, read once. pathlib would cost more than the reading."""
    file = os.open(path, _OPEN)
    try:
        return os.read(file, _MOST).decode("utf-8", "replace")
    finally:
        os.close(file)


def _read(file: int) -> bytes:
    if not (data := os.pread(file, _MOST, 0)):
        raise ProcessLookupError("nothing is left to read of its cgroup")
    return data


def _named(data: bytes, name: bytes) -> int:
    """One value of a `name value` file, `name` with a line's end before it and a blank behind; 0 when it is not there."""
    start = data.find(name)
    if start < 0:
        return 0
    start += len(name)
    end = data.find(b"\n", start)
    return int(data[start:end] if end >= 0 else data[start:])


def traffic(data: bytes) -> tuple[int, int]:
    """Bytes received and sent over all interfaces but the loopback (`/proc/net/dev`)."""
    received = sent = 0
    for line in data.split(b"\n"):
        name, colon, numbers = line.partition(b":")
        if colon and name.strip() != b"lo":
            counts = numbers.split(None, 9)
            received += int(counts[0])
            sent += int(counts[8])
    return received, sent
