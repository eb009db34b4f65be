"""Aerie's own alerts: crashes, nodes lost and back, full disks, failed installations. They enter by the same door as everybody's.

Facts come as events, so each of several processes sees them; a row of its own per trouble, and a name for each happening, keep them from
being told twice. Must never invent trouble: what is not known (a node not asked yet) raises and resolves nothing.
"""

import asyncio
import logging
from collections import defaultdict

from core.clock import Clock
from core.errors import AerieError
from core.events import (
    Event,
    NodeBack,
    NodeLost,
    ServerCrashed,
    ServerDeleted,
    ServerInstallEnded,
    ServerStateChanged,
    ServerStatsSampled,
    SignInsRefused,
)
from core.models.server import Server
from core.protocol.alerts import AlertBatch, AlertItem, clean, fingerprint
from core.services.build import Services
from core.vocabulary import AlertSender, AlertSeverity, AlertStatus, ServerState

log = logging.getLogger(__name__)

LOOK_EVERY = 30.0  # s between two looks at which servers there are
MIB = 1024 * 1024
CALM = 0.95
"""Share of its disk limit below which a server counts as within it again."""
CRASH_LINES = 12
GUESSED = "Wrong SFTP passwords"
FADES_AFTER = 1200.0  # s; while it goes on it is told every ten minutes
ALIVE = ServerStateChanged | ServerStatsSampled


