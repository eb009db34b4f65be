"""An agent whose clock stands still, and its sockets, for tests of everything that counts seconds."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web

from agent.api.app import make_app
from agent.api.websocket import SOCKETS, Socket
from agent.app import Agent, running
from agent.server.server import Server
from core.clock import ManualClock
from core.config import AgentConfig
from core.tokens import new_node_token, sign_socket_token
from tests.agent.api.conftest import config, settings
from tests.fakes.panel import Panel, standing

Frame = dict[str, Any]
PATIENCE = 60.0
"""Real seconds until a frame that does not come fails its test."""


@dataclass
class Still:
    """`http` bears no token: it is a stranger's."""

    agent: Agent
    app: web.Application
    panel: Panel
    clock: ManualClock
    http: aiohttp.ClientSession
    uuid: str
    others: list[str] = field(default_factory=list)

    @property
    def server(self) -> Server:
        return self.agent.manager.get(self.uuid)

    @property
    def node(self) -> dict[str, str]:
        """The control plane's header."""
        return {"Authorization": f"Bearer {self.panel.token.secret}"}

    @property
    def sockets(self) -> set[Socket]:
        """The agent's side of this server's connections."""
        return self.app[SOCKETS][self.uuid]

    def jwt(self, *permissions: str, server: str = "", user: str = "u", derived: bool = False, age: float = 0) -> str:
        return sign_socket_token(
            self.panel.token.secret,
            server_uuid=server or self.uuid,
            permissions=list(permissions),
            now=self.clock.now() - timedelta(seconds=age),
            user_uuid=user,
            derived=derived,
        )

    async def post(self, path: str, body: object = None) -> int:
        """The status of a call by the control plane."""
        async with self.http.post(path, json=body, headers=self.node) as answer:
            return answer.status

    async def open(self, *permissions: str, server: str = "", user: str = "u", **more: Any) -> ClientWebSocketResponse:
        """A socket, signed in when permissions are given."""
        path = f"/api/servers/{server or self.uuid}/ws"
        socket: ClientWebSocketResponse = await self.http.ws_connect(path, **{"origin": self.panel.url, "max_msg_size": 0, **more})
        if permissions:
            await ask(socket, "auth", self.jwt(*permissions, server=server, user=user))
            assert await seen(socket, "auth success")
        return socket


async def ask(socket: ClientWebSocketResponse, event: str, *args: object) -> None:
    await socket.send_json({"event": event, "args": list(args)} if args else {"event": event})


async def seen(socket: ClientWebSocketResponse, event: str, holds: str = "") -> Frame:
    """The next frame of this name; others before it are passed over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            frame: Frame = json.loads((await socket.receive()).data)
            if frame["event"] == event and holds in "".join(frame.get("args", [])):
                return frame


async def frames_until(socket: ClientWebSocketResponse, event: str) -> list[Frame]:
    """Every frame up to and with the next one of this name."""
    frames: list[Frame] = []
    async with asyncio.timeout(PATIENCE):
        while not frames or frames[-1]["event"] != event:
            frames.append(json.loads((await socket.receive()).data))
    return frames


async def answered(socket: ClientWebSocketResponse) -> list[Frame]:
    """Every frame that came by the time the node has worked off all it was sent, which its pong tells. Open with `autoping=False`."""
    await socket.ping(b"all done?")
    frames: list[Frame] = []
    async with asyncio.timeout(PATIENCE):
        while (message := await socket.receive()).type is not WSMsgType.PONG:
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            else:
                frames.append(json.loads(message.data))
    return frames


async def close_code(socket: ClientWebSocketResponse) -> int | None:
    """How the node ended the socket; what it still said before is passed over."""
    async with asyncio.timeout(PATIENCE):
        while (message := await socket.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            pass
    return message.data if message.type is aiohttp.WSMsgType.CLOSE else socket.close_code


async def until(done: Any) -> None:
    """Until this is true of the running agent."""
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def standing_still(folder: Path, *, servers: int = 1, **changes: Any) -> AsyncIterator[Still]:
    """`changes` are tables of the settings."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    async with standing(new_node_token()) as panel:
        uuids = [str(uuid4()) for _ in range(servers)]
        for uuid in uuids:
            panel.servers[uuid] = settings(uuid)
        wanted: dict[str, Any] = config(panel, folder).model_dump()
        wanted["remote"]["token"] = panel.token.secret
        for table, change in changes.items():
            wanted[table] = {**wanted[table], **change} if isinstance(change, dict) else change
        made: list[web.Application] = []

        def kept(*parts: Any) -> web.Application:
            made.append(make_app(*parts))
            return made[0]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("agent.app.make_app", kept)
            async with running(AgentConfig.model_validate(wanted), clock) as agent:
                await clock.advance(1)  # whatever is signed from now on is younger than the agent
                async with aiohttp.ClientSession(agent.url) as http:
                    yield Still(agent, made[0], panel, clock, http, uuids[0], uuids[1:])
