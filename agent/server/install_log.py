"""The log of one installation: a file per server, the ones before kept beside it; secrets blanked out, endless output cut in its middle.

Used in a thread: it writes to the disk. Must never hold more than a few lines in memory.
"""

import contextlib
import os
import re
from collections import deque
from datetime import datetime
from pathlib import Path

from agent.history.escapes import ANSI

KEPT = 3
"""Logs of earlier installations that are kept."""
LAST_LINES = 200
_SECRET = re.compile(r"pass|secret|token|key|auth|credential|webhook|_pw|pwd", re.IGNORECASE)
_SHOWN = 6
"""Characters below which a value is not blanked out in the output: it would blank out words."""
MASK = "•••"
OUTPUT = b"\nOutput\n"
"""Where a log's head ends and what the script said begins."""


def masked(environment: list[str]) -> tuple[list[str], list[str]]:
    """`NAME=value` lines with what looks secret blanked out, and the values that must not be shown, longest first."""
    lines, hidden = [], []
    for entry in environment:
        name, _, value = entry.partition("=")
        if _SECRET.search(name) and value:
            hidden.append(value)
            lines.append(f"{name}={MASK}")
        else:
            lines.append(entry)
    return lines, sorted((value for value in hidden if len(value) >= _SHOWN), key=len, reverse=True)


class InstallLog:
    """`write` lines, then `close` with the verdict. Opens its file for each write, so that nothing is held. Raises OSError."""

    def __init__(self, file: Path, most_bytes: int) -> None:
        self._most = most_bytes
        self._left_out = 0
        self._written = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _rotate(file)

    def head(self, uuid: str, image: str, entrypoint: str, environment: list[str], at: datetime) -> None:
        """What is being run."""
        lines = [f"Server {uuid}", f"Began {at:%Y-%m-%d %H:%M:%S} UTC", f"Image {image}", f"Entrypoint {entrypoint}", "", "Environment"]
        self._put([*lines, *(f"  {entry}" for entry in environment), "", "Output"])

    def write(self, lines: list[str]) -> None:
        """Lines of the script; once the file is long enough only the last ones are kept, for its end."""
        if not self._left_out and self._written < self._most:
            self._put(lines)
            return
        self._left_out += len(lines)
        self._last.extend(lines)

    def close(self, verdict: str) -> None:
        """The last lines, if they had to wait, and how it ended."""
        if self._left_out:
            kept = list(self._last)
            self._put([f"[… {self._left_out - len(kept)} lines are left out …]", *kept])
        self._put(["", verdict])

    def _put(self, lines: list[str]) -> None:
        data = "".join(f"{ANSI.sub('', line)}\n" for line in lines).encode()
        with os.fdopen(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "wb") as out:
            out.write(data)
        self._written += len(data)


def _rotate(file: Path) -> None:
    for number in range(KEPT, 0, -1):
        before = file.with_name(f"{file.name}.{number - 1}") if number > 1 else file
        with contextlib.suppress(FileNotFoundError):
            before.replace(file.with_name(f"{file.name}.{number}"))
