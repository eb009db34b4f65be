"""One whole count of a server's files: by `du`, else by a walk of our own. Runs in a thread, which waits; `du` does the work.

`du` is three times as fast as a walk in Python and does not hold up the agent meanwhile. It starts in the folder's descriptor, follows no
link, leaves the file system nowhere and gets no path of ours, so that no race can lead it elsewhere. Counts as quota.py says. Both ways
answer the same figures, folder by folder, each without those below it.
"""

import os
import subprocess
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

from agent.filesystem.quota import BLOCK, taken
from core.errors import AerieError

MOST_SECONDS = 900.0
"""What one count may take; then it is ended and the old figure stays."""
MOST_FOLDERS = 250_000
"""Folders whose own figures are kept; of a larger tree only the sum is known."""
MOST_DEPTH = 256
"""Folders deeper than this are not counted by the walk of our own: each level holds a descriptor."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACES = ("/usr/bin/du", "/bin/du")
_OPTIONS = ("-0", "-S", "-x", "-B1")
"""Zero bytes between lines, each folder by itself, one file system, bytes."""
_PORTION = 256 * 1024


class NotCounted(AerieError):
    """The files could not be counted in time."""

    code = "not_counted"


@dataclass
class Scan:
    """`total` bytes, without the root's first block: an empty folder takes nothing. `folders` by path from the root, which is `b""`."""

    total: int = 0
    folders: dict[bytes, int] = field(default_factory=dict)
    free: int = 0
    """Bytes of the root itself that do not count."""
    done: bool = False
    """Whether the root itself is counted, which comes last."""
    whole: bool = True
    """Whether `folders` has every folder."""

    def add(self, path: bytes, size: int) -> None:
        if path == b"":
            size -= min(size, self.free)
            self.done = True
        self.total += size
        if len(self.folders) < MOST_FOLDERS:
            self.folders[path] = size
        else:
            self.whole = False


def scan(root: int, seconds: float = MOST_SECONDS) -> Scan:
    """Count everything below the descriptor. Raises NotCounted."""
    program = du()
    found = by_du(root, program, seconds) if program else None
    return found or by_walk(root)


@cache
def du() -> str:
    """The program, when this machine has one that knows what we need (busybox has not)."""
    for place in _PLACES:
        if Path(place).exists():
            tried = subprocess.run([place, *_OPTIONS, "/dev/null"], capture_output=True, timeout=10, check=False)  # noqa: S603 (ours)
            if tried.returncode == 0 and tried.stdout.endswith(b"\0"):
                return place
    return ""


def by_du(root: int, program: str, seconds: float) -> Scan | None:
    """None when it could not even begin. Files that vanish meanwhile or may not be looked at are left out, as ever."""
    found, late = _begun(root), threading.Event()
    with subprocess.Popen(  # noqa: S603 (nothing of a client's is in it)
        [program, *_OPTIONS, "."],
        cwd=f"/proc/self/fd/{root}", pass_fds=(root,), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C"},
    ) as process:  # fmt: skip

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            _read(process.stdout, found)
            process.wait()
        finally:
            timer.cancel()
            process.kill()
    if late.is_set():
        raise NotCounted(f"The server's files could not be counted within {seconds:.0f} s.", hint="It has a great many files.")
    return found if found.done else None


def _read(output: IO[bytes] | None, found: Scan) -> None:
    """Lines of a size, a tab, a path and a zero byte."""
    rest = b""
    while output is not None and (portion := os.read(output.fileno(), _PORTION)):
        *lines, rest = (rest + portion).split(b"\0")
        for line in lines:
            size, _, path = line.partition(b"\t")
            found.add(path[2:] if path != b"." else b"", int(size))


def _begun(root: int) -> Scan:
    return Scan(free=min(taken(os.fstat(root)), BLOCK))


def by_walk(root: int) -> Scan:
    """The same in Python."""
    found = _begun(root)
    _walk(root, b"", os.fstat(root).st_dev, found, set(), MOST_DEPTH)
    return found


def _walk(folder: int, path: bytes, device: int, found: Scan, seen: set[int], depth: int) -> None:
    total, folders = taken(os.fstat(folder)), []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(os.fsencode(entry.name))
                    else:
                        total += _size(entry.stat(follow_symlinks=False), seen)
                except OSError:
                    continue
    except OSError:
        pass
    for name in folders if depth else ():
        try:
            opened = os.open(name, _FOLDER, dir_fd=folder)
        except OSError:
            continue
        try:
            if os.fstat(opened).st_dev == device:
                _walk(opened, path + b"/" + name if path else name, device, found, seen, depth - 1)
        finally:
            os.close(opened)
    found.add(path, total)


def _size(facts: os.stat_result, seen: set[int]) -> int:
    if facts.st_nlink > 1:
        if facts.st_ino in seen:
            return 0
        seen.add(facts.st_ino)
    return taken(facts)
