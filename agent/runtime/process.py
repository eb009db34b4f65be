"""Games as plain child processes in a pty: for the demo where no Docker can be had, and for fast tests.

No isolation and no limits: never for strangers' games. The start-up line (`invocation`) is run by /bin/sh in the server's folder. A
process ends with the agent, since nobody else holds its terminal.
"""

import asyncio
import contextlib
import errno
import os
import platform
import pty
import re
import signal
import tty
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agent.runtime.runtime import Died, EngineEvent, Exit, Inspection, Made, Progress, Sample, go_name
from agent.runtime.variables import environment
from core.clock import Clock
from core.config import AgentConfig
from core.errors import ProcessGone, RuntimeFailure
from core.fanout import Fanout
from core.protocol.agent import SystemFacts, SystemV2
from core.protocol.remote import InstallScript
from core.protocol.settings import ServerConfiguration
from core.supervise import Supervisor

CHUNK = 64 * 1024
HELD = 64
"""Chunks read ahead; then the game has to wait, as it does under Docker when nobody reads."""

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
"""`{{SERVER_PORT}}` in a start-up line; an image's entrypoint makes it `${SERVER_PORT}`, here nobody else does."""


@dataclass
class _Process:
    configuration: ServerConfiguration
    folder: Path
    output: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(HELD))
    kept: deque[tuple[datetime, str]] = field(default_factory=lambda: deque(maxlen=2000))
    child: asyncio.subprocess.Process | None = None
    terminal: int = -1
    started_at: datetime | None = None
    exit: Exit | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class ProcessAttachment:
    """A child's terminal."""

    def __init__(self, process: _Process) -> None:
        self._process = process

    async def chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._process.output.get()) is not None:
            yield chunk

    async def write(self, data: bytes) -> None:
        if self._process.terminal < 0:
            raise ProcessGone("The server's console is closed.", hint="Look at its state, it may have just stopped.")
        while data:
            try:
                data = data[os.write(self._process.terminal, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError as error:
                raise ProcessGone("The server's console is closed.", hint="Look at its state, it may have just stopped.") from error

    async def close(self) -> None:
        """Nothing is held: the terminal belongs to the process."""


class ProcessRuntime:
    """The Runtime without Docker."""

    def __init__(self, config: AgentConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._tasks = Supervisor("processes", clock)
        self._processes: dict[str, _Process] = {}
        self._exits: Fanout[EngineEvent] = Fanout()

    def exits(self) -> Fanout[EngineEvent]:
        return self._exits

    @property
    def gateway(self) -> str:
        return self._config.docker.interface or "127.0.0.1"

    @property
    def runs_scripts(self) -> bool:
        """Never: eggs' scripts expect to be root in a container, and would be root of this machine here."""
        return False

    def owner(self, uuid: str) -> tuple[int, int]:
        return self._config.system.uid, self._config.system.gid

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """End every game: without us nobody holds its terminal."""
        for uuid, process in self._processes.items():
            await self.kill(uuid)
            if process.child is not None:
                await self._drained(process)
        await self._tasks.close()
        self._exits.close()

    async def facts(self, version: str = "") -> SystemV2:
        host = platform.uname()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return SystemV2(
            version=version,
            system=SystemFacts(
                architecture=go_name(host.machine),
                cpu_threads=os.cpu_count() or 1,
                memory_bytes=memory,
                kernel_version=host.release,
                os=host.system,
                os_type=host.system.lower(),
            ),
        )

    async def ensure_image(self, configuration: ServerConfiguration, progress: Progress) -> None:
        """Without containers there are no images."""

    async def create(self, configuration: ServerConfiguration, folder: Path, *, anew: bool = False) -> Made:
        await self.destroy(configuration.settings.uuid)
        self._processes[configuration.settings.uuid] = _Process(configuration, folder)
        return Made([], False)

    async def adjust(self, configuration: ServerConfiguration) -> list[str]:
        """Plain processes have no limits."""
        return []

    async def create_installer(self, configuration: ServerConfiguration, script: InstallScript, folder: Path, scripts: Path) -> str:
        raise RuntimeFailure("Install scripts need Docker.", hint="Set [docker] runtime to docker on this node.")

    async def installers(self) -> list[str]:
        return []

    async def attach(self, uuid: str) -> ProcessAttachment:
        return ProcessAttachment(self._of(uuid))

    async def start(self, uuid: str) -> None:
        process = self._of(uuid)
        settings = process.configuration.settings
        given = dict(entry.split("=", 1) for entry in environment(settings, self._config.system.timezone))
        ours, theirs = pty.openpty()
        try:
            tty.setraw(theirs)
            process.child = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                _PLACEHOLDER.sub(r"${\1}", settings.invocation),
                cwd=process.folder,
                env={"PATH": os.defpath + ":/usr/games:/usr/local/bin", "HOME": str(process.folder), "TERM": "xterm", **given},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        except OSError as error:
            os.close(ours)
            raise RuntimeFailure(f"The process could not be started: {error.strerror}.", hint="Look at its start-up line.") from error
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        process.terminal, process.started_at = ours, self._clock.now()
        self._tasks.spawn(f"terminal {uuid}", self._follow(uuid, process, process.child))

    async def stop(self, uuid: str) -> None:
        await self.signal(uuid, "SIGTERM")

    async def signal(self, uuid: str, name: str) -> None:
        child = self._of(uuid).child
        if child is None or self._of(uuid).exit is not None:
            raise ProcessGone("The server's process is not there any more.", hint="Start the server to make it anew.")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.Signals[name])

    async def kill(self, uuid: str) -> None:
        with contextlib.suppress(ProcessGone):
            await self.signal(uuid, "SIGKILL")

    async def destroy(self, uuid: str) -> None:
        if (process := self._processes.get(uuid)) is None:
            return
        await self.kill(uuid)
        if process.child is not None:
            await self._drained(process)
        self._processes.pop(uuid, None)

    async def forget(self, uuid: str) -> None:
        """Nothing of a server outlives its process here."""

    async def tidy(self, uuids: Collection[str]) -> None:
        """As above."""

    async def inspect(self, uuid: str) -> Inspection:
        if (process := self._processes.get(uuid)) is None:
            return Inspection(exists=False, running=False)
        running = process.child is not None and process.exit is None
        return Inspection(True, running, process.child.pid if process.child and running else None, process.started_at, process.exit)

    async def wait(self, uuid: str) -> Exit:
        process = self._of(uuid)
        await process.ended.wait()
        return process.exit or Exit(None)

    def samples(self, uuids: Iterable[str]) -> dict[str, Sample]:
        found = {uuid: self._sample(self._processes[uuid]) for uuid in uuids if uuid in self._processes}
        return {uuid: sample for uuid, sample in found.items() if sample is not None}

    def _sample(self, process: _Process) -> Sample | None:
        """Of the process alone, not of those it made: what belongs together is known of containers only."""
        if process.child is None or process.exit is not None or process.started_at is None:
            return None
        up = int((self._clock.now() - process.started_at).total_seconds() * 1000)
        try:
            pages = int((Path("/proc") / str(process.child.pid) / "statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            pages = 0
        return Sample(pages * os.sysconf("SC_PAGE_SIZE"), 0, 0.0, 0, 0, max(0, up))

    async def output_since(self, uuid: str, since: datetime) -> list[tuple[datetime, str]]:
        return [line for line in self._of(uuid).kept if line[0] >= since]

    async def logs(self, uuid: str, lines: int) -> list[str]:
        return [words for _, words in self._of(uuid).kept][-lines:] if lines > 0 else []

    @staticmethod
    async def _drained(process: _Process) -> None:
        """Wait for a killed process's end, throwing away what nobody reads any more."""
        while not process.ended.is_set():
            while not process.output.empty():
                process.output.get_nowait()
            await asyncio.sleep(0.01)

    def _of(self, uuid: str) -> _Process:
        if (process := self._processes.get(uuid)) is None:
            raise ProcessGone("The server's process is not there any more.", hint="Start the server to make it anew.")
        return process

    async def _follow(self, uuid: str, process: _Process, child: asyncio.subprocess.Process) -> None:
        """Carry output from the terminal to the attachment until the process has ended and said its last word."""
        ended = self._tasks.spawn(f"process {uuid}", child.wait())
        loop, rest = asyncio.get_running_loop(), b""
        readable = asyncio.Event()
        loop.add_reader(process.terminal, readable.set)
        try:
            while True:
                try:
                    chunk = os.read(process.terminal, CHUNK)
                except BlockingIOError:
                    if ended.done():
                        break
                    readable.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(readable.wait(), 0.1)
                    continue
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    break
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                now = self._clock.now()
                process.kept.extend((now, line.decode("utf-8", "replace").rstrip("\r")) for line in lines if line.strip(b"\r"))
                rest = rest[-CHUNK:]
                await process.output.put(chunk)
        finally:
            loop.remove_reader(process.terminal)
            code = await asyncio.shield(ended)
            os.close(process.terminal)
            process.terminal = -1
            process.exit = Exit(code if code >= 0 else 128 - code)
            process.ended.set()
            self._exits.publish(Died(uuid, process.exit))
        await process.output.put(None)
