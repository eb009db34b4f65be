"""What was last asked of a server and is not done: one small file, by which an agent that is killed in the middle leaves word to the next.

Never decides what follows; `Server.restore` does. A disk that does not take it is no reason to refuse a signal.
"""

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.clock import Clock
from core.supervise import Supervisor
from core.vocabulary import PowerSignal

log = logging.getLogger(__name__)

_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="wishes")
"""Of their own: an acknowledgement must not wait until some server's files were counted."""
KEPT_SECONDS = 2.0
"""Most that an acknowledgement waits for the disk."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A signal and when it was accepted."""

    signal: PowerSignal
    at: datetime


class WishFile:
    """`hold` is told of every change and returns at once; `kept` waits until the file says so too."""

    def __init__(self, file: Path, clock: Clock, tasks: Supervisor) -> None:
        self._file = file
        self._clock = clock
        self._tasks = tasks
        self._wanted: Wish | None = None
        self._written: Wish | None = None
        self._writing: asyncio.Task[None] | None = None

    def hold(self, signal: PowerSignal | None) -> None:
        """From now on this is what is wished; None is nothing."""
        self._wanted = Wish(signal, self._clock.now()) if signal else None
        if self._writing is None or self._writing.done():
            self._writing = self._tasks.spawn("wish", self._write_all())

    async def kept(self) -> None:
        """Wait until the file is written, but not for a disk that hangs."""
        if self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing}, timeout=KEPT_SECONDS)

    def read(self) -> Wish | None:
        """What an earlier agent left undone. Used in a thread."""
        try:
            signal, _, moment = self._file.read_text(encoding="ascii").partition(" ")
            self._written = Wish(PowerSignal(signal), datetime.fromisoformat(moment.strip()))
        except (OSError, ValueError):
            return None
        return self._written

    def forget(self) -> None:
        """The server is deleted. Used in a thread."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    async def _write_all(self) -> None:
        while self._written != self._wanted:
            wanted = self._wanted
            try:
                await asyncio.get_running_loop().run_in_executor(_THREADS, self._write, wanted)
            except OSError as error:
                log.error("what is asked of a server cannot be kept in %s: %s", self._file, error.strerror)
            self._written = wanted

    def _write(self, wanted: Wish | None) -> None:
        if wanted is None:
            self._file.unlink(missing_ok=True)
            return
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{wanted.signal.value} {wanted.at.isoformat()}", encoding="ascii")
        fresh.replace(self._file)
