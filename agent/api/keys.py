"""What handlers find in the application: typed keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from agent.backups.desk import BackupDesk
from agent.credentials import Credentials
from agent.files import FileDesk
from agent.manager import ServerManager
from agent.outbox import Outbox
from agent.pulls import Pulls
from agent.runtime.runtime import Runtime
from core.clock import Clock
from core.config import AgentConfig
from core.supervise import Supervisor


@dataclass(frozen=True)
class SftpDoor:
    """What the API may do to SFTP."""

    end_sessions: Callable[[str, Sequence[str]], None] = lambda user, servers: None
    """Ends the sessions of a user (empty: of everybody) on these servers, or on all when none is named."""


MANAGER = web.AppKey("manager", ServerManager)
RUNTIME = web.AppKey("runtime", Runtime)
OUTBOX = web.AppKey("outbox", Outbox)
CREDENTIALS = web.AppKey("credentials", Credentials)
CONFIG = web.AppKey("config", AgentConfig)
CLOCK = web.AppKey("clock", Clock)
SFTP = web.AppKey("sftp", SftpDoor)
TASKS = web.AppKey("tasks", Supervisor)
FILES = web.AppKey("files", FileDesk)
PULLS = web.AppKey("pulls", Pulls)
BACKUPS = web.AppKey("backups", BackupDesk)
