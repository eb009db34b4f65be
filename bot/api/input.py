"""What a request of the REST APIs brings: body and query in one bag, trimmed as the panel trims, read field by field.

Reading never stops at the first wrong field: `checked` tells all of them. Values read before `checked` may be placeholders.
"""

import re
from collections.abc import Collection
from typing import Any

import orjson
from aiohttp import web

from bot.api.errors import Failure, Rejected
from core.errors import BadRequest

_UNTRIMMED = ("password", "password_confirmation")
_TRUE, _FALSE = (True, 1, "1", "true"), (False, 0, "0", "false")
_DEEPEST = 8
MOST_NUMBER = 2**31 - 1


class Input:
    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._failures: list[Failure] = []

    @classmethod
    async def of(cls, request: web.Request) -> "Input":
        """Body and query of a request; an empty body is an empty object. Raises BadRequest for what is no JSON."""
        body = await request.read()
        values: Any = {}
        if body.strip():
            try:
                values = orjson.loads(body)
            except orjson.JSONDecodeError:
                raise BadRequest("The body is not JSON.", hint="Send a JSON object, and Content-Type: application/json.") from None
        query = {key: value for key, value in request.query.items() if "[" not in key}
        return cls(_trimmed({**query, **(values if isinstance(values, dict) else {})}))

    def given(self, path: str) -> bool:
        """Whether the field is there at all, null or not."""
        holder, _, name = path.rpartition(".")
        inside = self.value(holder) if holder else self._values
        return isinstance(inside, dict) and name in inside

    def value(self, path: str) -> Any:
        """The raw value at a dotted path; None when it is missing."""
        value: Any = self._values
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def fail(self, path: str, rule: str, message: str) -> None:
        """Note a failure that the caller found; `checked` raises it."""
        self._failures.append(Failure(path, rule, message))

    def checked(self) -> None:
        """Raises Rejected with every failure noted so far."""
        if self._failures:
            raise Rejected(self._failures)

    def text(self, path: str, *, most: int = 191, required: bool = True, default: str = "", pattern: str = "", rule: str = "regex") -> str:
        """A text; numbers count as text. `default` when it is missing or null and not required."""
        value = self._present(path, required)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.fail(path, "string", f"The {_name(path)} must be a string.")
            return default
        text = str(value)
        if len(text) > most:
            self.fail(path, "max", f"The {_name(path)} may not be greater than {most} characters.")
        elif pattern and not re.fullmatch(pattern, text, re.ASCII):
            self.fail(path, rule, f"The {_name(path)} format is invalid.")
        return text

    def choice(self, path: str, among: Collection[str]) -> str:
        text = self.text(path)
        if text and text not in among:
            self.fail(path, "in", f"The selected {_name(path)} is invalid; choose one of {', '.join(among)}.")
        return text

    def number(self, path: str, *, least: int = 0, most: int = MOST_NUMBER, required: bool = True, default: int = 0) -> int:
        """A whole number; digits in a string count as one."""
        value = self._present(path, required)
        if value is None:
            return default
        number = _whole(value)
        if number is None:
            self.fail(path, "integer", f"The {_name(path)} must be an integer.")
            return default
        if number < least:
            self.fail(path, "min", f"The {_name(path)} must be at least {least}.")
        elif number > most:
            self.fail(path, "max", f"The {_name(path)} may not be greater than {most}.")
        return number

    def flag(self, path: str, *, required: bool = False, default: bool = False) -> bool:
        value = self._present(path, required)
        if value is None:
            return default
        if isinstance(value, list | dict) or value not in (*_TRUE, *_FALSE):
            self.fail(path, "boolean", f"The {_name(path)} field must be true or false.")
            return default
        return value in _TRUE

    def items(self, path: str, *, required: bool = False, most: int = 1000) -> list[Any]:
        """A list, empty when it is missing or null and not required."""
        value = self.value(path)
        if value is None:
            if required and not self.given(path):
                self.fail(path, "required", f"The {_name(path)} field is required.")
            return []
        if not isinstance(value, list):
            self.fail(path, "array", f"The {_name(path)} must be an array.")
            return []
        if len(value) > most:
            self.fail(path, "max", f"The {_name(path)} may not have more than {most} items.")
            return []
        return value

    def numbers(self, path: str, *, required: bool = False) -> list[int]:
        """A list of whole numbers."""
        found = []
        for index, item in enumerate(self.items(path, required=required)):
            number = _whole(item)
            if number is None:
                self.fail(f"{path}.{index}", "integer", f"The {path}.{index} must be an integer.")
            else:
                found.append(number)
        return found

    def object(self, path: str, *, required: bool = True) -> dict[str, Any]:
        value = self.value(path)
        if value is None or value == []:  # PHP's empty map
            if required and not self.given(path):
                self.fail(path, "required", f"The {_name(path)} field is required.")
            return {}
        if not isinstance(value, dict):
            self.fail(path, "array", f"The {_name(path)} must be an object.")
            return {}
        return value

    def _present(self, path: str, required: bool) -> Any:
        value = self.value(path)
        if value is None and required:
            self.fail(path, "required", f"The {_name(path)} field is required.")
        return value


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= MOST_NUMBER:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value, re.ASCII):
        return int(value)
    return None


def _name(path: str) -> str:
    return path.replace("_", " ")


def _trimmed(value: Any, key: str = "", depth: int = 0) -> Any:
    """Strings trimmed and empty ones made null, as the panel does before it looks at anything."""
    if depth > _DEEPEST:
        raise BadRequest("The body is nested too deeply.")
    match value:
        case str():
            return (value if key in _UNTRIMMED else value.strip()) or None
        case dict():
            return {name: _trimmed(inner, name, depth + 1) for name, inner in value.items()}
        case list():
            return [_trimmed(inner, key, depth + 1) for inner in value]
    return value
