"""What handlers find in the application: typed keys."""

from aiohttp import web

from agent.manager import ServerManager
from agent.remote import Remote
from agent.runtime.runtime import Runtime
from core.clock import Clock
from core.config import AgentConfig
from core.supervise import Supervisor

MANAGER = web.AppKey("manager", ServerManager)
RUNTIME = web.AppKey("runtime", Runtime)
REMOTE = web.AppKey("remote", Remote)
CONFIG = web.AppKey("config", AgentConfig)
CLOCK = web.AppKey("clock", Clock)
TASKS = web.AppKey("tasks", Supervisor)
