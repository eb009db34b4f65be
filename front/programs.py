"""Aerie's programs as the front door runs them: one coroutine each, from settings to a clean stop.

Each imports its own room when it is called, so that an agent's machine never loads discord.py.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from core import log
from core.actor import Actor
from core.clock import SystemClock
from core.config import AgentConfig, BotConfig, load, service_manager
from core.errors import AerieError
from core.supervise import Supervisor, stop_asked

Say = Callable[[str], None]

LOCAL_NODE = "local"
"""Name of the node that `aerie up` makes for its own agent."""
FIRST_PORTS = "25565-25580"
"""What that node may give its servers, until `/node ports` says otherwise."""


def start(program: Coroutine[Any, Any, None], fail: Say) -> int:
    """Run a program on uvloop until it ends; an error meant for people becomes one sentence. Answers the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(program)
        except AerieError as error:
            fail(str(error))
            return 2
        except KeyboardInterrupt:  # before there was anything to stop
            return 130
    return 0


async def bot(path: Path | None, say: Say) -> None:
    """The control plane. Raises AerieError with what is wrong with the settings."""
    from bot.app import running

    config = load(BotConfig, path)
    log.set_up(config.log.level)
    async with running(config) as app:
        await _serve(say, f"The bot's endpoint listens on {config.endpoint.host}:{app.port}.")


async def agent(path: Path | None, say: Say) -> None:
    """A node's daemon. Raises AerieError with what is wrong with the settings."""
    from agent.app import running

    config = load(AgentConfig, path)
    log.set_up(config.log.level)
    async with running(config) as app:
        await _serve(say, f"The agent listens on {app.url}{f', SFTP on port {app.sftp.port}' if app.sftp.port else ''}.")


async def _serve(say: Say, words: str) -> None:
    """Say that we are ready, to people and to systemd, and stay until we are asked to stop."""
    manager, clock = service_manager(), SystemClock()
    async with Supervisor("service manager", clock) as tasks:
        stop = stop_asked()
        tasks.run("watchdog", lambda: manager.run(clock))
        manager.ready(words)
        say(words)
        await stop.wait()
    manager.stopping()


async def everything(path: Path | None, sandbox: bool, say: Say) -> None:
    """Bot and agent in one process: SQLite, backplane in memory, the agent on loopback and called over real HTTP."""
    from agent.app import running as agent_running
    from bot.app import running as bot_running

    bot_config, agent_config = load(BotConfig, path), load(AgentConfig, path)
    log.set_up(bot_config.log.level)
    async with AsyncExitStack() as stack:
        if sandbox:
            from sandbox.app import SandboxConfig
            from sandbox.app import running as sandbox_running

            box = await stack.enter_async_context(sandbox_running(SandboxConfig()))
            discord = bot_config.discord.model_copy(update={"sandbox_url": box.url, "token": _secret(box.token)})
            bot_config = bot_config.model_copy(update={"discord": discord})
            say(f"Open {box.url}")
        app = await stack.enter_async_context(bot_running(bot_config))
        token = await local_node(app.services, agent_config)
        remote = agent_config.remote.model_copy(
            update={"url": f"http://127.0.0.1:{app.port}", "token_id": token.id, "token": _secret(token.secret)}
        )
        api = agent_config.api.model_copy(update={"host": "127.0.0.1"})
        daemon = await stack.enter_async_context(agent_running(agent_config.model_copy(update={"remote": remote, "api": api})))
        if daemon.sftp.port:
            node = await app.services.nodes.by_name(LOCAL_NODE)
            await app.services.nodes.sftp_at(node.id, daemon.sftp.port, node.sftp_host)
        sftp = f"SFTP on port {daemon.sftp.port}" if daemon.sftp.port else "no SFTP"
        say(f"Aerie is up: the bot's endpoint on port {app.port}, the agent on {daemon.url}, {sftp}.")
        await stop_asked().wait()


def _secret(text: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(text)


async def local_node(services: Any, config: AgentConfig) -> Any:
    """The node of this process's own agent: found by its name, made at the first start."""
    for address in await services.nodes.addresses():
        if address.name == LOCAL_NODE:
            return address.token
    node, token = await services.nodes.create(name=LOCAL_NODE, url=f"http://127.0.0.1:{config.api.port}")
    await services.allocations.add(Actor.system("first start"), node.id, FIRST_PORTS)
    if config.sftp.port:
        await services.nodes.sftp_at(node.id, config.sftp.port)
    return token


async def migrate(path: Path | None, say: Say) -> None:
    """Bring the database's tables up to date."""
    from core.db.migrate import upgrade

    config = load(BotConfig, path)
    await upgrade(config.database.url.get_secret_value())
    say("The database is up to date.")
