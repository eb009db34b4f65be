"""Dotted paths into maps and lists, as Wings reads them for json and yaml: `a.b.c`, `list[0].key`, one wildcard `servers.*.address`.

Objects on the way are made; index 0 of a missing list is made, any other must be there. Knows no file format.
"""

import re
from collections.abc import Callable, MutableMapping, MutableSequence, Sequence
from typing import Any

from agent.config_files.rules import Rule, Value, written

DEEPEST = 100
_INDEX = re.compile(r"(.*)\[(\d+)\]$")

Step = str | int
New = Callable[[], MutableMapping[Any, Any]]


def apply(
    tree: MutableMapping[Any, Any], rules: Sequence[Rule], new_map: New = dict, new_list: Callable[[], MutableSequence[Any]] = list
) -> bool:
    """Change the tree in place; whether anything changed."""
    changed = False
    for rule in rules:
        left, wild, right = _parted(rule.match)
        if not wild:
            changed |= _set(tree, _steps(left), rule, new_map, new_list)
            continue
        parent = _found(tree, _steps(left)) if left else tree
        if isinstance(parent, MutableMapping):
            children = list(parent.values())
        else:
            children = list(parent) if isinstance(parent, MutableSequence) else []
        for child in children:
            if isinstance(child, MutableMapping):
                changed |= _set(child, _steps(right), rule, new_map, new_list)
    return changed


def _parted(match: str) -> tuple[str, bool, str]:
    """The path before and after its wildcard."""
    if match.startswith("*."):
        return "", True, match[2:]
    left, wild, right = match.partition(".*")
    return (left, True, right.removeprefix(".")) if wild and right else (match, False, "")


def _steps(path: str) -> list[Step]:
    steps: list[Step] = []
    for part in path.split("."):
        found = _INDEX.match(part)
        if found:
            steps += [found[1], int(found[2])] if found[1] else [int(found[2])]
        else:
            steps.append(part)
    return steps


def _key(here: Any, step: Step) -> Any:
    """The step as this map spells it: YAML's keys may be numbers."""
    if isinstance(step, str) and isinstance(here, MutableMapping) and step not in here and step.isdecimal() and int(step) in here:
        return int(step)
    return step


def _found(tree: Any, steps: Sequence[Step]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(tree, MutableSequence) or step >= len(tree):
                return None
        elif not isinstance(tree, MutableMapping) or _key(tree, step) not in tree:
            return None
        tree = tree[_key(tree, step)]
    return tree


def _set(
    tree: MutableMapping[Any, Any], steps: Sequence[Step], rule: Rule, new_map: New, new_list: Callable[[], MutableSequence[Any]]
) -> bool:
    if len(steps) > DEEPEST or not steps:
        return False
    current = _found(tree, steps)
    put = rule.put(None if current is None else written(current))
    if put is None or isinstance(current, MutableMapping | MutableSequence):
        return False
    here: Any = tree
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        key = _key(here, step)
        last = following is None
        there = here[key] if _has(here, key) else None
        fits = isinstance(there, MutableSequence if isinstance(following, int) else MutableMapping)
        if not last and fits:
            here = there
            continue
        value: Any = typed(put, current) if last else (new_list() if isinstance(following, int) else new_map())
        if isinstance(here, MutableSequence):
            if not isinstance(key, int) or key > len(here) or (key == len(here) and key != 0):
                return False
            if key == len(here):
                here.append(value)
            else:
                here[key] = value
        elif isinstance(key, str) or key in here:
            here[key] = value
        else:
            return False
        here = here[key]
    return True


def _has(here: Any, key: Any) -> bool:
    if isinstance(here, MutableSequence):
        return isinstance(key, int) and key < len(here)
    return key in here


def typed(put: Value, current: Any) -> Value:
    """The new value in the type that the file already has there; without one, whole numbers are numbers and all else is text (Wings)."""
    if not isinstance(put, str):
        return put
    if isinstance(current, bool):
        return put == "true" if put in ("true", "false") else put
    if isinstance(current, str):
        return put
    if isinstance(current, float) and re.fullmatch(r"-?\d{1,17}\.\d{1,17}", put):
        return float(put)
    return int(put) if re.fullmatch(r"-?(0|[1-9]\d{0,4000})", put) and put != "-0" else put