class OwnAlerts:
    """`run` is the worker."""

    def __init__(self, services: Services, clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self._servers: dict[str, Server] = {}
        self._looked = float("-inf")
        self._firing: set[tuple[int, str]] = set()
        """Guild and fingerprint of what fires as far as this process knows; resolving anything else is left undone."""
        self._fading: dict[tuple[int, str], float] = {}
        """Alerts that end by silence, and when they were heard of last."""

    async def run(self) -> None:
        """Turn events into alerts, for ever."""
        with self._services.live.events.listen(10_000) as events:
            await self._look()
            rows = await self._services.alerts.firing_own()
            self._firing = {(row.guild_id, row.fingerprint) for row in rows}
            began = self._clock.monotonic()
            self._fading = {(row.guild_id, row.fingerprint): began for row in rows if row.title.startswith(GUESSED)}
            while True:
                try:
                    async with asyncio.timeout(LOOK_EVERY):
                        heard = await events.drain()
                except TimeoutError:
                    heard = []
                for event in heard:
                    try:
                        await self._heed(event)
                    except AerieError as error:
                        log.warning("an alert of Aerie's own could not be kept: %s", error)
                await self._fade()

    async def _fade(self) -> None:
        """Guessing of passwords is over when nothing is heard of it for a while."""
        now = self._clock.monotonic()
        for key, heard in list(self._fading.items()):
            if now - heard >= FADES_AFTER:
                del self._fading[key]
                item = AlertItem(key[1], "", AlertStatus.RESOLVED)
                await self._tell(key[0], item, None)

    async def _look(self) -> None:
        self._looked = self._clock.monotonic()
        self._servers = {server.uuid: server for server in await self._services.servers.all()}

    async def _server(self, uuid: str) -> Server | None:
        if uuid not in self._servers or self._clock.monotonic() - self._looked >= LOOK_EVERY:
            await self._look()
        return self._servers.get(uuid)

    async def _heed(self, event: Event) -> None:
        match event:
            case ServerCrashed(server_uuid=uuid):
                if (server := await self._server(uuid)) is not None:
                    await self._tell(server.guild_id, crashed(server, event), server)
            case ServerInstallEnded(server_uuid=uuid):
                if (server := await self._server(uuid)) is not None:
                    await self._tell(server.guild_id, installed(server, event), server)
            case NodeLost() | NodeBack():
                await self._node(event)
            case ServerStateChanged(server_uuid=uuid) | ServerStatsSampled(server_uuid=uuid):
                if (server := await self._server(uuid)) is not None:
                    await self._alive(server, event)
            case SignInsRefused():
                await self._guessed(event)
            case ServerDeleted(server_uuid=uuid):
                if (server := self._servers.pop(uuid, None)) is not None:
                    for kind in ("crash", "disk", "install"):
                        await self._resolve(server, kind)

    async def _alive(self, server: Server, event: ALIVE) -> None:
        """A server spoke, so its node is there; and what it said may end an alert, or be one."""
        lost = fingerprint("node", str(server.node_id))
        if any(key[1] == lost for key in self._firing):
            await self._node(NodeBack(node_id=server.node_id, node_name=server.node.name, at=self._clock.now()))
        if isinstance(event, ServerStateChanged):
            if event.change.state is ServerState.RUNNING:
                await self._resolve(server, "crash", "It is running again.")
            return
        limit = server.disk * MIB
        used = event.stats.disk_bytes
        if limit and used > limit and not self._fires(server, "disk"):
            await self._tell(server.guild_id, disk_full(server, used), server)
        elif used < limit * CALM or not limit:
            await self._resolve(server, "disk", "Its files are within its limit again.")

    async def _guessed(self, event: SignInsRefused) -> None:
        await self._look()
        item = guessed(event)
        homes = {server.guild_id for server in self._servers.values() if server.node_id == event.node_id}
        for guild_id in homes - {None}:
            await self._tell(guild_id, item, None)
            self._fading[guild_id or 0, item.fingerprint] = self._clock.monotonic()

    async def _node(self, event: NodeLost | NodeBack) -> None:
        await self._look()
        homes: defaultdict[int, list[Server]] = defaultdict(list)
        for server in self._servers.values():
            if server.node_id == event.node_id and server.guild_id is not None:
                homes[server.guild_id].append(server)
        for guild_id, servers in homes.items():
            if isinstance(event, NodeLost) or (guild_id, fingerprint("node", str(event.node_id))) in self._firing:
                await self._tell(guild_id, node(event, servers), None)

    def _fires(self, server: Server, kind: str) -> bool:
        return (server.guild_id or 0, fingerprint(kind, server.uuid)) in self._firing

    async def _resolve(self, server: Server, kind: str, text: str = "") -> None:
        if self._fires(server, kind):
            item = AlertItem(fingerprint(kind, server.uuid), "", AlertStatus.RESOLVED, text=text)
            await self._tell(server.guild_id, item, server)

    async def _tell(self, guild_id: int | None, item: AlertItem, server: Server | None) -> None:
        """Hand it in at the door, into the channel of Aerie's own alerts or else where the console is shown."""
        if guild_id is None:
            return
        source = await self._services.alert_sources.own(guild_id)
        channel_id = None
        if source.channel_id is None and item.status is AlertStatus.FIRING:
            channel_id = await self._services.alert_sources.fallback_channel(guild_id, server.id if server is not None else None)
        await self._services.alerts.receive(source, AlertBatch(AlertSender.AERIE, (item,)), channel_id=channel_id)
        (self._firing.add if item.status is AlertStatus.FIRING else self._firing.discard)((guild_id, item.fingerprint))


def crashed(server: Server, event: ServerCrashed) -> AlertItem:
    """How it ended, and its last words."""
    crash = event.crash
    code = "unknown" if crash.exit_code is None else str(crash.exit_code)
    if crash.oom_killed:
        how = f"It ran out of memory (exit code {code})."
    elif crash.exit_code is not None and 128 < crash.exit_code < 160:
        how = f"Signal {crash.exit_code - 128} ended its process (exit code {code})."
    else:
        how = f"Its process ended with exit code {code}."
    again = "It is being started again." if crash.restarting else "It stays offline."
    last = [clean(line, 200) for line in crash.lines[-CRASH_LINES:]]
    text = "\n".join([f"{how} {again}", *(["Its last lines:", *last] if last else [])])
    labels = {"server": server.name, "node": server.node.name, "exit code": code}
    if crash.uptime:
        labels["ran for"] = f"{crash.uptime:.0f} s"
    return AlertItem(
        fingerprint("crash", server.uuid),
        clean(f"{server.name} crashed", 200),
        severity=AlertSeverity.CRITICAL,
        text=text[-1500:] if len(text) > 1500 else text,
        labels=labels,
        starts_at=crash.at,
        occurrence=f"crash {crash.at.isoformat()}",
    )


def installed(server: Server, event: ServerInstallEnded) -> AlertItem:
    """A failed installation; a good one resolves it."""
    what = "reinstallation" if event.reinstall else "installation"
    if event.successful:
        return AlertItem(fingerprint("install", server.uuid), "", AlertStatus.RESOLVED, text=f"Its {what} succeeded.")
    return AlertItem(
        fingerprint("install", server.uuid),
        clean(f"The {what} of {server.name} failed", 200),
        severity=AlertSeverity.CRITICAL,
        text=clean(event.reason, 1000) if event.reason else "The install log on its node says why. Mend the cause, then reinstall it.",
        labels={"server": server.name, "node": server.node.name},
        starts_at=event.at,
        occurrence=f"install {event.at.isoformat()}",
    )


def disk_full(server: Server, used: int) -> AlertItem:
    return AlertItem(
        fingerprint("disk", server.uuid),
        clean(f"{server.name} is over its disk limit", 200),
        severity=AlertSeverity.WARNING,
        text="Its node stops it, and it cannot be started until files are deleted or the limit is raised.",
        value=f"{used // MIB} MiB of {server.disk} MiB",
        labels={"server": server.name, "node": server.node.name},
        occurrence="disk",
    )


def guessed(event: SignInsRefused) -> AlertItem:
    """Somebody tries passwords at a node."""
    return AlertItem(
        fingerprint("sign-ins", str(event.node_id), event.household),
        clean(f"{GUESSED} on {event.node_name}", 200),
        severity=AlertSeverity.WARNING,
        text="Further tries are slowed down. If it was one of you, set a new password with `/account sftp`; else nothing needs to be done.",
        value=f"{event.tries} tries",
        labels={"node": clean(event.node_name, 100), "from": clean(event.household, 100), "name": clean(event.username, 100)},
        starts_at=event.at,
        occurrence=f"sign-ins {event.at.isoformat()}",
    )


def node(event: NodeLost | NodeBack, servers: list[Server]) -> AlertItem:
    """A node that does not answer, or does again."""
    known = fingerprint("node", str(event.node_id))
    if isinstance(event, NodeBack):
        return AlertItem(known, "", AlertStatus.RESOLVED, text="It answers again.")
    names = ", ".join(sorted(server.name for server in servers)[:20])
    return AlertItem(
        known,
        clean(f"The node {event.node_name} does not answer", 200),
        severity=AlertSeverity.CRITICAL,
        text=clean(f"{event.reason} Its servers may still run, but cannot be reached from here.", 600),
        labels={"node": clean(event.node_name, 100), "servers": clean(names, 120)},
        starts_at=event.at,
        occurrence="lost",
    )
