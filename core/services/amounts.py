"""Amounts as people write them: `4 GiB`, `512M`, `2 cores`. Knows no server."""

import re
from decimal import ROUND_CEILING, Decimal

from core.errors import Invalid

_UNITS = {
    **dict.fromkeys(("k", "kb"), 10**3),
    **dict.fromkeys(("m", "mb"), 10**6),
    **dict.fromkeys(("g", "gb"), 10**9),
    **dict.fromkeys(("t", "tb"), 10**12),
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_UNLIMITED = frozenset({"", "0", "unlimited", "none", "-"})
_MOST = 2**31 - 1
_AMOUNT = re.compile(r"(\d{1,12}(?:[.,]\d{1,6})?)\s*([a-z%]*)", re.ASCII)


def memory(text: str) -> int:
    """MB (10^6 bytes), rounded up; a bare number is MB, 0 is unlimited. Raises Invalid."""
    return _bytes(text, 10**6, "memory")


def disk(text: str) -> int:
    """MiB, rounded up; a bare number is MiB, 0 is unlimited. Raises Invalid."""
    return _bytes(text, 2**20, "disk")


def cpu(text: str) -> int:
    """Percent of one thread; `2 cores` is 200, 0 is unlimited. Raises Invalid."""
    wanted = text.strip().lower()
    if wanted in _UNLIMITED:
        return 0
    match = _AMOUNT.fullmatch(wanted)
    if match is None or match[2] not in ("", "%", "core", "cores", "thread", "threads", "cpu", "cpus"):
        raise Invalid(f"“{text.strip()[:40]}” is not an amount of CPU.", hint="Write 200 % or 2 cores; 0 is unlimited.")
    return _whole(match[1], 1 if match[2] in ("", "%") else 100, "cpu")


def _bytes(text: str, unit: int, what: str) -> int:
    wanted = text.strip().lower()
    if wanted in _UNLIMITED:
        return 0
    match = _AMOUNT.fullmatch(wanted)
    if match is None or (match[2] and match[2] not in _UNITS):
        raise Invalid(f"“{text.strip()[:40]}” is not an amount of {what}.", hint="Write 4 GiB, 512 MiB or 0 for unlimited.")
    return _whole(match[1], Decimal(_UNITS[match[2]]) / unit if match[2] else 1, what)


def _whole(number: str, factor: Decimal | int, what: str) -> int:
    amount = int((Decimal(number.replace(",", ".")) * factor).to_integral_value(ROUND_CEILING))
    if amount > _MOST:
        raise Invalid(f"That is too much {what}.", hint="0 is unlimited.")
    return amount


def shown(amount: int, unit: str) -> str:
    """An amount as people read it, in MiB or GiB whatever it is kept in, or `unlimited`. `unit` is MB, MiB or %."""
    if not amount:
        return "unlimited"
    if unit == "%":
        return f"{amount} %"
    mib = amount * 10**6 / 2**20 if unit == "MB" else amount
    return f"{_short(mib / 1024)} GiB" if mib >= 0.95 * 1024 else f"{round(mib)} MiB"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
