"""The control plane's floor for tests: services on any database, over a scripted node; and the people who use them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.actor import Actor
from core.clock import Clock
from core.models.egg import Egg
from core.models.node import Node
from core.models.server import Server
from core.seal import new_key
from core.services.build import Services, opened
from core.services.servers import Limits
from core.tokens import new_node_token
from core.vocabulary import ActorKind
from tests.fakes.node import FakeNode, FakeServer

GUILD, OWNER, MODERATOR_ROLE = 1001, 11, 501
SYSTEM = Actor.system("tests")


def owner(guild: int = GUILD) -> Actor:
    return Actor(ActorKind.DISCORD, "Ada", discord_id=OWNER, guild_id=guild, guild_owner=True, origin="discord:7")


def member(*roles: int, guild: int = GUILD, discord_id: int = 33) -> Actor:
    return Actor(ActorKind.DISCORD, "Mia", discord_id=discord_id, guild_id=guild, role_ids=frozenset(roles), origin="discord:7")


def an_egg(**changes: object) -> bytes:
    return json.dumps(
        {
            "meta": {"version": "PTDL_v2"},
            "name": "Luanti",
            "author": "demo@aerie.invalid",
            "docker_images": {"Luanti": "~aerie/luanti:latest"},
            "startup": "luanti --port {{SERVER_PORT}}",
            "config": {"files": "{}", "startup": '{"done": "listening on"}', "logs": "{}", "stop": "^C"},
            "scripts": {"installation": {"script": "", "container": "", "entrypoint": "sh"}},
            "variables": [
                {"name": "World", "env_variable": "WORLD", "default_value": "world", "rules": "required|string", "user_editable": True}
            ],
            **changes,
        }
    ).encode()


@dataclass
class Stage:
    services: Services
    fake: FakeNode
    node: Node
    egg: Egg

    async def a_server(self, name: str = "Luanti", port: int = 30000, guild_id: int | None = GUILD, **more: object) -> Server:
        server = await self.services.servers.create(
            SYSTEM,
            name=name,
            egg_id=self.egg.id,
            node_id=self.node.id,
            ip="127.0.0.1",
            port=port,
            guild_id=guild_id,
            limits=Limits(memory=512),
            **more,  # type: ignore[arg-type]
        )
        self.fake.servers.setdefault(server.uuid, FakeServer())
        return server


@asynccontextmanager
async def staged(database_url: str, *, clock: Clock | None = None, ours: bool = True, key: str = "") -> AsyncIterator[Stage]:
    """Services on `database_url`, brought up to date, with a node that answers, an egg and a guild."""
    fake = FakeNode(new_node_token(), ours=ours)
    await fake.up()
    try:
        async with opened(database_url, key=key or new_key(), origin="http://127.0.0.1:8400", clock=clock) as services:
            node, _ = await services.nodes.create("local", fake.url, fake.token)
            egg = await services.eggs.import_ptdl(an_egg())
            await services.guilds.bind(GUILD, OWNER, "The Nest")
            yield Stage(services, fake, node, egg)
    finally:
        await fake.close()
