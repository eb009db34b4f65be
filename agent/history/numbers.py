"""The last number each console gave a line, on disk before anybody sees the line: after any end of the agent, no number comes twice.

Sixteen bytes are written in place for each batch of lines, into the page cache: that outlives the agent, not the machine. When the machine
itself went down, a new count begins under another name, so that whoever remembers a number can tell. Must never raise for a bad disk.
"""

import logging
import os
import secrets
import struct
from pathlib import Path

log = logging.getLogger(__name__)

_MAGIC = b"AERIENR1"
_HEAD = struct.Struct("<8s16s36s?")
_SLOT = struct.Struct("<36sQQ")
_SIZE = 64
"""Bytes of the head and of each slot: none lies across two pages."""
_KERNEL = Path("/proc/sys/kernel/random/boot_id")


class Numbers:
    """`open` first. `count` names the count: numbers of different counts have nothing to do with each other."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd = -1
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._told = False
        self._known: dict[str, tuple[int, int]] = {}
        self._kernel = b""
        self.count = ""
        self.fresh = False
        """Whether a new count began, because the old one was not there or could not be trusted."""

    def open(self) -> None:
        """Read what there is. Used in a thread."""
        try:
            self._kernel = _KERNEL.read_bytes().strip()[:36]
        except OSError:
            self._kernel = b""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._load(os.pread(self._fd, os.fstat(self._fd).st_size, 0))
            self._write(0, _HEAD.pack(_MAGIC, self.count.encode(), self._kernel, False).ljust(_SIZE, b"\0"))
        except OSError as error:
            self._complain(error)
            self._begin_anew()

    def _load(self, data: bytes) -> None:
        magic, count, kernel, clean = _HEAD.unpack_from(data) if len(data) >= _SIZE else (b"", b"", b"", False)
        for at in range(_SIZE, len(data) - _SIZE + 1, _SIZE):
            name, seq, outputs = _SLOT.unpack_from(data, at)
            if uuid := name.rstrip(b"\0").decode("ascii", "replace"):
                self._slots[uuid] = at
                self._known[uuid] = (seq, outputs)
            else:
                self._free.append(at)
        if magic == _MAGIC and count and (clean or kernel.rstrip(b"\0") == self._kernel):
            self.count = count.decode("ascii", "replace")
        else:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self.count, self.fresh = secrets.token_hex(8), True

    def of(self, uuid: str) -> tuple[int, int]:
        """The last number given, and how many lines of the game's own were among all that were numbered."""
        return self._known.get(uuid, (0, 0))

    def note(self, uuid: str, seq: int, outputs: int) -> None:
        """These are the last numbers now."""
        at = self._slots.get(uuid)
        if at is None:
            at = self._slots[uuid] = self._free.pop() if self._free else _SIZE * (len(self._slots) + 1)
        self._write(at, _SLOT.pack(uuid.encode(), seq, outputs).ljust(_SIZE, b"\0"))

    def recall(self, uuid: str, seq: int) -> None:
        """Another source knows this number as given."""
        self._known[uuid] = (seq, 0)
        self.note(uuid, seq, 0)

    def forget(self, uuid: str) -> None:
        self._known.pop(uuid, None)
        if (at := self._slots.pop(uuid, None)) is not None:
            self._free.append(at)
            self._write(at, bytes(_SIZE))

    def close(self) -> None:
        """On disk for good: the next agent goes on counting, after a restart of the machine too. Used in a thread."""
        if self._fd < 0:
            return
        self._write(0, _HEAD.pack(_MAGIC, self.count.encode(), self._kernel, True))
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._complain(error)
        os.close(self._fd)
        self._fd = -1

    def _write(self, at: int, data: bytes) -> None:
        if self._fd < 0:
            return
        try:
            os.pwrite(self._fd, data, at)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            log.error("the numbers of console lines cannot be kept in %s: %s. They may repeat after a crash.", self._file, error.strerror)
