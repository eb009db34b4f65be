"""A floor for tests of the REST APIs: the endpoint over real HTTP, people of every standing and their keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api.app import make_app
from bot.api.auth import Limits
from core.events import ServerStateChanged, ServerStatsSampled
from core.models.server import Server
from core.models.user import User
from core.protocol.socket import StateChange, StatsFrame
from core.services.api_keys import EVERYTHING
from core.services.people import Person
from core.vocabulary import KeyKind, ServerState
from tests.control_plane import GUILD, OWNER, SYSTEM, Stage, member, owner, staged

Client = TestClient[web.Request, web.Application]

VIEWER, STRANGER = 33, 44
"""Discord ids of somebody granted `viewer`, and of somebody granted nothing."""


@dataclass
class Ring:
    """`root`, `owner` (of the guild), `viewer`, `stranger`: their users and client keys; `admin` is root's application key."""

    stage: Stage
    client: Client
    server: Server
    users: dict[str, User]
    keys: dict[str, str]

    async def call(self, who: str | None, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Status and JSON body (None when there is none) of one call."""
        headers = {"Authorization": f"Bearer {self.keys[who]}", "Accept": "application/json"} if who else {}
        async with self.client.request(method, path, headers={**headers, **more.pop("headers", {})}, **more) as answer:
            return answer.status, await answer.json() if await answer.read() else None

    async def key(self, who: str, kind: KeyKind = KeyKind.CLIENT, **more: Any) -> str:
        row, secret = await self.stage.services.api_keys.create(SYSTEM, self.users[who], kind, **more)
        return row.identifier + secret


async def _people(stage: Stage) -> dict[str, User]:
    found = {}
    for name, discord_id in (("root", None), ("owner", OWNER), ("viewer", VIEWER), ("stranger", STRANGER)):
        person = Person(email=f"{name}@example.org", username=name, first_name=name.title(), last_name="Test", root_admin=name == "root")
        user = await stage.services.people.create(SYSTEM, person)
        if discord_id is not None:
            async with stage.services.database.begin() as session:
                row = await session.get_one(User, user.id)
                row.discord_id = discord_id
            user = row
        found[name] = user
    return found


@asynccontextmanager
async def keyring(where: Path | str, limits: Limits | None = None) -> AsyncIterator[Ring]:
    """`where`: a folder for a SQLite file, or the address of a database."""
    url = where if isinstance(where, str) else f"sqlite+aiosqlite:///{where}/aerie.sqlite3"
    async with staged(url) as stage:
        server = await stage.a_server()
        now = datetime(2026, 1, 1, tzinfo=UTC)
        change = StateChange(state=ServerState.RUNNING, previous=ServerState.OFFLINE, at=now)
        stage.services.live.apply(ServerStateChanged(server_uuid=server.uuid, change=change))
        stage.services.live.apply(ServerStatsSampled(server_uuid=server.uuid, stats=StatsFrame(memory_bytes=1024, uptime=60_000)))
        await stage.services.guilds.grant(owner(), preset="viewer", user_id=VIEWER, server_ref=server.uuid)
        for discord_id in (VIEWER, STRANGER):
            await stage.services.members.seen(member(discord_id=discord_id))
        async with TestClient(TestServer(make_app(stage.services, limits=limits))) as client:
            ring = Ring(stage, client, server, await _people(stage), {})
            for name in ring.users:
                ring.keys[name] = await ring.key(name)
            ring.keys["admin"] = await ring.key("root", KeyKind.APPLICATION, rights=EVERYTHING)
            yield ring


__all__ = ["GUILD", "Ring", "keyring"]
