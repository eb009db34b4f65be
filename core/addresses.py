"""IP addresses of people and programs: what counts as one of them. Must never look an address up."""

from ipaddress import IPv6Address, ip_address


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
