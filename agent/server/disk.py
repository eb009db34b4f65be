"""How much disk one server's files take, and what follows from too much: its console is told, and it is stopped, once per start (Wings).

The figure is its volume's, which knows how it is measured. Must never count by itself.
"""

from collections.abc import Callable

from agent.filesystem.quota import MEBIBYTE
from agent.filesystem.volume import Volume
from core.errors import DiskFull


class DiskWatch:
    """`begin` and `end` with the process. `say` adds to the console; `stop` ends what runs, and answers whether it could."""

    def __init__(self, volume: Volume, say: Callable[[str], None], stop: Callable[[], bool]) -> None:
        self._volume = volume
        self._say = say
        self._stop = stop
        self._stopped = False
        volume.heed = self._heed

    @property
    def bytes(self) -> int:
        """What the files take."""
        return self._volume.used

    @property
    def limit(self) -> int:
        """Bytes; 0 is no limit."""
        return self._volume.quota.limit

    def begin(self) -> None:
        """The files change without us from now on."""
        self._stopped = False
        self._volume.begin()

    def end(self) -> None:
        """They do no more. What they came to in the end is still counted."""
        self._volume.end()

    def prepare(self) -> None:
        """In a thread, before a start: make the folder and count what is in it when that matters. Raises DiskFull, OSError."""
        self._volume.prepare()
        if not self.limit:
            self._volume.count_soon()
            return
        used, limit = self._volume.measure(), self.limit
        if used > limit:
            raise DiskFull(
                f"The server's files take {used // MEBIBYTE} MiB, more than its {limit // MEBIBYTE} MiB.", hint="Delete files first."
            )

    def _heed(self) -> None:
        if self._stopped or not self._volume.quota.over:
            return
        used, limit = self.bytes // MEBIBYTE, self.limit // MEBIBYTE
        if self._stop():
            self._stopped = True
            self._say(f"Its files take {used} MiB, more than its disk limit of {limit} MiB; it is being stopped.")
