"""Laravel's validation rules, as eggs' variables carry them: is a value good, and if not, why in a sentence.

Follows the panel's meaning (docs/eggs.md): a blank value passes every rule but `required` and `present`; `max:20` counts characters unless
the variable is numeric too. Rules nobody knows are passed over with a note. A foreign expression never holds the program up: RE2 matches
in linear time, and what it does not know is matched in a process of its own with a time limit. Call it in a thread. Never decides what
happens to a bad value.
"""

import csv
import ipaddress
import json
import re
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit
from uuid import UUID

from core.patterns import BadPattern, compiled

MOST_VALUE = 16_000
"""Characters of a value; games need a few hundred."""
MOST_PATTERN = 1000
PATIENCE = 3.0  # s a doubtful expression may take, the start of its process included

_NUMERIC = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,30})", re.ASCII)
_ALIASES = {"int": "integer", "bool": "boolean"}
_SILENT = frozenset({"nullable", "sometimes", "bail", "present", "filled", "required"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name in small letters and what stands behind the colon."""

    name: str
    args: str = ""

    @property
    def items(self) -> list[str]:
        """The arguments parted by commas; quotes may hold one together."""
        if not self.args:
            return [""] if self.name in ("in", "not_in") else []
        try:
            return next(csv.reader([self.args]), [])
        except csv.Error:
            return self.args.split(",")


@dataclass(slots=True)
class Verdict:
    """`problems`: sentences that finish «It …»; empty when the value is good. `notes`: rules that could not be followed."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse(rules: Sequence[str]) -> list[Rule]:
    """Rules as texts, each `name` or `name:arguments`. Empty ones are left out."""
    found = []
    for text in rules:
        name, _, args = text.strip().partition(":")
        name = name.strip().lower()
        if name:
            found.append(Rule(_ALIASES.get(name, name), args))
    return found


def required(rules: Sequence[str]) -> bool:
    """Whether an empty value is refused."""
    return any(rule.name == "required" for rule in parse(rules))


def choices(rules: Sequence[str]) -> list[str]:
    """The values an `in:` or `boolean` rule leaves, in their exact spelling; empty when the value is free."""
    known = parse(rules)
    for rule in known:
        if rule.name == "in":
            return rule.items
    return ["1", "0"] if any(rule.name == "boolean" for rule in known) else []


def check(rules: Sequence[str], value: str) -> Verdict:
    """Hold one value against its rules. May take `PATIENCE` seconds for each expression, so call it in a thread."""
    known = parse(rules)
    verdict = Verdict()
    names = {rule.name for rule in known}
    if len(value) > MOST_VALUE:
        verdict.problems.append(f"must have at most {MOST_VALUE} characters")
        return verdict
    if "\x00" in value:
        verdict.problems.append("must not hold a NUL character")
        return verdict
    if not value.strip():
        if "required" in names:
            verdict.problems.append("must not be empty")
        return verdict
    numeric = bool(names & {"numeric", "integer"}) and _NUMERIC.fullmatch(value) is not None
    for rule in known:
        if rule.name in _SILENT:
            continue
        test = _TESTS.get(rule.name)
        if test is None:
            verdict.notes.append(f"The rule {rule.name[:40]} is not known and was not checked.")
            continue
        try:
            problem = test(rule, value, numeric)
        except _Unusable as error:
            verdict.notes.append(str(error))
            continue
        except TimeoutError:
            problem = "takes too long to be held against its pattern"
        if problem:
            verdict.problems.append(problem)
    return verdict


class _Unusable(Exception):
    """The rule itself is broken: told, and passed over."""


Test = Callable[[Rule, str, bool], str]


def _number(text: str, rule: Rule) -> Decimal:
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite():
        raise _Unusable(f"The rule {rule.name}:{rule.args[:40]} has no number to compare with and was not checked.")
    return found


def _size(value: str, numeric: bool) -> Decimal:
    return Decimal(value.strip()) if numeric else Decimal(len(value))


def _unit(numeric: bool, count: Decimal) -> str:
    return "" if numeric else " character" if count == 1 else " characters"


def _compare(words: str, fits: Callable[[Decimal, Decimal], bool]) -> Test:
    def test(rule: Rule, value: str, numeric: bool) -> str:
        limit = _number(rule.items[0] if rule.items else "", rule)
        if rule.name in ("gt", "gte", "lt", "lte") and _NUMERIC.fullmatch(value):
            numeric = True
        if fits(_size(value, numeric), limit):
            return ""
        verb = "be" if numeric else "have"
        return f"must {verb} {words} {_shown(limit)}{_unit(numeric, limit)}"

    return test


def _between(rule: Rule, value: str, numeric: bool) -> str:
    if len(rule.items) != 2:
        raise _Unusable(f"The rule between:{rule.args[:40]} needs two numbers and was not checked.")
    low, high = (_number(item, rule) for item in rule.items)
    if low <= _size(value, numeric) <= high:
        return ""
    return f"must {'be' if numeric else 'have'} {_shown(low)} to {_shown(high)}{_unit(numeric, high)}"


def _digits(rule: Rule, value: str, _numeric: bool) -> str:
    (low, high) = (rule.items * 2)[:2] if rule.name == "digits" and rule.items else [*rule.items, "", ""][:2]
    least, most = _number(low, rule), _number(high, rule)
    if re.fullmatch(r"[0-9]+", value) and least <= len(value) <= most:
        return ""
    count = _shown(least) if least == most else f"{_shown(least)} to {_shown(most)}"
    return f"must be {count} digit{'' if count == '1' else 's'}"


def _in(rule: Rule, value: str, _numeric: bool) -> str:
    if value in rule.items:
        return ""
    shown = [item for item in rule.items if item]
    return f"must be one of {', '.join(shown[:12])}{' …' if len(shown) > 12 else ''}"


def _not_in(rule: Rule, value: str, _numeric: bool) -> str:
    return f"must not be {value[:40]}" if value in rule.items else ""


def _said(words: str, fits: Callable[[str], bool]) -> Test:
    return lambda _rule, value, _numeric: "" if fits(value) else words


def _made_of(categories: str, more: str = "") -> Callable[[str], bool]:
    return lambda value: all(sign in more or unicodedata.category(sign)[0] in categories for sign in value)


def _url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return bool(re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.\-]*", parts.scheme)) and bool(parts.hostname) and not re.search(r"\s", value)


def _address(version: int | None) -> Callable[[str], bool]:
    def fits(value: str) -> bool:
        try:
            return version in (None, ipaddress.ip_address(value).version)
        except ValueError:
            return False

    return fits


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _edge(rule: Rule, value: str, _numeric: bool) -> str:
    starts = rule.name.endswith("starts_with")
    found = value.startswith(tuple(rule.items)) if starts else value.endswith(tuple(rule.items))
    if found is not rule.name.startswith("doesnt"):
        return ""
    return f"must {'not ' if rule.name.startswith('doesnt') else ''}{'begin' if starts else 'end'} with {' or '.join(rule.items[:8])}"


def _regex(rule: Rule, value: str, _numeric: bool) -> str:
    wanted = rule.name == "regex"
    if matches(rule.args, value) is wanted:
        return ""
    return f"must {'' if wanted else 'not '}fit the pattern {rule.args.strip()[:120]}"


_TESTS: dict[str, Test] = {
    "string": lambda _rule, _value, _numeric: "",
    "numeric": _said("must be a number", lambda value: _NUMERIC.fullmatch(value) is not None),
    "integer": _said("must be a whole number", lambda value: _INTEGER.fullmatch(value.strip()) is not None),
    "boolean": _said("must be 1 (yes) or 0 (no)", lambda value: value in ("0", "1")),
    "accepted": _said("must be yes", lambda value: value in ("1", "true", "on", "yes")),
    "min": _compare("at least", lambda size, limit: size >= limit),
    "max": _compare("at most", lambda size, limit: size <= limit),
    "size": _compare("exactly", lambda size, limit: size == limit),
    "gt": _compare("more than", lambda size, limit: size > limit),
    "gte": _compare("at least", lambda size, limit: size >= limit),
    "lt": _compare("less than", lambda size, limit: size < limit),
    "lte": _compare("at most", lambda size, limit: size <= limit),
    "between": _between,
    "digits": _digits,
    "digits_between": _digits,
    "in": _in,
    "not_in": _not_in,
    "regex": _regex,
    "not_regex": _regex,
    "alpha": _said("must be letters only", _made_of("LM")),
    "alpha_num": _said("must be letters and digits only", _made_of("LMN")),
    "alpha_dash": _said("must be letters, digits, - and _ only", _made_of("LMN", "-_")),
    "lowercase": _said("must be in small letters", lambda value: value == value.lower()),
    "uppercase": _said("must be in capital letters", lambda value: value == value.upper()),
    "url": _said("must be an address such as https://example.net", _url),
    "email": _said("must be an e-mail address", lambda value: re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,255}", value) is not None),
    "ip": _said("must be an IP address", _address(None)),
    "ipv4": _said("must be an IPv4 address", _address(4)),
    "ipv6": _said("must be an IPv6 address", _address(6)),
    "uuid": _said("must be a UUID", _is_uuid),
    "json": _said("must be JSON", _is_json),
    "starts_with": _edge,
    "ends_with": _edge,
    "doesnt_start_with": _edge,
    "doesnt_end_with": _edge,
}


def _shown(number: Decimal) -> str:
    return str(int(number)) if number == number.to_integral_value() and abs(number) < 10**15 else str(number.normalize())


def matches(pattern: str, value: str) -> bool:
    """Whether a PCRE with delimiters is found in the value. Raises TimeoutError, and an inner error for what is no expression."""
    source, flags = _without_delimiters(pattern)
    if not flags & re.X:
        letters = "".join(letter for letter, flag in (("i", re.I), ("m", re.M), ("s", re.S)) if flags & flag)
        try:
            return compiled(f"(?{letters}){source}" if letters else source).search(value) is not None
        except BadPattern:
            pass  # look-arounds and back-references
    return _apart(source.replace(r"\z", r"\Z"), flags, value, pattern)


def _without_delimiters(pattern: str) -> tuple[str, int]:
    text = pattern.strip()
    if len(text) > MOST_PATTERN:
        raise _Unusable(f"A pattern is longer than {MOST_PATTERN} characters and was not checked.")
    closing = {"(": ")", "[": "]", "{": "}", "<": ">"}.get(text[:1], text[:1])
    end = text.rfind(closing, 1) if text else -1
    if end < 1 or text[0].isalnum() or text[0] in "\\ ":
        raise _Unusable(f"The pattern {text[:80]} has no delimiters and was not checked.")
    flags = 0
    for letter in text[end + 1 :]:
        try:
            flags |= {"i": re.I, "m": re.M, "s": re.S, "x": re.X, "u": 0, "D": 0}[letter]
        except KeyError:
            raise _Unusable(f"The pattern {text[:80]} has the flag {letter}, which is not known, and was not checked.") from None
    source = text[1:end]
    return source.replace(r"\h", r"[ \t]"), flags


_SEARCH = (
    "import json,re,sys,warnings;warnings.simplefilter('ignore');p,f,v=json.load(sys.stdin);sys.exit(0 if re.compile(p,f).search(v) else 3)"
)


def _apart(source: str, flags: int, value: str, pattern: str) -> bool:
    """Match what RE2 does not know in a process that can be killed: `re` holds the interpreter's lock, a thread could not be ended."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(source, flags)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise _Unusable(f"The pattern {pattern.strip()[:80]} cannot be read here and was not checked.") from error
    body = json.dumps([source, flags, value]).encode()
    try:
        # fixed arguments: the foreign text goes in by standard input
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", "-S", "-c", _SEARCH], input=body, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    except OSError:
        done = None
    if done is None or done.returncode not in (0, 3):
        raise _Unusable(f"The pattern {pattern.strip()[:80]} could not be checked here.")
    return done.returncode == 0
