"""What a game wrote, fit for a Discord code block or a log file: decoded, without control codes, colours reduced to what Discord draws.

Discord's `ansi` blocks know the attributes 0, 1, 4, 30-37 and 40-47 only. Game output is hostile: it must never leave a code block, ping
anybody, or hide text. Knows no message, no server and no service.
"""

import re
from collections.abc import Iterator
from enum import StrEnum

LONGEST_SHOWN = 300
"""Characters of one line in a message."""
LONGEST_KEPT = 64 * 1024
"""Characters of one line in an attached file."""

_ESCAPE = re.compile(
    r"\x1b\[([0-9:;<=>?]*)[ -/]*([@-~])"  # CSI: colours, cursor, erase
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC: titles, links
    r"|\x1b[ -/]*[0-~]"  # two or three characters
    r"|\x1b"
)
_STRING = re.compile(r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)")
_HIDDEN = re.compile("[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]")
"""Control characters without tab and ESC, and what turns the direction of text or breaks the line."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_FENCE = re.compile("`(?=``)")
_ZERO_WIDTH = "\u200b"

_SECRET = re.compile(
    r"(?i)((?:pass(?:word|wd|phrase)?|secret|(?:auth|access|api|bot|session)?[_ .-]?token|api[_ .-]?key|rcon[_ .-]?pass\w*)"
    r"[\"']?\s*[=:]\s*[\"']?)"
    r"([^\s\"',;]{3,200})"
    r"|(\bbearer\s+)([\w.~+/=-]{8,400})"
    r"|()([\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4})"
)
_MAY_BE_SECRET = re.compile(r"(?i)pass|secret|token|key|bearer|\w@\w")
_LEVEL = re.compile(r"\b(?:(ERROR|SEVERE|FATAL|CRITICAL|PANIC)|(WARN(?:ING)?)|(DEBUG|TRACE|VERBOSE))\b", re.IGNORECASE)
_LOOKED_AT = 120  # characters of a line that are searched for its level


class Level(StrEnum):
    """How bad a line says it is."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"


def decode(data: bytes) -> str:
    """UTF-8; what is none becomes U+FFFD."""
    return data.decode("utf-8", "replace")


def last_state(line: str) -> str:
    """What a terminal shows of a line that was overwritten with carriage returns, at most LONGEST_KEPT characters."""
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part), "")
    if len(line) > LONGEST_KEPT:
        return f"{line[:LONGEST_KEPT]}… ({len(line) - LONGEST_KEPT:,} characters cut)"
    return line


def strip(line: str) -> str:
    """The words alone: no escapes, no control characters but tab."""
    if line.isprintable():
        return line
    return _SURROGATE.sub("\ufffd", _HIDDEN.sub("", _ESCAPE.sub("", line)))


def mask(line: str) -> str:
    """Hides what looks like a password, a token or a mail address. A safety net, not a promise."""
    if _MAY_BE_SECRET.search(line) is None:
        return line
    return _SECRET.sub(lambda m: f"{m[1] or m[3] or ''}•••", line)


def level(line: str) -> Level:
    """The level a line names near its beginning, by the words games use."""
    if (found := _LEVEL.search(line, 0, _LOOKED_AT)) is None:
        return Level.INFO
    return Level.ERROR if found[1] else Level.WARN if found[2] else Level.DEBUG


def log_line(line: str) -> str:
    """One line of an attached file: words alone, secrets hidden."""
    return mask(strip(line))


def clean(line: str, *, colours: bool = True, limit: int = LONGEST_SHOWN) -> str:
    """One line for a code block: at most `limit` visible characters, closed with a reset when it has colours.

    Lines without colours of their own that name an error or a warning are coloured as a whole.
    """
    line = last_state(line)
    if len(line) > limit * 16:
        line = line[: limit * 16]
    line = _SURROGATE.sub("\ufffd", _HIDDEN.sub("", _STRING.sub("", line)))
    words = mask(_ESCAPE.sub("", line))
    if not colours or "\x1b" not in line or words != _ESCAPE.sub("", line):  # a masked line loses its colours, never its mask
        shown = _unfenced(_clip(words, limit))
        return _by_level(shown) if colours else shown
    parts: list[str] = []
    room, drawn = limit, _Style()
    for style, text in _spans(line):
        if len(text) > room:
            text = text[: max(room - 1, 0)] + "…"
        parts.append(style.after(drawn) + text)
        drawn = style
        room -= len(text)
        if room <= 0:
            break
    shown = _unfenced("".join(parts))
    return shown + "\x1b[0m" if drawn != _Style() else shown if "\x1b" in shown else _by_level(shown)


