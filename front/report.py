"""`aerie doctor`: every question of front/checks.py asked of the settings in force, as a report without secrets."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from core.config import AgentConfig, BotConfig, docker_host, load
from core.errors import NotConfigured
from front import checks, listening
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
    if config.remote.url:
        questions.append(
            partial(checks.reachable, "control plane", config.remote.url, "Start the bot, or correct [remote] url in the settings.")
        )
    return questions
