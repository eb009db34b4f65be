"""Logging set-up. Request id, actor, server and node ride in context variables, so every line says whom it is about.

Secrets never reach a log: `hide` registers values that are blanked out wherever they appear, and what looks like a credential (a bearer, a
JWT, `token=` in an address, a password before an `@`) is blanked out though nobody registered it.
"""

import logging
import re
import sys
from collections import deque
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
actor: ContextVar[str] = ContextVar("actor", default="")
server: ContextVar[str] = ContextVar("server", default="")
node: ContextVar[str] = ContextVar("node", default="")

_CONTEXT = {"request": request_id, "actor": actor, "server": server, "node": node}
_hidden: tuple[str, ...] = ()
"""Longest first, so that a secret which holds another is blanked out whole; replaced, never changed, since any thread may log."""
_BLANK = "•••"
_CREDENTIALS = re.compile(
    r"(?P<bearer>\b(?:Bearer|Basic)\s+)[\w.~+/=-]{8,}"
    r"|(?P<named>[?&\"' ](?:token|access_token|refresh_token|password|secret|signature|api_key)[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;)]{8,}"
    r"|(?P<address>\b[a-z][a-z0-9+.-]*://[^\s/:@]+:)[^\s/@]+(?=@)"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*",
    re.IGNORECASE,
)
_recent: deque[str] = deque(maxlen=500)


def hide(secret: str) -> None:
    """Blank this value out of every later log line. Values under 8 characters are left alone, they would blank out words."""
    global _hidden
    if len(secret) >= 8 and secret not in _hidden:
        _hidden = tuple(sorted((*_hidden, secret), key=len, reverse=True))


def clean(text: str) -> str:
    """The text without registered secrets, and without what looks like one."""
    for secret in _hidden:
        text = text.replace(secret, _BLANK)
    return _CREDENTIALS.sub(lambda found: "".join(part for part in found.groups() if part) + _BLANK, text)


def recent(most: int) -> list[str]:
    """The newest lines of this process's log, secrets blanked out, at most 500; none before `set_up`."""
    return list(_recent)[-most:] if most > 0 else []


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        context = " ".join(f"{name}={value}" for name, var in _CONTEXT.items() if (value := var.get()))
        if context:
            first, *rest = text.split("\n", 1)
            text = "\n".join([f"{first} [{context}]", *rest])
        return clean(text)


class _Remembering(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _recent.extend(self.format(record).splitlines())


def set_up(level: str = "INFO") -> None:
    """Log to standard error, once per process."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr), _Remembering()]
    for handler in handlers:
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("discord.gateway").setLevel(logging.WARNING)
