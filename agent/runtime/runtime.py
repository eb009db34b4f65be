"""Where a server's process lives, as the rest of the agent sees it: create, attach, start, stop, measure, destroy.

Two implementations: docker.py for everyone, process.py for the demo without Docker and for fast tests. Nothing here decides *when*.
Every method raises RuntimeFailure (or a subclass) with a sentence for people.
"""

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from core.fanout import Fanout
from core.protocol.agent import SystemV2
from core.protocol.remote import InstallScript
from core.protocol.settings import ServerConfiguration


class Progress(Protocol):
    """Who hears how an image comes."""

    def detail(self, line: str) -> None:
        """One step of one layer, for programs (Wings' `install output`)."""
        ...

    def say(self, words: str) -> None:
        """A sentence for people; few."""
        ...


def go_name(machine: str) -> str:
    """A processor's architecture in Go's words, as Wings tells it; other words stay as they are."""
    return {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}.get(machine, machine)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. `code` is None when the container is gone and nobody knows."""

    code: int | None
    oom_killed: bool = False
    reason: str = ""
    with_engine: bool = False
    """Whether it ended while the engine itself was away: with it, not of its own."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the engine says now. `pid` is the first process on the host."""

    exists: bool
    running: bool
    pid: int | None = None
    started_at: datetime | None = None
    exit: Exit | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: bytes, percent of one thread, milliseconds since start."""

    memory_bytes: int
    memory_limit_bytes: int
    cpu_absolute: float
    rx_bytes: int
    tx_bytes: int
    uptime_ms: int
    cpu_limit: float = 0.0
    """What `cpu_absolute` may reach: its quota, or every thread of the machine. 0 when it is not known."""
    oom_kills: int | None = None
    """Processes in it that the kernel killed for want of memory, since it started; None when it is not known."""


@dataclass(frozen=True, slots=True)
class Died:
    """The engine told that a server's process ended or its container was removed."""

    uuid: str
    exit: Exit


@dataclass(frozen=True, slots=True)
class Began:
    """The engine told that a server's process was started, by us or by somebody on the node."""

    uuid: str


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The engine does not answer any more: it is restarted, or it died. Told once, at the beginning."""


ENGINE_ENDS_WITHIN = timedelta(seconds=20)
"""How long before its last word an engine that is stopped may begin to end its containers."""

EngineEvent = Died | Began | EngineLost


class Made(NamedTuple):
    """What `create` did: `notes` is what of the settings was left out, a sentence each; `kept` whether the old container serves again."""

    notes: list[str]
    kept: bool


class Attachment(Protocol):
    """A process's terminal. Whoever holds it must keep reading: an attachment that is not read freezes the game."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Raw output as it comes; ends when the process does."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class Runtime(Protocol):
    def exits(self) -> Fanout[EngineEvent]:
        """Ends and removals of any server's process, whoever caused them: the engine's own word."""
        ...

    @property
    def runs_scripts(self) -> bool:
        """Whether it can run an egg's install script, which needs a container of its own."""
        ...

    @property
    def gateway(self) -> str:
        """The address under which its processes reach this machine: what `{{config.docker.interface}}` means in an egg."""
        ...

    def owner(self, uuid: str) -> tuple[int, int]:
        """The machine's user and group whose a server's files are."""
        ...

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Let go of everything; processes keep running where the runtime can (Docker)."""
        ...

    async def facts(self, version: str = "") -> SystemV2: ...

    async def ensure_image(self, configuration: ServerConfiguration, progress: Progress) -> None: ...

    async def create(self, configuration: ServerConfiguration, folder: Path, *, anew: bool = False) -> Made:
        """Make the container with these settings. An old one is removed first, unless it is the same in all and `anew` is not wished.

        Raises Conflict when its name belongs to a container not ours.
        """
        ...

    async def adjust(self, configuration: ServerConfiguration) -> list[str]:
        """Apply new limits to a running process. Answers what has to wait for the next start, a sentence each; nothing when it is off."""
        ...

    async def create_installer(self, configuration: ServerConfiguration, script: InstallScript, folder: Path, scripts: Path) -> str:
        """Make the container of an install script, its image first being ensured, and answer its name, which serves as a uuid here.

        `folder` is the server's data, `scripts` holds install.sh. An old one is removed first.
        """
        ...

    async def installers(self) -> list[str]:
        """Servers whose install containers are there, running or not."""
        ...

    async def attach(self, uuid: str) -> Attachment: ...

    async def start(self, uuid: str) -> None: ...

    async def stop(self, uuid: str) -> None:
        """Ask with the image's own stop signal, without waiting and without killing."""
        ...

    async def signal(self, uuid: str, name: str) -> None: ...

    async def kill(self, uuid: str) -> None: ...

    async def destroy(self, uuid: str) -> None: ...

    async def forget(self, uuid: str) -> None:
        """The server is gone for good: so is what was its alone. Its container was destroyed, its files go after this."""
        ...

    async def tidy(self, uuids: Collection[str]) -> None:
        """These are all the servers of this node: what is left of earlier ones goes. Files are none of its business."""
        ...

    async def inspect(self, uuid: str) -> Inspection: ...

    async def wait(self, uuid: str) -> Exit: ...

    def samples(self, uuids: Iterable[str]) -> dict[str, Sample]:
        """Measure these servers' processes in one pass that never waits. What does not run, or cannot be measured yet, is left out."""
        ...

    async def output_since(self, uuid: str, since: datetime) -> list[tuple[datetime, str]]:
        """Lines written since a moment and when, from the engine's own log: what was said while nobody was attached."""
        ...

    async def logs(self, uuid: str, lines: int) -> list[str]: ...
