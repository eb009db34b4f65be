"""A network bridge for the private engine, so that two engines on one machine do not hand out the same addresses.

Knows a few Linux ioctls, /proc/net/route and iptables. Must never touch an interface that it did not name itself.
"""

import contextlib
import fcntl
import ipaddress
import shlex
import socket
import struct
import subprocess
from pathlib import Path

from setup.debian import which

ADD_BRIDGE, DELETE_BRIDGE = 0x89A0, 0x89A1  # SIOCBRADDBR, SIOCBRDELBR
SET_FLAGS, GET_FLAGS, SET_ADDRESS, SET_MASK = 0x8914, 0x8913, 0x8916, 0x891C
UP = 0x1
POOL = ipaddress.IPv4Network("10.213.0.0/16")


def ensure(name: str) -> str | None:
    """Make the bridge if there is none; its subnet, or None when the kernel does not let us."""
    if Path(f"/sys/class/net/{name}").exists():
        return name
    subnet = free_subnet()
    if subnet is None:
        return None
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, ADD_BRIDGE, name.encode() + b"\0")
            for request, address in ((SET_ADDRESS, subnet.network_address + 1), (SET_MASK, subnet.netmask)):
                fcntl.ioctl(control, request, struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, address.packed))
            flags = struct.unpack("16sh", fcntl.ioctl(control, GET_FLAGS, struct.pack("16sh", name.encode(), 0)))[1]
            fcntl.ioctl(control, SET_FLAGS, struct.pack("16sh", name.encode(), flags | UP))
    except OSError:
        remove(name)
        return None
    return str(subnet)


def remove(name: str) -> None:
    """Take the bridge away; nothing happens when there is none."""
    if not Path(f"/sys/class/net/{name}").exists():
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        with contextlib.suppress(OSError):
            fcntl.ioctl(control, SET_FLAGS, struct.pack("16sh", name.encode(), 0))
        fcntl.ioctl(control, DELETE_BRIDGE, name.encode() + b"\0")


def forget_rules(name: str) -> None:
    """Take away the firewall rules that dockerd made for this bridge and leaves behind when it ends."""
    program = which("iptables")
    if program is None:
        return
    for table in ("nat", "filter"):
        listed = subprocess.run([program, "-w", "-t", table, "-S"], capture_output=True, text=True, check=False)
        for line in listed.stdout.splitlines():
            words = shlex.split(line)
            if words[:1] == ["-A"] and name in words:
                subprocess.run([program, "-w", "-t", table, "-D", *words[1:]], capture_output=True, check=False)


def free_subnet() -> ipaddress.IPv4Network | None:
    """A /24 that no route of this machine touches."""
    taken = routes()
    for candidate in POOL.subnets(new_prefix=24):
        if not any(candidate.overlaps(route) for route in taken):
            return candidate
    return None


def routes() -> list[ipaddress.IPv4Network]:
    """The machine's IPv4 routes, without the default one."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[place]), "little") for place in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((address, bin(mask).count("1")), strict=False))
    return found
