"""The machine under the node as the kernel tells of it: addresses, memory, load, disks. Bodies are Pelican's additions to Wings.

Reads /proc and asks filesystems for their sizes, so call it in a thread. Knows no servers and no engine.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from core.errors import RuntimeFailure
from core.protocol.agent import DiskDetail, Utilization

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Ticks since the machine's start, of all cores together."""

    busy: int
    total: int


def addresses(proc: Path = PROC) -> list[str]:
    """The machine's own addresses, without loopback and link-local ones, IPv4 first. Raises RuntimeFailure."""
    found: list[str] = []
    try:
        last = ""
        for line in (proc / "net/fib_trie").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[:1] == ["|--"]:
                last = words[1]
            elif words[:3] == ["/32", "host", "LOCAL"] and last not in found:
                found.append(last)
        with suppress(FileNotFoundError):  # a kernel without IPv6
            lines = (proc / "net/if_inet6").read_text(encoding="ascii").splitlines()
            found += [str(IPv6Address(int(line.split()[0], 16))) for line in lines]
        return [text for text in found if not (ip_address(text).is_loopback or ip_address(text).is_link_local)]
    except (OSError, ValueError, IndexError) as error:
        raise RuntimeFailure("The machine's addresses cannot be read.") from error


def cpu_times(proc: Path = PROC) -> CpuTimes:
    """Raises RuntimeFailure."""
    try:
        ticks = [int(word) for word in (proc / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
        return CpuTimes(sum(ticks) - ticks[3] - ticks[4], sum(ticks))  # without idle and waiting for disks
    except (OSError, ValueError, IndexError) as error:
        raise RuntimeFailure("The machine's load cannot be read.") from error


def utilization(folders: dict[str, Path], before: CpuTimes, now: CpuTimes, proc: Path = PROC) -> Utilization:
    """How full the machine is; CPU between two readings. `folders` by the word that Pelican shows for them. Raises RuntimeFailure."""
    try:
        memory = _meminfo(proc)
        disks = _disks(folders, proc)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise RuntimeFailure("The machine's memory and disks cannot be read.") from error
    load = os.getloadavg()
    return Utilization(
        memory_total=memory["MemTotal"],
        memory_used=memory["MemTotal"] - memory["MemAvailable"],
        swap_total=memory["SwapTotal"],
        swap_used=memory["SwapTotal"] - memory["SwapFree"],
        load_average1=load[0],
        load_average5=load[1],
        load_average15=load[2],
        cpu_percent=round(100 * (now.busy - before.busy) / max(1, now.total - before.total), 2),
        disk_total=sum(disk.total_space for disk in disks),
        disk_used=sum(disk.used_space for disk in disks),
        disk_details=disks,
    )


def _meminfo(proc: Path) -> dict[str, int]:
    """Bytes by name."""
    lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def _disks(folders: dict[str, Path], proc: Path) -> list[DiskDetail]:
    """One entry per filesystem that holds one of the folders."""
    found: dict[int, DiskDetail] = {}
    for tag, folder in folders.items():
        if not folder.exists():
            continue
        number = folder.stat().st_dev
        if (known := found.get(number)) is not None:
            known.tags.append(tag)
            continue
        size = os.statvfs(folder)
        point = _mount_point(folder)
        found[number] = DiskDetail(
            device=_device(point, proc),
            mountpoint=str(point),
            total_space=size.f_blocks * size.f_frsize,
            used_space=(size.f_blocks - size.f_bfree) * size.f_frsize,
            tags=[tag],
        )
    return list(found.values())


def _mount_point(folder: Path) -> Path:
    place = folder.resolve()
    while not place.is_mount():
        place = place.parent
    return place


def _device(point: Path, proc: Path) -> str:
    """What is mounted there, by /proc/self/mountinfo; the newest mount of a place counts. Empty when it does not say."""
    device = ""
    with suppress(OSError):
        for line in (proc / "self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            if before.split()[4:5] == [str(point)] and len(words := after.split()) > 1:
                device = words[1]
    return device
