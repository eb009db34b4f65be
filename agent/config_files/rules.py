"""What an egg wants changed in a file: one rule for each replacement, its value resolved. Knows no format.

Facts: Wings' replacement values and its allowlist of placeholders (1.12.3): only the node's network interface can be named, each
placeholder on its own, unknown ones stay as they are. Must never look into the node's configuration: it holds secrets.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.patterns import BadPattern, compiled, expanded
from core.protocol.settings import Replacement

Value = str | int | float | bool

_INTERFACE = re.compile(r"\{\{ ?config\.docker\.(?:network\.)?interface ?\}\}")
_REGEX = "regex:"


class Unparsable(ValueError):
    """The file is not what its parser expects; the message finishes «it …»."""


def written(value: object) -> str:
    """A value as formats without types write it, and as conditions compare it."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Rule:
    """Set what `match` names to `value`; with `if_value` only where that is the current value, or where `regex:…` matches it."""

    match: str
    value: Value
    if_value: str | None = None

    @property
    def text(self) -> str:
        """The value as formats without types write it."""
        return written(self.value)

    def put(self, current: str | None) -> Value | None:
        """What to write over `current` (None: it does not exist yet); None to leave it alone."""
        if self.if_value is None:
            return self.value
        if current is None:
            return None
        if not self.if_value.startswith(_REGEX):
            return self.value if current == self.if_value else None
        try:
            found = compiled(self.if_value.removeprefix(_REGEX)).search(current)
        except BadPattern:
            return None
        return None if found is None else current[: found.start()] + expanded(self.text, found) + current[found.end() :]


def rules(replacements: Sequence[Replacement], interface: str) -> list[Rule]:
    """The rules of one file; maps and lists as values are left out. `interface`: the address under which containers reach the node."""
    made = []
    for one in replacements:
        value = one.replace_with
        if value is None:
            value = ""
        if isinstance(value, str):
            value = _INTERFACE.sub(lambda _: interface, value)
        if isinstance(value, str | int | float):
            made.append(Rule(one.match, value, one.if_value))
    return made
