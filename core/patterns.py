"""Regular expressions that strangers wrote: eggs' ready lines, player lines, conditions of configuration files.

Compiled by RE2, the engine Wings uses: what it accepts runs in time linear in the text, so no pattern can hold up a node. Look-aheads and
back-references do not exist there. Must never fall back to `re` for a pattern that came from outside.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 4 << 20
_GROUP = re.compile(r"\$(?:(\d+|[A-Za-z_]\w*)|\{(\w+)\})")
LONGEST = 2_000
"""Characters of a pattern; no egg comes near."""


class Match(Protocol):
    """What a pattern found."""

    def group(self, group: int | str = 0) -> str | None: ...
    def groupdict(self) -> dict[str, str | None]: ...
    def start(self) -> int: ...
    def end(self) -> int: ...


class Pattern(Protocol):
    """A compiled pattern."""

    @property
    def groups(self) -> int: ...
    def search(self, text: str) -> Match | None: ...
    def sub(self, repl: Callable[[Match], str], text: str) -> str: ...


class BadPattern(ValueError):
    """The text is no regular expression that RE2 knows; the message says why."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Pattern:
    """The pattern, ready to search with. Raises BadPattern."""
    if len(pattern) > LONGEST:
        raise BadPattern(f"it is longer than {LONGEST} characters")
    try:
        found: Pattern = re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        words = error.args[0] if error.args else "unknown"
        raise BadPattern(words.decode(errors="replace") if isinstance(words, bytes) else str(words)) from None
    except UnicodeEncodeError:
        raise BadPattern("it holds half a character") from None
    return found


def expanded(template: str, match: Match) -> str:
    """Go's replacement text: `$1`, `${1}`, `$name`, `${name}` become what the groups matched; unknown groups become nothing."""

    def put(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        try:
            return match.group(int(name) if name.isdecimal() else name) or ""
        except (IndexError, KeyError, re2.error):
            return ""

    return _GROUP.sub(put, template)
