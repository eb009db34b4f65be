"""The agent, running: boot order as prose. Clean ends leave the containers running."""

import asyncio
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent.api.app import make_app
from agent.api.keys import SftpDoor
from agent.api.listening import listening
from agent.backups.desk import BackupDesk
from agent.credentials import Credentials
from agent.fetching import Fetcher
from agent.files import FileDesk
from agent.history.history import History
from agent.journal import Journal
from agent.manager import ServerManager
from agent.outbox import Outbox
from agent.pulls import Pulls
from agent.remote import connected
from agent.runtime.docker import DockerRuntime
from agent.runtime.process import ProcessRuntime
from agent.runtime.runtime import Runtime
from agent.sftp.server import SftpServer
from core.clock import Clock, SystemClock
from core.config import AgentConfig, secrets_of
from core.errors import NotConfigured
from core.log import hide
from core.supervise import Supervisor
from core.tls import client_context, server_tls

log = logging.getLogger(__name__)

MOST_FILES = 65_536
"""Descriptors that are asked for: enough for thousands of servers."""


@dataclass(frozen=True)
class Agent:
    """A running agent and what it bound."""

    port: int
    url: str
    manager: ServerManager
    sftp: SftpServer
    backups: BackupDesk


@asynccontextmanager
async def running(config: AgentConfig, clock: Clock | None = None) -> AsyncIterator[Agent]:
    """Folders, engine, HTTP (answering 503 for servers), then the servers one after another. Raises AerieError with what is missing."""
    clock = clock or SystemClock()
    for secret in secrets_of(config):
        hide(secret)
    for remark in config.remarks:
        log.warning("%s", remark)
    _allow_many_files()
    await asyncio.to_thread(_make_folders, config)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(Supervisor("agent", clock))
        trust = await asyncio.to_thread(client_context, config.tls.ca)
        folder = config.system.root_directory
        credentials = await asyncio.to_thread(Credentials, config.remote, folder / "credentials.json")
        remote = await stack.enter_async_context(connected(config.remote, credentials, clock, folder / "servers.json", trust))
        runtime = _runtime(config, clock)
        stack.push_async_callback(runtime.close)
        await runtime.open()
        outbox = Outbox(Journal(folder / "outbox.sqlite3"), remote.deliver, remote.refused, clock)
        await outbox.open()
        stack.push_async_callback(outbox.close)
        history = History(folder / "console", config.history, clock)
        await history.open()
        stack.push_async_callback(history.close)
        tasks.run("history", history.run)
        manager = ServerManager(config, runtime, remote, outbox, history, clock, tasks)
        stack.push_async_callback(manager.close)
        sftp = SftpServer(config, manager.get, remote.sftp_auth, outbox.activity, clock, tasks)
        desk = FileDesk()
        stack.push_async_callback(asyncio.to_thread, desk.close)
        fetcher = Fetcher(config.pull, [urlsplit(config.remote.url).hostname or ""])
        pulls = Pulls(fetcher, config.pull.most_mib, desk, tasks)
        backups = BackupDesk(config.backups, folder, remote, outbox, fetcher, clock, tasks)
        backups.end_sessions = lambda server: sftp.end_sessions("", [server], "The server is being restored from a backup.")
        app = make_app(manager, runtime, outbox, config, credentials, clock, tasks, SftpDoor(sftp.end_sessions), desk, pulls, backups)
        tls = await asyncio.to_thread(server_tls, config.api.certificate, config.api.key, "api")
        port = await stack.enter_async_context(listening(app, config.api, tls.context if tls else None))
        if tls is not None:
            tasks.run("certificate", lambda: tls.run(clock))
        host = "127.0.0.1" if config.api.host in ("0.0.0.0", "::") else config.api.host
        await backups.prepare()
        manager.greet = backups.greet
        url = f"{'https' if tls else 'http'}://{host}:{port}"
        log.info("the agent listens on %s", url)
        await manager.boot()
        await backups.begin_work()
        outbox.begin()
        stack.push_async_callback(sftp.close)
        if config.sftp.enabled:
            try:
                await sftp.start()
            except NotConfigured as error:  # games go on without it, and people can still use Discord
                log.error("%s", error)
        yield Agent(port, url, manager, sftp, backups)


def _runtime(config: AgentConfig, clock: Clock) -> Runtime:
    return DockerRuntime(config, clock) if config.docker.runtime == "docker" else ProcessRuntime(config, clock)


def _allow_many_files() -> None:
    """Each running server takes about seven descriptors, and systemd and shells give 1,024 unless asked for what they allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _make_folders(config: AgentConfig) -> None:
    own, data = config.system.root_directory.resolve(), config.system.data.resolve()
    if own.is_relative_to(data):
        raise NotConfigured(
            f"The agent's own folder {own} lies among the servers' files in {data}.",
            hint="Set [system] root_directory to a folder outside.",
        )
    for folder in (config.system.root_directory, config.system.data):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        except OSError as error:
            raise NotConfigured(
                f"The folder {folder} cannot be made: {error.strerror}.", hint="Run as root, or set another folder."
            ) from error
