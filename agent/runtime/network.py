"""The Docker network of game servers, made when it is missing: one, however many agents start on the engine at the same moment.

Raises DockerError; docker.py gives it words.
"""

import asyncio
import re
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

from aiodocker import Docker, DockerError
from aiodocker.networks import DockerNetwork

from core.agent_settings import DockerSection

WITHOUT_ADDRESSES = ("host", "none")
MTU = "com.docker.network.driver.mtu"


def body(section: DockerSection) -> dict[str, Any]:
    """Docker's create body of the node's own network. Pure."""
    addresses = ((section.network_subnet, section.network_gateway), (section.network_subnet6, section.network_gateway6))
    pools = [{"Subnet": subnet, **({"Gateway": gateway} if gateway else {})} for subnet, gateway in addresses if subnet]
    options = {MTU: str(section.network_mtu)}
    if section.network_driver == "bridge":
        options["com.docker.network.bridge.enable_icc"] = str(section.network_icc).lower()
    return {
        "Name": section.network,
        "Driver": section.network_driver,
        "CheckDuplicate": True,
        "Internal": section.network_internal,
        "EnableIPv6": bool(section.network_subnet6),
        "IPAM": {"Config": pools} if pools else {},
        "Options": options,
    }


async def ensure(docker: Docker, section: DockerSection) -> dict[str, Any]:
    """See to it that the network exists, exactly once. Answers what Docker says of it; nothing for `host` and `none`."""
    if section.network in WITHOUT_ADDRESSES:
        return {}
    if (found := await _shown(docker, section.network)) is not None:
        return found
    try:
        made = await _make(docker, section)
    except DockerError:
        if (found := await _shown(docker, section.network)) is None:
            raise
        return found  # another agent was quicker, and has the addresses
    await _keep_one(docker, section.network, made.id)
    return await _shown(docker, section.network) or {}


def gateway_of(network: dict[str, Any]) -> str:
    """A network's own address, the first of its subnet where Docker was not told another; empty for networks without one."""
    for entry in (network.get("IPAM") or {}).get("Config") or []:
        if gateway := entry.get("Gateway"):
            return str(gateway).partition("/")[0]
        with suppress(ValueError):
            return str(next(ip_network(entry.get("Subnet", ""), strict=False).hosts()))
    return ""


async def _shown(docker: Docker, name: str) -> dict[str, Any] | None:
    """None when there is none. While another agent is about to remove its twin, the name means two: it is asked again for a moment."""
    for tries_left in reversed(range(30)):
        try:
            return dict(await (await docker.networks.get(name)).show())
        except DockerError as error:
            if error.status == 404:
                return None
            if "ambiguous" not in str(error.message) or not tries_left:
                raise
            await asyncio.sleep(0.1)
    return None


async def _make(docker: Docker, section: DockerSection) -> DockerNetwork:
    return await docker.networks.create(body(section))


async def _keep_one(docker: Docker, name: str, ours: str) -> None:
    """Docker looks for twins before it makes one, so two agents may each have made it. The older one stays."""
    twins = await docker.networks.list(filters={"name": [f"^{re.escape(name)}$"]})
    eldest = min(((twin["Created"], twin["Id"]) for twin in twins), default=("", ours))[1]
    if eldest != ours:
        await (await docker.networks.get(ours)).delete()
