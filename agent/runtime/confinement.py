"""What every container of a server is denied, as parts of Docker's create body.

No capability, no new privileges, a read-only image, a bounded /tmp, no core dumps, Docker's seccomp profile as it is. An egg may ask for a
few capabilities back by a label; it gets those that the node's settings allow.
"""

import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.agent_settings import DockerSection

Json = dict[str, Any]

CAPABILITIES = "aerie.capabilities"
"""The label: names parted by commas, with or without `CAP_`."""
NEVER = frozenset(
    {
        *("ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "SYS_PTRACE", "NET_ADMIN", "NET_RAW", "MKNOD"),
        *("DAC_READ_SEARCH", "BPF", "PERFMON", "SYSLOG", "MAC_ADMIN", "MAC_OVERRIDE", "LINUX_IMMUTABLE", "SETPCAP", "SETFCAP"),
    }
)
"""With these a process is as good as outside; no setting gives them back."""
_PARTED = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class Place:
    """What is one server's own: its user (`uid:gid`), its network, and what is mounted for that. Empty means the node's."""

    user: str = ""
    network: str = ""
    binds: tuple[str, ...] = ()


SHARED = Place()
ROOTLESS_USER = "0:0"
"""Root in a container of an engine without root is the engine's own user outside, and has no capability inside."""


def capabilities(labels: Mapping[str, str], docker: DockerSection) -> list[str]:
    """Those an egg asks for and the node allows, sorted."""
    asked = {_named(name) for name in _PARTED.split(labels.get(CAPABILITIES, ""))}
    return sorted(asked & {_named(name) for name in docker.capabilities} - NEVER)


def host_config(docker: DockerSection, kept: list[str]) -> Json:
    """The parts of HostConfig that servers and install scripts share. `kept`: capabilities that stay."""
    inodes = f",nr_inodes={docker.tmpfs_inodes}" if docker.tmpfs_inodes else ""
    files = min(docker.nofile, _most_files())
    return {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": kept,
        "SecurityOpt": ["no-new-privileges"],
        "IpcMode": "private",
        "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,size={docker.tmpfs_size}M{inodes}"},  # noqa: S108
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": files, "Hard": files},
            *([{"Name": "nproc", "Soft": docker.nproc, "Hard": docker.nproc}] if docker.nproc else []),
        ],
        "RestartPolicy": {"Name": "no"},
    }


def labels(given: Mapping[str, str], docker: DockerSection, own: Mapping[str, str]) -> dict[str, str]:
    """Those of the panel that begin as the node allows, and ours, which win: labels make other programs on the node act."""
    return {**{name: value for name, value in given.items() if name.startswith(tuple(docker.label_prefixes))}, **own}


def _most_files() -> int:
    """What this process may have open at most: an engine without the right to go higher would not start the container."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard > 0 else 1 << 30


def _named(name: str) -> str:
    return name.strip().upper().removeprefix("CAP_")
