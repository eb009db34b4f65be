"""A Docker network of its own for each server, made when it is first needed and gone with the server; and the firewall that goes with them.

Servers that may reach each other share one. Bridges are named after this agent, so that rules fit ours alone, and several agents on one
engine keep apart. Raises DockerError (docker.py gives it words) and RuntimeFailure.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any

from aiodocker import Docker, DockerError

from agent.runtime import container
from agent.runtime.firewall import Firewall, bridge_is_here, obstacle_here, prefix_of
from agent.runtime.neighbours import Tenant, group_of, tenant
from agent.runtime.network import MTU, WITHOUT_ADDRESSES
from agent.runtime.subnets import candidates, pool_of, routed, subnets_of
from core.clock import Clock
from core.config import AgentConfig
from core.errors import RuntimeFailure
from core.protocol.settings import ServerSettings

log = logging.getLogger(__name__)

AGENT, SERVER, GROUP, BESIDE = "dev.aerie.agent", "dev.aerie.network", "dev.aerie.group", "dev.aerie.beside"
"""Labels of our networks: whose they are, the server or the group they are for, the node's own network they stand beside."""
_BRIDGE, _OUTGOING, _ICC = "com.docker.network.bridge.name", "com.docker.network.host_ipv4", "com.docker.network.bridge.enable_icc"
_TRIES = 64
CHECK_SECONDS = 60.0
"""How often the rules are looked after: other programs may flush the machine's firewall."""


