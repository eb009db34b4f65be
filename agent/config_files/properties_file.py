"""Java's .properties: values are set where they stand, new keys come last, all else stays as it is, comments included.

Written in ASCII with `\\uXXXX`, as every version of Java reads it. `${x}` has no meaning.
"""

import re
from collections.abc import Sequence

from agent.config_files.rules import Rule, written

_KEY = re.compile(r"((?:\\.|[^\\=:\s])*)(\s*[=:]\s*|\s+|$)")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_WRITTEN = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\0": ""}


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """The file with each rule's key set."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = _logical(text)
    for rule in rules:
        places = [number for number, line in enumerate(lines) if _parted(line)[0] == rule.match and not _is_comment(line)]
        current = _parted(lines[places[-1]])[1] if places else None
        put = rule.put(current)
        if put is None or (current is not None and written(put) == current and len(places) == 1):
            continue
        line = f"{_escaped(rule.match, key=True)}={_escaped(written(put))}"
        if places:
            for number in places:
                lines[number] = line
        else:
            while lines and not lines[-1].strip():
                lines.pop()
            lines += [line, ""]
    return newline.join(lines)


def _logical(text: str) -> list[str]:
    """Lines, those that end in an odd number of backslashes joined with the next ones."""
    lines: list[str] = []
    continued = False
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if continued:
            lines[-1] += "\n" + line
        else:
            lines.append(line)
        comment = not continued and _is_comment(line)
        continued = not comment and (len(line) - len(line.rstrip("\\"))) % 2 == 1
    return lines


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip()[0] in "#!"


def _parted(line: str) -> tuple[str, str]:
    """Key and value of a logical line, unescaped."""
    joined = re.sub(r"(?<!\\)((?:\\\\)*)\\\n[ \t\f]*", r"\1", line.lstrip())
    if (len(joined) - len(joined.rstrip("\\"))) % 2 == 1:
        joined = joined[:-1]  # the file ends in the middle of an escape
    found = _KEY.match(joined)
    assert found is not None  # the pattern matches the empty text
    return _unescaped(found[1]), _unescaped(joined[found.end() :])


def _unescaped(text: str) -> str:
    plain = _ESCAPE.sub(lambda found: chr(int(found[1][1:], 16)) if len(found[1]) == 5 else _NAMED.get(found[1], found[1]), text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two halves written apart are one letter


def _escaped(text: str, *, key: bool = False) -> str:
    written = "".join(_WRITTEN.get(letter) if letter in _WRITTEN else _ascii(letter) for letter in text)  # type: ignore[misc]
    if key:
        return re.sub(r"([ =:#!])", r"\\\1", written)
    return "\\" + written if written.startswith(" ") else written


def _ascii(letter: str) -> str:
    if " " <= letter <= "~":
        return letter
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02X}{units[at + 1]:02X}" for at in range(0, len(units), 2))
