"""A server's allocations as Docker's port bindings: each port on TCP and UDP, IPv4 and IPv6 alike. Pure functions."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from core.agent_settings import DockerSection
from core.config import AgentConfig
from core.errors import PortTaken, RuntimeFailure
from core.protocol.settings import ServerSettings

Json = dict[str, Any]
Address = IPv4Address | IPv6Address

_PORTS = range(1, 65536)
PROTOCOLS = ("tcp", "udp")


def ports(settings: ServerSettings, docker: DockerSection) -> tuple[Json, Json]:
    """Exposed ports and bindings. Ports that do not exist are left out (Wings), as is 127.0.0.1 with `ispn`. Raises RuntimeFailure."""
    exposed: Json = {}
    bindings: dict[str, list[Json]] = {}
    for address, number in allocated(settings):
        host = str(address)
        if host == "127.0.0.1":
            if docker.ispn:
                continue
            host = docker.interface or host
        for protocol in PROTOCOLS:
            key = f"{number}/{protocol}"
            exposed[key] = {}
            bindings.setdefault(key, []).append({"HostIp": host, "HostPort": str(number)})
    return exposed, bindings


def allocated(settings: ServerSettings) -> list[tuple[Address, int]]:
    """Addresses and ports without repetition. Raises RuntimeFailure for an address that is none."""
    found: dict[tuple[Address, int], None] = {}
    for text, numbers in settings.allocations.mappings.items():
        address = read_address(text)
        found |= {(address, number): None for number in numbers if number in _PORTS}
    return list(found)


def read_address(text: str) -> Address:
    """An allocation's address, IPv6 also in brackets. Raises RuntimeFailure."""
    try:
        return ip_address(text.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        raise RuntimeFailure(f"Its allocation {text[:60]!r} is no address.", hint="Give the server an allocation by IP address.") from None


def refuse_own(settings: ServerSettings, config: AgentConfig) -> None:
    """A server must not sit on the agent's own doors, not even on UDP. Raises PortTaken."""
    doors = [("API", config.api.host, config.api.port)]
    if config.sftp.enabled:
        doors.append(("SFTP", config.sftp.host, config.sftp.port))
    for address, number in allocated(settings):
        for name, host, port in doors:
            if number == port and _meet(address, host):
                raise PortTaken(f"Port {number} is the agent's own, for {name}.", hint="Give the server another allocation.")


def _meet(address: Address, host: str) -> bool:
    """Whether both would listen at one address; a name that is no address may be any."""
    try:
        other = ip_address(host)
    except ValueError:
        return True
    return address.is_unspecified or other.is_unspecified or address == other