class TenantNetworks:
    """`ensure` a server's network before its container is made, `forget` it with the server."""

    def __init__(self, config: AgentConfig, host: str, clock: Clock) -> None:
        self._config = config
        self._section = config.docker
        self._clock = clock
        self.own = self._section.network_per_server and self._section.network not in WITHOUT_ADDRESSES
        pool_of(self._section)
        place = f"{config.system.root_directory}\0{self._section.network}"
        self.mark = hashlib.blake2s(place.encode(), digest_size=2).hexdigest()
        self.firewall = Firewall(self.mark, prefix_of(self.mark), obstacle_here(host) if self.own else "")
        self._gateway = ""
        self._tenants: dict[str, Tenant] = {}
        self._lock = asyncio.Lock()

    async def open(self, docker: Docker, gateway: str, obstacle: str = "") -> None:
        """Learn what is there from earlier, and set the rules. `obstacle`: what the engine itself says against rules."""
        if not self.own:
            return
        self._gateway = gateway
        self.firewall.obstacle = self.firewall.obstacle or obstacle
        bridges = {one["Name"]: one for one in await self._ours(docker)}
        running = await docker.containers.list(filters=json.dumps({"label": [container.LABEL]}))
        for shown in running:
            self._learn(shown._container, bridges)
        if any(not bridge_is_here(one.bridge) for one in self._tenants.values() if one.bridge):
            self.firewall.obstacle = self.firewall.obstacle or "the engine's bridges are not seen here, so it has another machine's network"
        if self.firewall.obstacle:
            log.warning(
                "Servers are parted from each other by Docker, but this machine's own services and %s are open to them: %s.",
                "the cloud's metadata addresses",
                self.firewall.obstacle,
            )
        await asyncio.to_thread(self.firewall.clear_dead)
        await self._stand()

    async def watch(self) -> None:
        """Set the rules again whenever somebody took them away."""
        while self.own and not self.firewall.obstacle:
            await self._clock.sleep(CHECK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Whether the rules still stand; those that do not are set again."""
        async with self._lock:
            await self._stand(look=True)

    async def ensure(self, docker: Docker, settings: ServerSettings) -> str:
        """The name of a server's network, which exists afterwards, with rules that know the server. Empty: the node's own."""
        if not self.own:
            return ""
        group = group_of(settings, self._section)
        name = f"aerie-{self.mark}-{group}" if group else f"aerie-{settings.uuid}"
        bridge = prefix_of(self.mark) + hashlib.blake2s(name.encode(), digest_size=5).hexdigest()[:9]
        outgoing = settings.allocations.default.ip if settings.allocations.force_outgoing_ip and not group else ""
        async with self._lock:
            if not await self._fits(docker, name, outgoing):
                await self._make(docker, name, bridge, settings.uuid, group, outgoing)
            self._tenants[settings.uuid] = tenant(settings, bridge, shared=bool(group))
            await self._stand()
        return name

    async def forget(self, docker: Docker, uuid: str) -> None:
        """The server is gone: its network and its rules go too; a shared network stays for the others."""
        if not self.own:
            return
        async with self._lock:
            self._tenants.pop(uuid, None)
            for network in await self._ours(docker):
                labels = network.get("Labels") or {}
                alone = GROUP in labels and not any(one.bridge == network["Options"].get(_BRIDGE) for one in self._tenants.values())
                if labels.get(SERVER) == uuid or alone:
                    await self._remove(docker, network["Id"])
            await self._stand()

    async def tidy(self, docker: Docker, uuids: Collection[str]) -> None:
        """Remove networks of servers that are not on this node any more."""
        if not self.own:
            return
        async with self._lock:
            for network in await self._ours(docker):
                owner = (network.get("Labels") or {}).get(SERVER)
                if owner is not None and owner not in uuids:
                    await self._remove(docker, network["Id"])
            for gone in self._tenants.keys() - set(uuids):
                del self._tenants[gone]
            await self._stand()

    async def _ours(self, docker: Docker) -> list[dict[str, Any]]:
        found = await docker.networks.list(filters={"label": [f"{AGENT}={self.mark}"]})
        return [dict(one) for one in found]

    def _learn(self, shown: dict[str, Any], ours: dict[str, dict[str, Any]]) -> None:
        """A server that runs already: its bridge and what it publishes, from the engine's own list."""
        uuid = (shown.get("Labels") or {}).get(container.LABEL, "")
        network = next((ours[name] for name in (shown.get("NetworkSettings") or {}).get("Networks") or {} if name in ours), None)
        if network is None:
            return
        published = {(one["IP"], int(one["PublicPort"])) for one in shown.get("Ports") or [] if one.get("PublicPort") and one.get("IP")}
        inner = ("127.0.0.1", self._gateway, self._section.interface)
        self._tenants[uuid] = Tenant(
            bridge=(network.get("Options") or {}).get(_BRIDGE, ""),
            shared=GROUP in (network.get("Labels") or {}),
            public=tuple(sorted((ip, port) for ip, port in published if ip not in inner)),
            private=tuple(sorted({port for ip, port in published if ip in inner})),
        )

    async def _fits(self, docker: Docker, name: str, outgoing: str) -> bool:
        """Whether the network is there and goes out by the right address; one that does not is removed, to be made anew."""
        try:
            shown = await (await docker.networks.get(name)).show()
        except DockerError as error:
            if error.status == 404:
                return False
            raise
        if (shown.get("Options") or {}).get(_OUTGOING, "") == outgoing:
            return True
        await (await docker.networks.get(shown["Id"])).delete()
        return False

    async def _make(self, docker: Docker, name: str, bridge: str, uuid: str, group: str, outgoing: str) -> None:
        taken = [*subnets_of(await docker.networks.list()), *await asyncio.to_thread(routed)]
        options = {_BRIDGE: bridge, _ICC: "true" if group else "false", MTU: str(self._section.network_mtu)}
        if outgoing:
            options[_OUTGOING] = outgoing
        labels = {AGENT: self.mark, BESIDE: self._section.network, **({GROUP: group} if group else {SERVER: uuid})}
        refused: DockerError | None = None
        for _, subnet in zip(range(_TRIES), candidates(self._section, name, taken), strict=False):
            body = {
                "Name": name,
                "Driver": "bridge",
                "CheckDuplicate": True,
                "Internal": self._section.network_internal,
                "IPAM": {"Config": [{"Subnet": str(subnet), "Gateway": str(_first(subnet))}]},
                "Labels": labels,
                "Options": options,
            }
            try:
                await docker.networks.create(body)
                return
            except DockerError as error:
                if "overlap" not in str(error.message).lower():
                    raise
                refused = error  # somebody was quicker, or Docker knows of a route that we do not see
        raise RuntimeFailure(
            f"No network could be made for the server: {refused.message if refused else 'none is free'}.",
            hint="Set [docker] network_pool to addresses that nothing here uses.",
        )

    async def _remove(self, docker: Docker, network: str) -> None:
        with suppress(DockerError):  # something is still in it: it goes when the agent starts next
            await (await docker.networks.get(network)).delete()

    async def _stand(self, *, look: bool = False) -> None:
        tenants, port = list(self._tenants.values()), self._config.api.port
        await asyncio.to_thread(self.firewall.stand, tenants, self._section, self._gateway, port, look=look)


def _first(subnet: IPv4Network) -> str:
    return str(subnet.network_address + 1)
