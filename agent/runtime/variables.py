"""A server's variables as its process gets them. Pure functions.

Wings' five fixed ones come first and nobody's variable beats them, in whatever spelling. Names are those that a shell takes, values are
single lines; what cannot be handed over is named, not dropped in silence.
"""

import re

from core.protocol.settings import ServerSettings

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BREAKS = re.compile(r"[\r\n]+")
LONGEST = 100_000
"""Letters of one value; Linux takes 128 KiB with its name, and starts nothing that has more."""


def environment(settings: ServerSettings, timezone: str, interface: str = "") -> list[str]:
    """`NAME=value` for Docker, in a fixed order. `interface` stands in for 127.0.0.1, which inside a container is the container."""
    default = settings.allocations.default
    fixed = {
        "TZ": timezone,
        "STARTUP": settings.invocation.replace("\0", ""),
        "SERVER_MEMORY": str(settings.build.memory_limit),
        "SERVER_IP": interface if default.ip == "127.0.0.1" and interface else default.ip,
        "SERVER_PORT": str(default.port),
    }
    rest: dict[str, str] = {}
    for name, value in sorted(settings.environment.items()):  # upper case sorts first, so of two twins it wins
        if not _fault(name, value):
            rest.setdefault(name.upper(), _BREAKS.sub(" ", value))
    return [f"{name}={value}" for name, value in {**fixed, **rest, **fixed}.items()]


def left_out(settings: ServerSettings) -> list[str]:
    """What could not be handed over, a sentence each. Names come from people: they are shown shortened, values never."""
    faults = ((name, _fault(name, value)) for name, value in sorted(settings.environment.items()))
    return [f"Its variable {name[:60]!r} is left out: {fault}." for name, fault in faults if fault]


def _fault(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        return "names are letters, digits and underscores"
    if "\0" in value:
        return "its value holds a NUL"
    return f"its value has more than {LONGEST} letters" if len(value) > LONGEST else ""
