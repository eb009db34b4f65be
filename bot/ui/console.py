"""A snapshot of a console for one reader: the newest lines that fit into one message."""

import re

from bot.ui.text import CONTENT, fence

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def snapshot(lines: list[str]) -> str:
    """One code block without colours: it must read well on a phone."""
    shown = [clean(line) for line in lines]
    if not any(line.strip() for line in shown):
        return "The console is empty."
    return fence(shown, CONTENT)


def clean(line: str) -> str:
    """The line as a terminal would leave it: the last state of a progress line, without escapes and control characters."""
    plain = _ESCAPES.sub("", line).rstrip("\r\n")
    return _CONTROL.sub("", plain.rsplit("\r", 1)[-1]).replace("\t", "    ")
