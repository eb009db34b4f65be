"""A snapshot of a console for one reader: the newest lines that fit into one message, without colours so that it reads well on a phone."""

from bot.ui import ansi
from bot.ui.text import CONTENT, fence


def snapshot(lines: list[str]) -> str:
    """One code block, or a sentence when there is nothing in it."""
    shown = [ansi.clean(line, colours=False) for line in lines]
    if not any(line.strip() for line in shown):
        return "The console is empty."
    return fence(shown, CONTENT)
