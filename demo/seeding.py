"""What the demo's database holds: one node, two eggs, two servers, who may do what, and which channel shows which console.

Goes through the same services as everything else. Running it again changes nothing that people have changed; a server whose image or
port is another by now is made anew under its old uuid, so its files stay.
"""

import json
from pathlib import Path
from typing import Any

from core.actor import Actor
from core.errors import NotFound
from core.models.server import Server
from core.services.build import Services, opened
from core.services.servers import Limits
from core.tokens import NodeToken
from core.vocabulary import ActorKind
from demo import images
from demo.fallback import startup
from demo.folder import GAMES
from demo.play import HOST
from demo.programs import database_url
from demo.stage import Stage
from sandbox.person import Person

EGGS = Path(__file__).resolve().parent / "eggs"
NODE = "this-machine"
LIMITS = Limits(memory=512, disk=1024)
PRESETS = {"Moderators": "moderator", "Members": "viewer"}


async def seed(stage: Stage, address: str) -> None:
    """Bring the demo's database in order; `address` is where its local Discord answers."""
    async with Person.connect(address, "Ada") as ada, opened(database_url(stage)) as services:
        guild = int(ada.guild["id"])
        owner = _owner(ada, guild)
        first = await services.guilds.get(guild) is None
        await services.guilds.bind(guild, int(ada.guild["owner_id"]), ada.guild["name"])
        node = await _node(services, stage)
        for game in GAMES:
            await _server(services, stage, game, node, guild)
        if first:
            for role, preset in PRESETS.items():
                found = next(entry for entry in ada.guild["roles"] if entry["name"] == role)
                await services.guilds.grant(owner, preset=preset, role_id=int(found["id"]))
        shown = {(bridge.server.name, bridge.channel_id) for bridge in await services.guilds.consoles()}
        for game in GAMES:
            channel = int(ada.channel_id(f"{game}-console"))
            if first or not any(name == game for name, _ in shown):
                await services.guilds.attach_console(owner, game, channel)


def _owner(ada: Person, guild: int) -> Actor:
    return Actor(ActorKind.DISCORD, "Ada", discord_id=int(ada.me["id"]), guild_id=guild, guild_owner=True, origin="demo")


async def _node(services: Services, stage: Stage) -> int:
    url = f"http://{HOST}:{stage.remembered.ports['agent']}"
    try:
        node = await services.nodes.by_name(NODE)
    except NotFound:
        secrets = stage.remembered.secrets
        node, _ = await services.nodes.create(NODE, url, NodeToken(secrets["token_id"], secrets["token"]))
    if node.url != url:
        await services.nodes.move(node.id, url)
    await services.nodes.sftp_at(node.id, stage.remembered.ports["sftp"])
    return node.id


async def _server(services: Services, stage: Stage, game: str, node: int, guild: int) -> None:
    uuid, port, egg = stage.remembered.servers[game], stage.remembered.ports[game], egg_of(stage, game)
    image = next(iter(egg["docker_images"].values()))
    try:
        there = await services.servers.get(uuid)
    except NotFound:
        pass
    else:
        if _same(there, image, port, egg["startup"]):
            return
        await services.servers.delete(Actor.system("demo"), uuid, force=True)
    kept = await services.eggs.import_ptdl(json.dumps(egg).encode())
    await services.servers.create(
        Actor.system("demo"), name=game, egg_id=kept.id, node_id=node, ip=HOST, port=port, guild_id=guild, limits=LIMITS, uuid=uuid
    )


def _same(server: Server, image: str, port: int, start: str) -> bool:
    return server.image == image and server.startup == start and server.allocation is not None and server.allocation.port == port


def egg_of(stage: Stage, game: str) -> dict[str, Any]:
    """The game's egg as it can run here: the prepared image, or what this machine has where there is no Docker."""
    egg: dict[str, Any] = json.loads((EGGS / f"{game}.json").read_text(encoding="utf-8"))
    if stage.engine is not None:
        egg["docker_images"] = {name: images.tags()[game] for name in egg["docker_images"]}
        return egg
    plain = startup(game)
    egg["startup"] = plain.command
    egg["config"]["startup"] = json.dumps({"done": plain.done})
    egg["config"]["stop"] = plain.stop
    return egg
