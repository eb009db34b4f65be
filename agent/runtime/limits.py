"""A server's limits as Docker wants them (Wings' arithmetic, mended). Pure but for `honoured`, which looks at the kernel."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.agent_settings import DockerSection
from core.errors import RuntimeFailure
from core.protocol.settings import Build

Json = dict[str, Any]

_THREADS = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", re.ASCII)
_WEIGHTS = range(10, 1001)


@dataclass(frozen=True, slots=True)
class Honoured:
    """What the machine's kernel can honour. What it cannot is left out: Docker refuses some, and a container fails to start on others."""

    io_weight: bool = False
    oom_disable: bool = True


def honoured(root: Path = Path("/sys/fs/cgroup")) -> Honoured:
    """Look at the cgroup files of this machine (v1 and v2)."""
    if (root / "cgroup.controllers").exists():  # v2: the root itself has no weights, its children have
        weights = any(next(root.glob(f"*/{name}"), None) for name in ("io.weight", "io.bfq.weight"))
        return Honoured(io_weight=weights, oom_disable=False)
    blkio = root / "blkio"
    return Honoured(
        io_weight=any((blkio / name).exists() for name in ("blkio.weight", "blkio.bfq.weight")),
        oom_disable=(root / "memory" / "memory.oom_control").exists(),
    )


def limits(build: Build, docker: DockerSection, pids: int, machine: Honoured) -> Json:
    """Memory with its overhead, swap, cpu, pinning, i/o weight, processes. Raises RuntimeFailure when its pinning cannot be read.

    Swap without memory is left out, since Docker refuses it.
    """
    made: Json = {"PidsLimit": pids}
    if build.memory_limit > 0:
        hard = round(build.memory_limit * overhead(build.memory_limit, docker) * 1_000_000)
        made |= {
            "Memory": hard,
            "MemoryReservation": build.memory_limit * 1_000_000,
            "MemorySwap": -1 if build.swap < 0 else build.swap * 1_000_000 + hard,
        }
        if machine.oom_disable:
            made["OomKillDisable"] = build.oom_disabled
    if build.cpu_limit > 0:
        made |= {"CpuQuota": build.cpu_limit * 1000, "CpuPeriod": 100_000, "CpuShares": 1024}
    if threads := pinned(build.threads):
        made["CpusetCpus"] = threads
    if machine.io_weight and build.io_weight in _WEIGHTS:
        made["BlkioWeight"] = build.io_weight
    return made


def pinned(threads: str | None) -> str:
    """The threads a server is pinned to, as Docker wants them; empty for all. Raises RuntimeFailure."""
    text = "".join((threads or "").split())
    if text and not _THREADS.fullmatch(text):
        raise RuntimeFailure(f"Its CPU pinning {text[:40]!r} names no threads.", hint="Write it as 0-3 or 0,2,4 in its limits.")
    return text


def overhead(memory_limit: int, docker: DockerSection) -> float:
    """How many times its limit a container gets, so that a JVM's own needs do not kill it."""
    if docker.overhead:
        fitting = [size for size in docker.overhead if size >= memory_limit]
        return docker.overhead[min(fitting)] if fitting else docker.overhead_default
    if memory_limit <= 2048:
        return 1.15
    return 1.10 if memory_limit <= 4096 else 1.05


def adjustment(now: Json, wanted: Json) -> tuple[Json, list[str]]:
    """What to tell a running container so that `wanted` holds, and what cannot be told to it: Docker only takes limits in, never away.

    `now` is its HostConfig as Docker shows it.
    """
    told: Json = {}
    waits = []
    memory = ("Memory", "MemoryReservation", "MemorySwap")
    if any((now.get(key) or 0) != wanted.get(key, 0) for key in memory):
        if "Memory" in wanted:
            told |= {key: wanted[key] for key in memory}
        elif now.get("Memory"):
            waits.append("its memory without a limit")
    if max(now.get("CpuQuota") or 0, 0) != wanted.get("CpuQuota", 0):
        told |= {key: wanted[key] for key in ("CpuQuota", "CpuPeriod", "CpuShares")} if "CpuQuota" in wanted else {"CpuQuota": -1}
    if (now.get("CpusetCpus") or "") != wanted.get("CpusetCpus", ""):
        if "CpusetCpus" in wanted:
            told["CpusetCpus"] = wanted["CpusetCpus"]
        else:
            waits.append("its CPU without pinning")
    if "BlkioWeight" in wanted and (now.get("BlkioWeight") or 0) != wanted["BlkioWeight"]:
        told["BlkioWeight"] = wanted["BlkioWeight"]
    if max(now.get("PidsLimit") or 0, 0) != wanted["PidsLimit"]:
        told["PidsLimit"] = wanted["PidsLimit"] or -1
    if "OomKillDisable" in wanted and bool(now.get("OomKillDisable")) != wanted["OomKillDisable"]:
        waits.append("its out-of-memory setting")
    return told, waits
