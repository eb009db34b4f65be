"""The parser `file`: a line that begins with the match becomes the value, whole. Nothing is added where no line does (Wings).

`if_value` has no meaning here, as at Wings. Several rules for one line are put one after another, as Wings does.
"""

from collections.abc import Sequence

from agent.config_files.rules import Rule


def rewritten(text: str, rules: Sequence[Rule]) -> str:
    """The file with its lines replaced; line ends stay as they are."""
    return "\n".join(_line(line, rules) for line in text.split("\n")) if rules else text


def _line(line: str, rules: Sequence[Rule]) -> str:
    words = line.removesuffix("\r")
    values = [rule.text for rule in rules if words.startswith(rule.match)]
    return "".join(values) + line[len(words) :] if values else line
