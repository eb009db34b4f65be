"""Which of a server's files its egg keeps to itself: gitignore patterns, held against where a path really leads.

It hides what the host manages from people with file rights. It is no secret kept from the game, which reads its own folder as it likes.
"""

from collections.abc import Sequence
from functools import lru_cache

from pathspec import GitIgnoreSpec

from agent.filesystem.refusals import Denied


class Denylist:
    """Patterns of one egg."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._spec = GitIgnoreSpec.from_lines(patterns)

    def denies(self, path: bytes) -> bool:
        """Whether the file or folder (relative to the root, normal) or a folder above it matches."""
        text = path.decode("utf-8", "replace")
        return bool(text) and (self._spec.match_file(text) or self._spec.match_file(text + "/"))

    def check(self, path: bytes) -> None:
        """Raises Denied."""
        if self.denies(path):
            raise Denied("This file is managed by the server's egg and cannot be touched.")


@lru_cache(maxsize=256)
def _made(patterns: tuple[str, ...]) -> Denylist | None:
    useful = [pattern for pattern in patterns if pattern.strip()]
    return Denylist(useful) if useful else None


def denylist(patterns: Sequence[str]) -> Denylist | None:
    """A denylist for these patterns, None when there are none; made once for the same ones."""
    return _made(tuple(patterns))
