"""Which servers may reach each other, and which of a node's ports are open to whom: pure functions over settings.

A server is alone in its network unless a label `aerie.network` (set by an administrator) or the node's `shared_networks` puts it together
with others. What it publishes to all, neighbours reach as everybody does; what is allocated on 127.0.0.1, only its own network does.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from core.agent_settings import DockerSection
from core.protocol.settings import ServerSettings

LABEL = "aerie.network"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,40}")
EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A server's side of the walls: the bridge it is on, the address:ports it publishes to all and those to its own network only."""

    bridge: str
    shared: bool = False
    public: tuple[tuple[str, int], ...] = ()
    private: tuple[int, ...] = ()


def group_of(settings: ServerSettings, docker: DockerSection) -> str:
    """The name of the network it shares with others; empty when it is alone. Node settings come before labels."""
    for entry in docker.shared_networks:
        name, _, members = entry.partition(":")
        if any(settings.uuid == one or (len(one) == 8 and settings.uuid.startswith(one)) for one in members.split()):
            return _clean(name)
    return _clean(settings.labels.get(LABEL, ""))


def tenant(settings: ServerSettings, bridge: str, *, shared: bool) -> Tenant:
    """From a server's allocations."""
    public: list[tuple[str, int]] = []
    private: list[int] = []
    for ip, numbers in settings.allocations.mappings.items():
        for number in numbers:
            if ip == "127.0.0.1":
                private.append(number)
            elif is_address(ip) and number in range(1, 65536):
                public.append((ip.strip("[]"), number))
    return Tenant(bridge, shared, tuple(public), tuple(private))


def is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _clean(name: str) -> str:
    name = name.strip().lower()
    return name if _NAME.fullmatch(name) else ""
