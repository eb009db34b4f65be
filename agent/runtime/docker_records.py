"""Docker's JSON as the agent reads it: moments, its stats, what it says of itself. Pure functions; must never talk to Docker."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.runtime.runtime import Sample, go_name
from core.protocol.agent import Cgroups, Containers, DockerFacts, Runc, Storage, SystemFacts, SystemV2


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a container: started again it has another process, and mostly other cgroups. `pid` is of this machine."""

    container_id: str
    pid: int
    started_at: datetime


def moment(text: str) -> datetime | None:
    """Docker's nanosecond timestamps; the zero time is None."""
    if not text or text.startswith("0001"):
        return None
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")).astimezone(UTC)


def life(shown: dict[str, Any]) -> Life | None:
    """What an inspection says of the container's present life; None when it has none."""
    state = shown["State"]
    started_at = moment(state["StartedAt"])
    return Life(shown["Id"], state["Pid"], started_at) if state["Running"] and state["Pid"] and started_at is not None else None


def measured(record: dict[str, Any], up: float) -> Sample | None:
    """One record of Docker's stats as Wings calculates it (memory without inactive files, cpu of one thread); `up` in seconds."""
    memory, cpu, before = record["memory_stats"], record["cpu_stats"], record["precpu_stats"]
    if "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    idle = details.get("total_inactive_file", details.get("inactive_file", 0))
    used = memory["usage"] - idle if idle < memory["usage"] else memory["usage"]
    cpu_delta = cpu["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    system_delta = cpu.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = cpu.get("online_cpus") or len(cpu["cpu_usage"].get("percpu_usage") or ()) or 1
    share = cpu_delta / system_delta * count * 100 if cpu_delta > 0 and system_delta > 0 else 0.0
    networks = (record.get("networks") or {}).values()
    return Sample(
        memory_bytes=used,
        memory_limit_bytes=memory.get("limit", 0),
        cpu_absolute=round(min(share, count * 100.0), 3),
        rx_bytes=sum(one["rx_bytes"] for one in networks),
        tx_bytes=sum(one["tx_bytes"] for one in networks),
        uptime_ms=max(0, int(up * 1000)),
    )


def stamp(text: str) -> datetime | None:
    """The moment a log line begins with; None when it begins with something else."""
    try:
        return moment(text)
    except ValueError:
        return None


def facts(info: dict[str, Any], version: str) -> SystemV2:
    """`docker info` as `GET /api/system?v=2` shows it (Wings). `version` is the agent's own."""
    backing = dict(info.get("DriverStatus") or ()).get("Backing Filesystem", "")
    return SystemV2(
        version=version,
        docker=DockerFacts(
            version=info.get("ServerVersion", ""),
            cgroups=Cgroups(driver=info.get("CgroupDriver", ""), version=info.get("CgroupVersion", "1")),
            containers=Containers(
                total=info["Containers"],
                running=info["ContainersRunning"],
                paused=info["ContainersPaused"],
                stopped=info["ContainersStopped"],
            ),
            storage=Storage(driver=info.get("Driver", ""), filesystem=backing),
            runc=Runc(version=(info.get("RuncCommit") or {}).get("ID", "")),
        ),
        system=SystemFacts(
            architecture=go_name(str(info["Architecture"])),
            cpu_threads=info["NCPU"],
            memory_bytes=info["MemTotal"],
            kernel_version=info["KernelVersion"],
            os=info["OperatingSystem"],
            os_type=info["OSType"],
        ),
    )