def block(lines: list[str], *, colours: bool = True) -> str:
    """A code block of lines that went through `clean`."""
    return f"```{'ansi' if colours else ''}\n" + "\n".join(lines) + "\n```"


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _unfenced(text: str) -> str:
    """No three backticks in a row, so that no line can end the block."""
    return text if "``" not in text else _FENCE.sub("`" + _ZERO_WIDTH, text)


def _by_level(shown: str) -> str:
    match level(shown):
        case Level.ERROR:
            return f"\x1b[31m{shown}\x1b[0m"
        case Level.WARN:
            return f"\x1b[33m{shown}\x1b[0m"
    return shown


class _Style:
    """What Discord can draw: bold, underline, one of eight colours before and behind."""

    __slots__ = ("back", "bold", "fore", "underline")

    def __init__(self, bold: bool = False, underline: bool = False, fore: int = -1, back: int = -1) -> None:
        self.bold = bold
        self.underline = underline
        self.fore = fore
        self.back = back

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Style) and self._key() == other._key()

    __hash__ = None  # type: ignore[assignment]

    def _key(self) -> tuple[bool, bool, int, int]:
        return self.bold, self.underline, self.fore, self.back

    def after(self, drawn: "_Style") -> str:
        """The one escape that leads from what is drawn now to this."""
        if self == drawn:
            return ""
        off = (drawn.bold and not self.bold) or (drawn.underline and not self.underline)
        off = off or (drawn.fore >= 0 and self.fore < 0) or (drawn.back >= 0 and self.back < 0)
        was = _Style() if off else drawn
        codes = ["0"] if off else []
        codes += ["1"] if self.bold and not was.bold else []
        codes += ["4"] if self.underline and not was.underline else []
        codes += [str(30 + self.fore)] if self.fore >= 0 and self.fore != was.fore else []
        codes += [str(40 + self.back)] if self.back >= 0 and self.back != was.back else []
        return f"\x1b[{';'.join(codes)}m"

    def changed(self, codes: list[int]) -> "_Style":
        """This style after one SGR sequence (ECMA-48, and xterm's 38 and 48)."""
        new = _Style(*self._key())
        rest = iter(codes or [0])
        for code in rest:
            if code == 0:
                new = _Style()
            elif code == 1:
                new.bold = True
            elif code in (21, 22):
                new.bold = False
            elif code == 4:
                new.underline = True
            elif code == 24:
                new.underline = False
            elif 30 <= code <= 37:
                new.fore = code - 30
            elif 90 <= code <= 97:
                new.fore, new.bold = code - 90, True
            elif 40 <= code <= 47:
                new.back = code - 40
            elif 100 <= code <= 107:
                new.back = code - 100
            elif code == 39:
                new.fore = -1
            elif code == 49:
                new.back = -1
            elif code in (38, 48):
                colour = _extended(rest)
                if colour is not None and code == 38:
                    new.fore = colour
                elif colour is not None:
                    new.back = colour
        return new


def _spans(line: str) -> Iterator[tuple[_Style, str]]:
    """Runs of visible text and how each is drawn."""
    style, at = _Style(), 0
    for found in _ESCAPE.finditer(line):
        if found.start() > at:
            yield style, line[at : found.start()]
        at = found.end()
        if found[2] == "m":
            style = style.changed([int(code[:4] or 0) for code in re.split("[:;]", found[1]) if code.isdecimal() or not code])
    if at < len(line):
        yield style, line[at:]


def _extended(rest: Iterator[int]) -> int | None:
    """The nearest of the eight for `5;n` (256 colours) or `2;r;g;b`."""
    kind = next(rest, None)
    if kind == 5:
        number = next(rest, None)
        if number is None or number > 255:
            return None
        if number < 16:
            return number % 8
        if number >= 232:
            return 7 if number >= 244 else 0
        number -= 16
        return _nearest(number // 36 * 51, number // 6 % 6 * 51, number % 6 * 51)
    if kind == 2:
        red, green, blue = next(rest, None), next(rest, None), next(rest, None)
        return None if red is None or green is None or blue is None else _nearest(red, green, blue)
    return None


def _nearest(red: int, green: int, blue: int) -> int:
    brightest = max(red, green, blue)
    if brightest < 64:
        return 0
    return sum(bit for bit, part in ((1, red), (2, green), (4, blue)) if part * 2 > brightest)
