"""What the demo's database holds: two nodes, two eggs, three servers, who may do what, and which channel shows what.

Goes through the same services as everything else. Running it again changes nothing that people have changed; a server whose image, node
or port is another by now is made anew under its old uuid, so its files stay.
"""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from core.actor import Actor
from core.clock import SystemClock
from core.errors import NotFound
from core.models.server import Server
from core.services.build import Services, opened
from core.services.request_rules import RulesChange
from core.services.servers import Limits
from core.tokens import NodeToken
from core.vocabulary import ActorKind
from demo import cast, images
from demo.children import NotStarted
from demo.fallback import manners, startup
from demo.play import HOST
from demo.stage import Stage
from sandbox.person import Person

EGGS = Path(__file__).resolve().parent / "eggs"
LIMITS = Limits(memory=512, disk=1024)
PRESETS = {"Moderators": "moderator", "Members": "viewer"}
SOURCE = "monitoring"
TAKEN_SECONDS = 60.0
QUORUM, COUNTDOWN = 3, (10, 5)


async def seed(services: Services, stage: Stage, address: str) -> None:
    """Bring the demo's database in order; `address` is where its local Discord answers. Its nodes are not up yet."""
    async with Person.connect(address, "Ada") as ada:
        guild = int(ada.guild["id"])
        owner = _owner(ada, guild)
        first = await services.guilds.get(guild) is None
        await services.guilds.bind(guild, int(ada.guild["owner_id"]), ada.guild["name"])
        nodes = {node: await _node(services, stage, node, owner) for node in cast.NODES}
        for name in cast.SERVERS:
            await _server(services, stage, name, nodes, guild)
        if first:
            await _settle(services, stage, ada, owner)
        await _consoles(services, ada, owner, first)
        await _source(services, stage, ada, owner)


async def hand_over(services: Services) -> None:
    """Once the nodes are up, give them the servers that were made before they were, and wait until these can be started.

    Raises NotStarted, and the nodes' errors.
    """
    clock = SystemClock()
    waiting = [server for server in await services.servers.all() if server.waits_for_node]
    for server in waiting:
        await services.servers.remind(server.uuid)
    deadline = clock.monotonic() + TAKEN_SECONDS
    while waiting := [server for server in waiting if not await _installed(services, server)]:
        if clock.monotonic() > deadline:
            names = ", ".join(server.name for server in waiting)
            raise NotStarted(f"After {TAKEN_SECONDS:.0f} s these servers are not ready on their nodes: {names}.")
        await clock.sleep(0.1)


async def _installed(services: Services, server: Server) -> bool:
    return any(row.event == "server:install" for row in await services.activity.recent(server, 10))


def services_of(stage: Stage) -> AbstractAsyncContextManager[Services]:
    """The control plane's services on the demo's database, beside its bot."""
    stores, origin = stage.stores, f"http://{HOST}:{stage.remembered.ports['bot']}"
    return opened(stores.database_url, backplane_url=stores.backplane_url, key=stage.remembered.secrets["seal"], origin=origin)


def _owner(ada: Person, guild: int) -> Actor:
    return Actor(ActorKind.DISCORD, "Ada", discord_id=int(ada.me["id"]), guild_id=guild, guild_owner=True, origin="demo")


async def _settle(services: Services, stage: Stage, ada: Person, owner: Actor) -> None:
    """What the owner of a new community would set first: who may do what, and where requests and alerts are shown."""
    for role, preset in PRESETS.items():
        found = next(entry for entry in ada.guild["roles"] if entry["name"] == role)
        await services.guilds.grant(owner, preset=preset, role_id=int(found["id"]))
    await services.alert_sources.set_own_channel(owner, int(ada.channel_id("alerts")))
    rules = services.request_rules
    await rules.change(owner, RulesChange(quorum=QUORUM, countdown=COUNTDOWN, channel_id=int(ada.channel_id("requests"))))
    for name, part in cast.SERVERS.items():
        command = manners(part.egg, docker=stage.engine is not None).warning
        await rules.change(owner, RulesChange(command=command), name, same_game=True)


async def _consoles(services: Services, ada: Person, owner: Actor, first: bool) -> None:
    shown = {bridge.server.name for bridge in await services.guilds.consoles()}
    for name in cast.SERVERS:
        if first or name not in shown:
            await services.guilds.attach_console(owner, name, int(ada.channel_id(f"{name}-console")))


async def _source(services: Services, stage: Stage, ada: Person, owner: Actor) -> None:
    """An address that anything may report to. It is shown once, so the demo keeps it in a file of its own."""
    sources, file = services.alert_sources, stage.folder.webhook
    known = SOURCE in await sources.names(owner)
    if known and file.exists():
        return
    made = await (sources.rotate(owner, SOURCE) if known else sources.create(owner, SOURCE, int(ada.channel_id("alerts"))))
    file.touch(mode=0o600)
    file.write_text(made.token)


async def _node(services: Services, stage: Stage, name: str, owner: Actor) -> int:
    ports, secrets = stage.remembered.ports, stage.remembered.secrets
    url = f"http://{HOST}:{ports[f'agent-{name}']}"
    try:
        node = await services.nodes.by_name(name)
    except NotFound:
        node, _ = await services.nodes.create(name, url, NodeToken(secrets[f"{name}_id"], secrets[f"{name}_token"]), location="home")
    if node.url != url:
        node = await services.nodes.move(node.id, url)
    await services.nodes.sftp_at(node.id, ports[f"sftp-{name}"], HOST)
    spare = ", ".join(str(ports[f"spare-{name}-{number}"]) for number in range(cast.SPARE))
    await services.allocations.add(owner, name, spare, ip=HOST)
    return node.id


async def _server(services: Services, stage: Stage, name: str, nodes: dict[str, int], guild: int) -> None:
    part = cast.SERVERS[name]
    uuid, port, egg = stage.remembered.servers[name], stage.remembered.ports[name], egg_of(stage, part.egg)
    image = next(iter(egg["docker_images"].values()))
    try:
        there = await services.servers.get(uuid)
    except NotFound:
        pass
    else:
        if there.node_id == nodes[part.node] and _same(there, image, port, egg["startup"]):
            return
        await services.servers.delete(Actor.system("demo"), uuid, force=True)
    kept = await services.eggs.import_ptdl(json.dumps(egg).encode())
    await services.servers.create(
        Actor.system("demo"),
        name=name,
        egg_id=kept.id,
        node_id=nodes[part.node],
        ip=HOST,
        port=port,
        guild_id=guild,
        limits=LIMITS,
        variables=part.variables,
        uuid=uuid,
    )


def _same(server: Server, image: str, port: int, start: str) -> bool:
    return server.image == image and server.startup == start and server.allocation is not None and server.allocation.port == port


def egg_of(stage: Stage, game: str) -> dict[str, Any]:
    """The game's egg as it can run here: the prepared image, or what this machine has where there is no Docker."""
    egg: dict[str, Any] = json.loads((EGGS / f"{game}.json").read_text(encoding="utf-8"))
    if stage.engine is not None:
        tags = images.tags()
        egg["docker_images"] = {name: tags.get(game, tags["freeciv"]) for name in egg["docker_images"]}
        if egg["scripts"]["installation"]["script"]:
            egg["scripts"]["installation"]["container"] = tags["freeciv"]
        return egg
    plain = startup(game)
    egg["startup"] = plain.command
    egg["config"]["startup"] = json.dumps({"done": plain.done})
    egg["config"]["stop"] = plain.stop
    return egg
