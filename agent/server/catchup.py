"""What was said while nobody was attached: the engine's log laid over what came through the new attachment, without loss or doubles.

Pure functions. The log's lines have the engine's timestamps, the attachment's have none, so lines are matched by their words.
"""

from collections.abc import Sequence
from datetime import datetime

Stamped = Sequence[tuple[datetime, str]]


def unread(log: Stamped, tail: Sequence[str], read_until: datetime | None) -> list[tuple[datetime, str]]:
    """Lines of the log behind the last ones that were read (`tail`, oldest first; read no later than `read_until`)."""
    if read_until is None:
        return list(log)
    wanted = list(tail)
    newest = sum(1 for moment, _ in log if moment <= read_until)
    for end in range(newest, len(wanted) - 1, -1):
        if wanted and [words for _, words in log[end - len(wanted) : end]] == wanted:
            return list(log[end:])
    return [line for line in log if line[0] > read_until]


def missing(log: Stamped, attached: datetime, heard: Sequence[str]) -> tuple[list[str], bool]:
    """Lines of the log that the attachment did not bring, and whether the first one it brought was only the rest of a line.

    `attached` is just before attaching began; `heard` is what came through since, in whole lines, at least as far as the log reaches.
    """
    words = [line for _, line in log]
    first = next((index for index, (moment, _) in enumerate(log) if moment >= attached), len(log))
    for start in range(first, len(log)):
        rest = words[start:]
        if rest == list(heard[: len(rest)]):
            return words[:start], False
        if heard and rest[0].endswith(heard[0]) and rest[1:] == list(heard[1 : len(rest)]):
            return words[: start + 1], True
    return words, False
