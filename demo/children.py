"""The demo's programs as child processes: started, watched, started again when they die, stopped in order.

Each runs in a session of its own, so that Ctrl-C at the terminal reaches the demo alone and the demo stops them in its order; each writes
to a log file of its own; each is written down with its start time, so that the next demo can end what a killed one left behind.
Must never end a process that it did not start.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from core.clock import Clock, SystemClock
from core.supervise import Supervisor
from setup import processes
from setup.debian import last_lines

STOP_SECONDS = 15.0
STABLE_SECONDS = 20.0  # a program that lived so long may die again without a longer pause
LONGEST_PAUSE = 15.0
POLL_SECONDS = 0.05
GROUND = ("mariadb", "redis", "sandbox")
"""What the demo's other programs lean on."""


class NotStarted(Exception):
    """A program of the demo did not become ready; the message holds the last lines of its log."""


@dataclass(frozen=True)
class Program:
    """What to run, and a question that answers whether it is ready."""

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_seconds: float = 30.0


class Child:
    """One program of the demo, kept alive."""

    def __init__(self, program: Program, folder: Path, clock: Clock | None = None) -> None:
        self.program = program
        self.log = folder / "logs" / f"{program.name}.log"
        self.record = folder / "processes" / f"{program.name}.json"
        self.clock = clock or SystemClock()
        self.process: asyncio.subprocess.Process | None = None
        self.deaths = 0
        self.stopping = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()

    @property
    def pid(self) -> int | None:
        """The process id, None while it is not running."""
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    async def start(self, tasks: Supervisor) -> None:
        """Start it and keep it alive from now on. Raises NotStarted."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        await self._spawn()
        tasks.run(f"keep {self.program.name}", self._keep)
        await self.wait_ready()

    async def wait_ready(self) -> float:
        """Wait until it answers; seconds that took. Raises NotStarted when it dies thrice or takes too long."""
        started = self.clock.monotonic()
        deaths = self.deaths
        while self.clock.monotonic() - started < self.program.ready_seconds:
            if self.pid is not None and await self.program.ready():
                return self.clock.monotonic() - started
            if self.deaths - deaths >= 3:
                raise NotStarted(f"{self.program.name} ends as soon as it starts. {self.tail()}")
            await self.clock.sleep(POLL_SECONDS)
        raise NotStarted(f"{self.program.name} was not ready after {self.program.ready_seconds:.0f} s. {self.tail()}")

    def tail(self, lines: int = 12) -> str:
        """The end of its log, for a person."""
        return f"The end of {self.log}:\n{last_lines(self.log, lines) or '(empty)'}"

    def kill(self) -> None:
        """SIGKILL, as a crash would: it is started again."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def hold(self) -> None:
        """Do not start it again when it ends, until `release`."""
        self.may_start.clear()

    def release(self) -> None:
        """Start it again whenever it ends, and now if it has."""
        self.may_start.set()

    async def stop(self) -> None:
        """Ask it to end, and kill it when it does not within STOP_SECONDS."""
        self.stopping.set()
        self.may_start.set()
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()
        self.record.unlink(missing_ok=True)

    async def _spawn(self) -> None:
        environment = {**inherited(), "PYTHONUNBUFFERED": "1", **self.program.environment}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=tree(),
                start_new_session=True,
            )
        processes.remember(self.record, self.process.pid)

    async def _keep(self) -> None:
        pause = 0.2
        while True:
            assert self.process is not None
            started = self.clock.monotonic()
            code = await self.process.wait()
            if self.stopping.is_set():
                return
            self.deaths += 1
            with self.log.open("a") as log:
                log.write(f"-- {self.program.name} ended with {code}; starting it again in {pause:.1f} s --\n")
            await self.clock.sleep(pause)
            await self.may_start.wait()
            pause = 0.2 if self.clock.monotonic() - started > STABLE_SECONDS else min(LONGEST_PAUSE, pause * 2)
            if self.stopping.is_set():
                return
            await self._spawn()


def aerie(*arguments: str) -> list[str]:
    """The command line of one of Aerie's own programs."""
    return [sys.executable, "-m", "aerie", *arguments]


def tree() -> Path:
    """The folder that holds aerie.py."""
    return Path(__file__).resolve().parent.parent


def inherited() -> dict[str, str]:
    """Our environment without settings of Aerie: the demo's children are configured by their files alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AERIE_")}  # noqa: TID251


async def answers(host: str, port: int, path: str, headers: Mapping[str, str] | None = None) -> int:
    """HTTP status of one GET on a program of the demo, 0 when nothing answers within two seconds."""
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                lines = [
                    f"GET {path} HTTP/1.1",
                    f"Host: {host}:{port}",
                    "Connection: close",
                    *(f"{k}: {v}" for k, v in (headers or {}).items()),
                ]
                writer.write("\r\n".join([*lines, "", ""]).encode())
                status = await reader.readline()
                return int(status.split()[1])
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0


def end_leftovers(folder: Path) -> list[str]:
    """End programs that a killed demo left running; their names. What others lean on goes last, or they would wait for it."""
    records = sorted((folder / "processes").glob("*.json"))
    leaned_on = [record for record in records if record.stem in GROUND]
    ended: list[str] = []
    for wave in ([record for record in records if record not in leaned_on], leaned_on):
        with ThreadPoolExecutor(max_workers=max(1, len(wave))) as hands:
            there = list(hands.map(lambda record: processes.end(record, STOP_SECONDS), wave))
        ended += [record.stem for record, was_there in zip(wave, there, strict=True) if was_there]
    return ended
