"""An agent with SFTP under a fake panel, and asyncssh's own client to speak to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncssh
import pytest

from agent.app import Agent, running
from core.config import AgentConfig
from core.protocol.remote import SftpGrant
from core.protocol.settings import ServerConfiguration
from core.tokens import new_node_token
from tests.fakes.panel import Panel, standing

ALL = ("file.read", "file.read-content", "file.create", "file.update", "file.delete")
PASSWORD = "a right password"


@dataclass
class Bench:
    """An agent, its panel, one server with a folder, and ways in."""

    agent: Agent
    panel: Panel
    config: AgentConfig
    uuid: str

    @property
    def folder(self) -> Path:
        return self.config.system.data / self.uuid

    @property
    def name(self) -> str:
        return f"alice.{self.uuid[:8]}"

    def permit(self, *permissions: str, name: str = "", user: str = "u-alice") -> None:
        """Let alice (or another) in with PASSWORD and these permissions."""
        self.panel.sftp[name or self.name, PASSWORD] = SftpGrant(user=user, server=self.uuid, permissions=list(permissions))

    def settings(self, **changes: object) -> None:
        """Change what the panel says of the server, at once as after a sync."""
        raw = self.panel.body(self.uuid)
        for key, value in changes.items():
            raw["settings"][key] = value
        self.panel.servers[self.uuid] = ServerConfiguration.model_validate(raw)
        self.agent.manager.get(self.uuid).configuration = self.panel.servers[self.uuid]

    def connect(self, **options: object) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
        wanted: dict[str, object] = {
            "username": self.name, "password": PASSWORD, "known_hosts": None, "client_keys": None, "agent_path": None, "config": None,
        }  # fmt: skip
        return asyncssh.connect("127.0.0.1", self.agent.sftp.port, **{**wanted, **options})

    @asynccontextmanager
    async def session(self, *permissions: str) -> AsyncIterator[asyncssh.SFTPClient]:
        """A signed-in session; with all file permissions when none is named."""
        self.permit(*(permissions or ALL))
        async with self.connect() as connection, connection.start_sftp_client() as client:
            yield client


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def agent_config(panel: Panel, folder: Path, **sftp: object) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "api": {"host": "127.0.0.1", "port": 0},
            "remote": {"url": panel.url, "token_id": panel.token.id, "token": panel.token.secret, "timeout": 2},
            "system": {"root_directory": folder, "data": folder / "volumes", "check_permissions_on_boot": False},
            "docker": {"runtime": "process"},
            "sftp": {"host": "127.0.0.1", "port": 0, **sftp},
        }
    )


@asynccontextmanager
async def bench_with(folder: Path, keys: Path, **sftp: object) -> AsyncIterator[Bench]:
    """`keys` is a folder of host keys made once: making an RSA key takes its time."""
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = ServerConfiguration.model_validate({"settings": {"uuid": uuid, "skip_egg_scripts": True}})
        config = agent_config(panel, folder, **sftp)
        (config.system.data / uuid).mkdir(parents=True)
        (folder / "sftp").symlink_to(keys)
        async with running(config) as agent:
            yield Bench(agent, panel, config, uuid)


@pytest.fixture(scope="session")
def host_key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host-keys")


@pytest.fixture
async def bench(tmp_path: Path, host_key_folder: Path) -> AsyncIterator[Bench]:
    async with bench_with(tmp_path, host_key_folder) as made:
        yield made
