"""`/api/diagnostics`: one page of text about this agent, to hand to somebody who helps. What is secret is never on it.

Addresses of the control plane and of this node are blanked out unless asked for, as Pelican does.
"""

import asyncio
import re
from urllib.parse import urlsplit

from aiohttp import web

from agent.api.keys import CLOCK, CONFIG, CREDENTIALS, MANAGER, OUTBOX, RUNTIME
from agent.remote import VERSION
from core.config import AgentConfig
from core.errors import AerieError
from core.log import recent

BLANK = "{redacted}"
LINES, MOST_LINES = 200, 500
"""Log lines shown, and at most (Pelican)."""
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")


async def show(request: web.Request) -> web.Response:
    """`?include_endpoints=true`, `?include_logs=false`, `?log_lines=1…500`; text, never JSON."""
    query = request.query
    text = await _report(request, _count(query.get("log_lines", "")) if query.get("include_logs", "").lower() != "false" else 0)
    text = _JWT.sub(BLANK, text)
    for secret in (request.app[CREDENTIALS].secret, request.app[CREDENTIALS].id):
        text = text.replace(secret, BLANK)
    if query.get("include_endpoints", "").lower() != "true":
        for place in _places(request.app[CONFIG]):
            text = text.replace(place, BLANK)
    return web.Response(text=text, content_type="text/plain")


def _count(text: str) -> int:
    return min(int(text), MOST_LINES) if text.isascii() and text.isdigit() and int(text[:9]) > 0 else LINES


def _places(config: AgentConfig) -> list[str]:
    """Longest first, so that an address goes before the name in it."""
    known = [config.remote.url, urlsplit(config.remote.url).netloc, urlsplit(config.remote.url).hostname or "", *config.allowed_origins]
    known += [str(path) for path in (config.api.certificate, config.api.key) if path]
    return sorted({place for place in known if len(place) > 1}, key=len, reverse=True)


async def _report(request: web.Request, lines: int) -> str:
    config = request.app[CONFIG]
    parts = [f"Aerie agent {VERSION}", f"Written {request.app[CLOCK].now():%Y-%m-%d %H:%M:%S} UTC", "", "Node"]
    parts += [f"  control plane    {config.remote.url}", f"  listens on       {config.api.host}:{config.api.port}"]
    parts += [f"  TLS              {'yes' if config.api.certificate else 'no'}", f"  runtime          {config.docker.runtime}"]
    parts += [f"  server files     {config.system.data}", f"  own files        {config.system.root_directory}"]
    parts += [f"  SFTP             {'yes' if config.sftp.enabled else 'no'}", f"  outbox           {request.app[OUTBOX].waiting()} waiting"]
    parts += ["", "Machine and engine", *await _facts(request), "", "Servers"]
    for server in request.app[MANAGER].all():
        parts.append(f"  {server.uuid}  {server.state.value}{'  suspended' if server.suspended else ''}  {server.reason}".rstrip())
    if lines:
        said = recent(lines)
        parts += ["", f"Log, the last {len(said)} lines", *said]
    return "\n".join(parts) + "\n"


async def _facts(request: web.Request) -> list[str]:
    try:
        async with asyncio.timeout(5):
            facts = await request.app[RUNTIME].facts(VERSION)
    except AerieError as error:
        return [f"  {error.message}"]
    except TimeoutError:
        return ["  The engine did not answer within five seconds."]
    docker, system = facts.docker, facts.system
    return [
        f"  system           {system.os}, kernel {system.kernel_version}, {system.architecture}",
        f"  threads, memory  {system.cpu_threads}, {system.memory_bytes // 1_000_000} MB",
        f"  Docker           {docker.version or 'none'}, cgroup v{docker.cgroups.version}, {docker.storage.driver}",
        f"  containers       {docker.containers.running} running of {docker.containers.total}",
    ]
