"""`aerie egg check`: hold egg files to the same reader that `/egg import` uses. Changes nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import Invalid
from core.protocol.egg import MOST_BYTES, read

Say = Callable[[str], None]


def check(files: Sequence[Path], say: Say, fail: Say) -> int:
    """One line for each file that fails and why, then how many were good. Answers the exit code: 1 if any failed."""
    failed = 0
    for file in files:
        if why := _fault(file):
            failed += 1
            fail(f"{file}: {why}")
    good = len(files) - failed
    say(f"{good} of {len(files)} egg{'' if len(files) == 1 else 's'} can be imported.")
    return 1 if failed else 0


def _fault(file: Path) -> str:
    """Why a file cannot be imported, in one line; empty when it can."""
    try:
        with file.open("rb") as opened:
            body = opened.read(MOST_BYTES + 1)
        read(body)
    except OSError as error:
        return f"It cannot be read: {error.strerror or error}."
    except Invalid as error:
        return " ".join(str(error).split())
    return ""
