"""IP addresses of people and programs: what counts as one of them. Must never look an address up."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


def household(ip: str) -> str:
    """What counts as one customer: an IPv4 address (mapped into IPv6 or not), an IPv6's /64; what is no address counts as itself."""
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


Network = IPv4Network | IPv6Network


def networks(texts: Sequence[str]) -> list[Network]:
    """Addresses and networks as written in settings. Raises ValueError, which names the one that is none."""
    return [ip_network(text, strict=False) for text in texts]


def caller(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Who really asks: `peer`, or what trusted proxies say of it in X-Forwarded-For (the header's lines in order).

    The header is read from its end, and the first address that is no proxy of ours counts; what stands before it anybody may have written.
    """
    believed = peer
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and _within(believed, proxies):
        hop = hops.pop()
        if not _is_address(hop):
            break
        believed = hop
    return believed


def is_public(address: str) -> bool:
    """Whether an address belongs to the open internet: not this machine, not a network at home, not a provider's metadata service.

    IPv4 addresses in IPv6 clothes (mapped, 6to4, NAT64, Teredo) are judged by what they carry. What is no address is not public.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        carried = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(ip in network for network in _NAT64):
            carried.append(IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if any(inner is not None and not is_public(str(inner)) for inner in carried):
            return False
    never = any(ip in network for network in _NEVER if network.version == ip.version)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or never)


_NAT64 = [IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")]
_NEVER: list[Network] = [
    IPv4Network("0.0.0.0/8"), IPv4Network("100.64.0.0/10"), IPv4Network("192.0.0.0/24"), IPv4Network("198.18.0.0/15"),
    IPv6Network("fec0::/10"), IPv6Network("64:ff9b:1::/48"),
]  # fmt: skip
"""Beside what Python's own tables know, which grew over its versions."""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, those: Sequence[Network]) -> bool:
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in those if network.version == ip.version)
