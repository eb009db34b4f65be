"""An agent on the process runtime under a fake panel, over real HTTP."""

import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from agent.app import Agent, running
from core.clock import SystemClock
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token, sign_socket_token
from tests.fakes.panel import Panel, standing

GAME = Path(__file__).resolve().parents[3] / "demo" / "game_server.py"


def settings(uuid: str, *, invocation: str | None = None, suspended: bool = False) -> ServerConfiguration:
    """A real small game: ready line, console commands, `quit`."""
    command = invocation or f"{shlex.quote(sys.executable)} -u {shlex.quote(str(GAME))} --name game --port 0"
    return ServerConfiguration.model_validate(
        {
            "settings": {"uuid": uuid, "invocation": command, "suspended": suspended, "skip_egg_scripts": True},
            "process_configuration": {"startup": {"done": ["listening on"]}, "stop": {"type": "command", "value": "quit"}},
        }
    )


@dataclass
class Bench:
    """An agent, its panel, and a client that holds the node's secret."""

    agent: Agent
    panel: Panel
    http: aiohttp.ClientSession
    uuid: str

    def path(self, rest: str = "") -> str:
        return f"/api/servers/{self.uuid}{rest}"

    def jwt(self, *permissions: str, server: str = "") -> str:
        return sign_socket_token(
            self.panel.token.secret, server_uuid=server or self.uuid, permissions=list(permissions), now=SystemClock().now(), user_uuid="u"
        )


def config(panel: Panel, folder: Path) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "api": {"host": "127.0.0.1", "port": 0},
            "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret, "timeout": 2},
            "system": {"root_directory": folder, "data": folder / "volumes", "check_permissions_on_boot": False},
            "docker": {"runtime": "process"},
            "sftp": {"enabled": False},
            "power": {"stop_timeout": 5, "ready_timeout": 10},
        }
    )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        async with running(config(panel, tmp_path)) as agent:
            headers = {"Authorization": f"Bearer {panel.token.secret}"}
            async with aiohttp.ClientSession(agent.url, headers=headers) as http:
                yield Bench(agent, panel, http, uuid)
