"""INI: `section.key`, brackets keep dots together (`[/Script/Engine.Game].Max`), a bare key stands before the first section.

Values are set where they stand, in the file's own style of `key = value` or `key=value`; missing sections and keys are made; comments,
order and all else stay. A key that stands several times in its section is set each time.
"""

import re
from collections.abc import Sequence

from agent.config_files.rules import Rule, Unparsable, written

_SECTION = re.compile(r"\s*\[([^\]\n]*)\]")
_PAIR = re.compile(r"(\s*)([^=:\s\[;#][^=:]*?)(\s*)([=:])([ \t]*)(.*)")


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """The file with each rule's key set. Raises Unparsable for a match that names no key."""
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").split("\n")
    around = _style(lines)
    for rule in rules:
        section, key = _parted(rule.match)
        _set(lines, section, key, rule, around)
    return newline.join(lines)


def _parted(match: str) -> tuple[str, str]:
    """Section and key: only the first dot outside brackets parts them, and the brackets go."""
    depth, cut = 0, -1
    for at, letter in enumerate(match):
        depth += (letter == "[") - (letter == "]")
        if letter == "." and depth <= 0:
            cut = at
            break
    section, key = (match[:cut], match[cut + 1 :]) if cut >= 0 else ("", match)
    section, key = (re.sub(r"[\[\]]", "", part).strip() for part in (section, key))
    if not key:
        raise Unparsable(f"cannot be told which key {match!r} means")
    return section, key


def _style(lines: Sequence[str]) -> str:
    """What stands around a new key's `=`: spaces, unless the file's own pairs have none."""
    pairs = [found for line in lines if (found := _PAIR.match(line))]
    bare = sum(not found[3] and not found[5] for found in pairs)
    return "" if pairs and bare * 2 > len(pairs) else " "


def _set(lines: list[str], section: str, key: str, rule: Rule, around: str) -> None:
    begin, end = _bounds(lines, section)
    places = [at for at in range(begin, end) if (found := _PAIR.match(lines[at])) and found[2].strip() == key] if begin >= 0 else []
    current = None
    if places:
        last = _PAIR.match(lines[places[-1]])
        current = last[6].strip() if last else None
    put = rule.put(current)
    if put is None:
        return
    value = written(put).replace("\0", "")
    value = re.sub(r"[\r\n]+", " ", value).strip()  # readers do not see blanks around it, and each pass would add its own
    for at in places:
        found = _PAIR.match(lines[at])
        assert found is not None
        lines[at] = f"{found[1]}{found[2]}{found[3]}{found[4]}{found[5]}{value}"
    if places:
        return
    pair = f"{key}{around}={around}{value}"
    if begin < 0:
        while lines and not lines[-1].strip():
            lines.pop()
        lines += [*([""] if lines else []), f"[{section}]", pair, ""]
        return
    while end > begin and not lines[end - 1].strip():
        end -= 1
    lines.insert(end, pair)
    if end + 1 == len(lines):
        lines.append("")


def _bounds(lines: Sequence[str], section: str) -> tuple[int, int]:
    """Where a section's lines begin and end; (-1, -1) when it is not there. The part before the first section has the name ''."""
    begin = 0 if not section else -1
    for at, line in enumerate(lines):
        if (found := _SECTION.match(line)) is None:
            continue
        if begin >= 0:
            return begin, at
        if found[1].strip() == section:
            begin = at + 1
    return (begin, len(lines)) if begin >= 0 else (-1, -1)
