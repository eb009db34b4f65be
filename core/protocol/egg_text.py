"""The bytes of an egg file as plain values: JSON, or YAML as Pelican writes it. Knows no field of an egg.

YAML is read by its events, never by a loader that could build objects: aliases are refused, so nothing can grow; scalars become what
YAML 1.2 says (`on`, `no`, `0755` and `12:30` stay text). Size, depth and number of values have limits for both.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError, YAMLStreamError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from core.errors import Invalid

MOST_BYTES = 1024 * 1024
MOST_DEPTH = 32
MOST_VALUES = 10_000
MOST_YAML = 256 * 1024
"""Reading YAML takes many times as long as JSON."""

_END = object()
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]{0,15})\.[0-9]{1,15}")


def parsed(body: bytes) -> Any:
    """The value in a file. Raises Invalid, saying whether and where it is broken."""
    if len(body) > MOST_BYTES:
        raise Invalid("This egg file is larger than 1 MiB.", hint="Eggs are a few kilobytes; is it the right file?")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"This egg file is neither JSON nor YAML: byte {error.start} is not UTF-8 text.") from error
    value = _json(text) if text.lstrip()[:1] in ("{", "[", "") else _yaml(text)
    _measured(value)
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Invalid(f"This egg file is not JSON: {error.msg}, {where}.", hint="Export the egg again, or correct that line.") from error
    except RecursionError as error:
        raise Invalid("This egg file is not JSON that can be read: it is nested too deeply.") from error
    except ValueError as error:
        raise Invalid("This egg file is not JSON that can be read: it holds a number that is too long.") from error


def _yaml(text: str) -> Any:
    if len(text) > MOST_YAML:
        raise Invalid("This egg file is larger than 256 KiB, the most for YAML.", hint="Export the egg as JSON.")
    try:
        events = YAML(typ="safe", pure=True).parse(text)
        return _document(iter(events))
    except (YAMLError, YAMLStreamError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise Invalid(f"This egg file is neither JSON nor YAML: {problem}{where}.", hint="Export the egg again.") from error
    except (ValueError, OverflowError, IndexError, AttributeError, AssertionError, TypeError, RecursionError, KeyError) as error:
        raise Invalid("This egg file is neither JSON nor YAML.", hint="Export the egg again.") from error


def _document(events: Iterator[Event]) -> Any:
    """One document, built without recursion."""
    stack: list[Any] = []
    keys: list[Any] = []
    root: Any = _END
    documents = count = 0
    for event in events:
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Invalid("This egg file holds several YAML documents; one is an egg.")
            continue
        if isinstance(event, AliasEvent):
            raise Invalid("This egg file uses YAML aliases (`*name`), which are not read.", hint="Write the value out instead.")
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            stack.pop()
            keys.pop()
            continue
        if isinstance(event, ScalarEvent):
            value: Any = _scalar(event)
        elif isinstance(event, MappingStartEvent):
            value = {}
        elif isinstance(event, SequenceStartEvent):
            value = []
        else:
            continue
        count += 1
        if count > MOST_VALUES:
            raise Invalid(f"This egg file holds more than {MOST_VALUES} values.")
        if not stack:
            root = value
        elif isinstance(stack[-1], list):
            stack[-1].append(value)
        elif keys[-1] is _END:
            if isinstance(value, dict | list):
                raise Invalid("This egg file has a YAML key that is no text.")
            keys[-1] = event.value if isinstance(event, ScalarEvent) else str(value)
            continue
        else:
            stack[-1][keys[-1]], keys[-1] = value, _END
        if isinstance(value, dict | list):
            stack.append(value)
            keys.append(_END)
            if len(stack) > MOST_DEPTH:
                raise Invalid(f"This egg file is nested more than {MOST_DEPTH} levels deep.")
    if root is _END:
        raise Invalid("This egg file is empty.")
    return root


def _scalar(event: ScalarEvent) -> Any:
    """Quoted and block text stays text; plain words that YAML 1.2 gives a meaning get it."""
    text = str(event.value)
    if event.style not in (None, "") or event.tag is not None:
        return text
    match text:
        case "" | "~" | "null" | "Null" | "NULL":
            return None
        case "true" | "True" | "TRUE":
            return True
        case "false" | "False" | "FALSE":
            return False
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) and repr(float(text)) == text else text


def _measured(root: Any) -> None:
    """Depth, number of values, and text that no database or process could take. Raises Invalid."""
    waiting: list[tuple[Any, int, str]] = [(root, 1, "")]
    count = 0
    while waiting:
        value, depth, where = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            raise Invalid(f"This egg file holds more than {MOST_VALUES} values.")
        if depth > MOST_DEPTH:
            raise Invalid(f"This egg file is nested more than {MOST_DEPTH} levels deep.")
        if isinstance(value, dict):
            for key, item in value.items():
                _sound(key, where)
                waiting.append((item, depth + 1, f"{where}.{key}".lstrip(".")[:80]))
        elif isinstance(value, list):
            waiting += [(item, depth + 1, f"{where}[{number}]") for number, item in enumerate(value)]
        elif isinstance(value, str):
            _sound(value, where)


def _sound(text: str, where: str) -> None:
    if "\x00" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise Invalid(f"The egg's {where or 'keys'} holds a character that is no text.", hint="Remove it and import the egg again.")
