"""`aerie doctor`: every question of front/checks.py asked of the settings in force, as a report without secrets.

`aerie agent diagnostics` is the same about a node, with what its running agent says of itself (agent/api/diagnostics.py).
"""

import asyncio
import platform
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.markup import escape

from agent.credentials import Credentials
from core.config import AgentConfig, BotConfig, docker_host, load
from core.errors import NotConfigured
from front import checks, listening, walls
from front.checks import Finding

Question = Callable[[], Awaitable[Finding]]


async def doctor(path: Path | None, console: Console, program: str = "") -> int:
    """Print the report about `bot`, `agent` or both; 0 when all is well, 1 when something needs doing."""
    questions: list[Question] = []
    findings: list[Finding] = []
    if program in ("", "bot"):
        try:
            questions += _bot(load(BotConfig, path))
            findings.append(Finding("bot settings", "can be read"))
        except NotConfigured as error:
            findings.append(Finding("bot settings", error.message, error.hint))
    if program in ("", "agent"):
        try:
            questions += _agent(load(AgentConfig, path))
            findings.append(Finding("agent settings", "can be read"))
        except NotConfigured as error:
            findings.append(Finding("agent settings", error.message, error.hint))
    findings += await checks.ask(questions)
    for finding in findings:
        mark = "[green]✓[/]" if finding.well else "[red]✗[/]"
        console.print(f"{mark} [bold]{escape(finding.subject)}[/] {escape(finding.words)}", soft_wrap=True)
        if finding.fix:
            console.print(f"  → {escape(finding.fix)}", soft_wrap=True)
    return 0 if all(finding.well for finding in findings) else 1


async def diagnostics(path: Path | None, console: Console) -> int:
    """Print what somebody who helps wants to know of this node; 0 when all is well, 1 when something needs doing."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    say(f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}")
    code = await doctor(path, console, "agent")
    try:
        config = load(AgentConfig, path)
    except NotConfigured:
        return code  # the report above says why
    for remark in config.remarks:
        say(f"! {remark}")
    say(await _of_itself(config))
    return code


async def _of_itself(config: AgentConfig) -> str:
    """The running agent's own page; or why there is none."""
    secure = config.api.certificate is not None
    host = "127.0.0.1" if config.api.host in ("0.0.0.0", "::") else config.api.host
    url = f"{'https' if secure else 'http'}://{host}:{config.api.port}/api/diagnostics"
    try:
        secret = await asyncio.to_thread(Credentials, config.remote, config.system.root_directory / "credentials.json")
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=checks.PATIENCE)) as http,
            # our own agent on this machine: its certificate names the address outside
            http.get(url, headers={"Authorization": f"Bearer {secret.secret}"}, ssl=not secure) as answer,
        ):
            text = await answer.text()
            return text if answer.status == 200 else f"The agent answers its diagnostics with status {answer.status}."
    except (aiohttp.ClientError, OSError, ssl.SSLError, TimeoutError, NotConfigured):
        return "The agent does not run, so there is no more to tell: its log says why (journalctl -u aerie-agent)."


def _bot(config: BotConfig) -> list[Question]:
    api = f"{config.discord.sandbox_url}/api/v10" if config.discord.sandbox_url else checks.DISCORD_API
    return [
        partial(checks.database, config.database.url.get_secret_value()),
        partial(checks.tables, config.database.url.get_secret_value()),
        partial(checks.redis, config.backplane.url.get_secret_value()),
        partial(checks.discord, config.discord.token.get_secret_value(), api),
        partial(listening.certificate, "endpoint", (config.endpoint.certificate, config.endpoint.key), config.tls.ca),
        partial(listening.http_port, "endpoint", config.endpoint.host, config.endpoint.port),
    ]


def _agent(config: AgentConfig) -> list[Question]:
    async def data() -> Finding:
        return checks.folder("server data", config.system.data)

    async def limits() -> Finding:
        system = config.system
        return await asyncio.to_thread(checks.disk_limits, system.data, system.root_directory, system.disk_quota)

    questions: list[Question] = [
        data,
        limits,
        partial(listening.certificate, "api", (config.api.certificate, config.api.key), config.tls.ca),
        partial(listening.http_port, "api", config.api.host, config.api.port),
    ]
    if config.sftp.enabled:
        questions.append(partial(listening.sftp_port, config.sftp.host, config.sftp.port))
    if config.docker.runtime == "docker":
        questions.append(partial(checks.docker, docker_host(config.docker)))
        questions.append(partial(walls.walls, config))
    if config.remote.url:
        questions.append(
            partial(checks.reachable, "control plane", config.remote.url, "Start the bot, or correct [remote] url in the settings.")
        )
    return questions
