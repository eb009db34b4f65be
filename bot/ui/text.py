"""Text within Discord's limits: clipping, escaping, and the few units people read. Knows no service and no component.

Limits are Discord's documented ones (August 2026); lengths are counted in code points, as discord.py's users and Discord's own errors do.
"""

import unicodedata
from datetime import timedelta

import discord

CONTENT = 2000
LAYOUT_TEXT = 4000
"""All text of a components v2 message together."""
CHOICE = 100
CHOICES = 25
BUTTON = 80
EMBED_DESCRIPTION = 4096

_JOINER = "\u200d"


def clip(text: str, limit: int) -> str:
    """At most `limit` code points, ending in … when something was cut; never cut inside what a reader sees as one sign."""
    if len(text) <= limit:
        return text
    if limit <= 0:
        return ""
    end = limit - 1
    while end > 0 and (_joins(text[end]) or text[end - 1] == _JOINER):
        end -= 1
    return text[:end].rstrip() + "…"


def _joins(sign: str) -> bool:
    """Whether this code point belongs to the one before it: accents, variation selectors, skin tones, joiners."""
    return sign == _JOINER or unicodedata.category(sign) in ("Mn", "Me", "Mc") or 0x1F3FB <= ord(sign) <= 0x1F3FF


def plain(text: str, limit: int = 200) -> str:
    """One line of somebody else's words, without markup, mentions or control characters that would act."""
    escaped = discord.utils.escape_mentions(discord.utils.escape_markdown(_one_line(text)))
    return clip(escaped, limit).rstrip("\\")


def code(text: str, limit: int = 100) -> str:
    """One line of somebody else's words between backticks, where nothing acts and nothing needs to be escaped; empty when they are."""
    line = clip(_one_line(text).replace("`", "ˋ"), limit)
    return f"`{line}`" if line else ""


def _one_line(text: str) -> str:
    return " ".join("".join(sign if unicodedata.category(sign)[0] != "C" or sign == _JOINER else " " for sign in text).split())


def fence(lines: list[str], limit: int, language: str = "") -> str:
    """The newest lines that fit into one code block of at most `limit` code points; older ones are dropped from the top."""
    frame = len(language) + 8  # ```x\n … \n```
    kept: list[str] = []
    room = limit - frame
    for line in reversed(lines):
        shown = clip(line.replace("```", "`\u200b``"), min(300, max(room, 1)))
        if len(shown) + 1 > room:
            break
        kept.append(shown)
        room -= len(shown) + 1
    return f"```{language}\n" + "\n".join(reversed(kept)) + "\n```"


def duration(seconds: float) -> str:
    """41 s, 3 min 5 s, 2 h 10 min, 4 d 3 h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{timedelta(seconds=whole).days} d {whole % 86400 // 3600} h"


def size(count: int) -> str:
    """312 MiB, 1.5 GiB."""
    if count < 1024**2:
        return f"{count / 1024:.0f} KiB"
    if count < 1024**3:
        return f"{count / 1024**2:.0f} MiB"
    return f"{count / 1024**3:.1f} GiB"


def sentence(text: str) -> str:
    """The text, ended by a full stop when it has no end."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…" else text + "."
