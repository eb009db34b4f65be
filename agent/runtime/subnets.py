"""Which addresses a network for one server gets: small ones from the node's own pool, since Docker's pools end after some thirty networks.

What the machine routes elsewhere and what other networks have is passed over.
"""

import hashlib
import logging
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from core.agent_settings import DockerSection
from core.errors import NotConfigured, RuntimeFailure

log = logging.getLogger(__name__)

ROUTES = Path("/proc/net/route")


def pool_of(docker: DockerSection) -> IPv4Network:
    """The pool in the settings. Raises NotConfigured."""
    try:
        pool = IPv4Network(docker.network_pool)
    except ValueError as error:
        raise NotConfigured(f"[docker] network_pool is no IPv4 network: {error}.", hint="Write it as 10.213.0.0/16.") from None
    if pool.prefixlen >= docker.network_prefix:
        raise NotConfigured(f"[docker] network_pool {pool} is smaller than one network of it.", hint="Make network_prefix a larger number.")
    return pool


def candidates(docker: DockerSection, seed: str, taken: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """Free subnets, best first; the search begins where `seed` says, so that agents seldom want the same. Raises RuntimeFailure."""
    pool = pool_of(docker)
    size = 2 ** (32 - docker.network_prefix)
    count, first = pool.num_addresses // size, int(pool.network_address)
    spans = [(int(one.network_address), int(one.broadcast_address)) for one in taken if one.overlaps(pool)]
    begin = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    for step in range(count):
        low = first + (begin + step) % count * size
        if not any(low <= last and one <= low + size - 1 for one, last in spans):
            yield IPv4Network((low, docker.network_prefix))
    raise RuntimeFailure(
        f"No network for the server is free in {pool}: the machine's routes or other networks have it all.",
        hint="Set [docker] network_pool to addresses that nothing here uses.",
    )


def routed(file: Path = ROUTES) -> list[IPv4Network]:
    """What this machine has routes to, the default route left out; nothing where that cannot be read."""
    found = []
    try:
        lines = file.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    for line in lines:
        fields = line.split()
        address, mask = (socket.htonl(int(fields[at], 16)) for at in (1, 7))
        if mask:
            found.append(IPv4Network((address & mask, mask.bit_count())))
    return found


def subnets_of(networks: Iterable[dict[str, object]]) -> list[IPv4Network]:
    """IPv4 subnets of Docker's networks, as its list shows them."""
    found = []
    for network in networks:
        ipam = network.get("IPAM")
        entries = (ipam.get("Config") or []) if isinstance(ipam, dict) else []
        for entry in entries:
            try:
                subnet = ip_network(entry.get("Subnet", ""), strict=False)
            except ValueError:
                continue
            if isinstance(subnet, IPv4Network):
                found.append(subnet)
    return found
