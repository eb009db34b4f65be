"""Reading typed values out of a request body, noting Discord's form errors instead of raising one by one.

Knows JSON types and lengths only; must never know what a value is for.
"""

from typing import Any
from urllib.parse import urlsplit

from sandbox import limits
from sandbox.errors import Form, Json


def as_dict(value: Any, form: Form) -> Json:
    """The value as an object; anything else is noted and read as an empty one."""
    if isinstance(value, dict):
        return value
    form.bad_type("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    return {}


def string(body: Json, key: str, form: Form, *, high: int, low: int = 0, required: bool = False, nullable: bool = True) -> str | None:
    """A string of `low`..`high` code points, or None when it is missing, null or wrong."""
    value = body.get(key)
    here = form.at(key)
    if value is None:
        if required or (key in body and not nullable):
            here.required()
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        here.bad_type("STRING_TYPE_CONVERT", f'Could not interpret "{value}" as string.')
        return None
    text = str(value)
    if low and not low <= len(text) <= high:
        if required and not text:
            here.required()
        else:
            here.bad_length(low, high)
        return None
    if len(text) > high:
        here.too_long(high)
        return None
    return text


def integer(body: Json, key: str, form: Form, *, low: int | None = None, high: int | None = None, required: bool = False) -> int | None:
    """An integer within bounds, or None. Strings of digits pass, as they do at Discord."""
    value = body.get(key)
    here = form.at(key)
    if value is None:
        if required:
            here.required()
        return None
    if isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        here.bad_type("NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        return None
    if low is not None and value < low:
        here.add("NUMBER_TYPE_MIN", f"int value should be greater than or equal to {low}.")
        return None
    if high is not None and value > high:
        here.add("NUMBER_TYPE_MAX", f"int value should be less than or equal to {high}.")
        return None
    return value


def number(body: Json, key: str, form: Form) -> float | int | None:
    """A number within Discord's range of +-2^53, or None."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        form.at(key).bad_type("NUMBER_TYPE_COERCE", f'Value "{value}" is not float.')
        return None
    if abs(value) > limits.NUMBER:
        form.at(key).add("NUMBER_TYPE_MAX", f"float value should be less than or equal to {limits.NUMBER}.")
        return None
    return value


def boolean(body: Json, key: str, form: Form, default: bool = False) -> bool:
    """A boolean; null and missing are the default."""
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        form.at(key).bad_type("BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
        return default
    return value


def listing(body: Json, key: str, form: Form, *, high: int, low: int = 0, required: bool = False) -> list[Any]:
    """A list of `low`..`high` items; null and missing are an empty one."""
    value = body.get(key)
    here = form.at(key)
    if value is None:
        if required:
            here.required()
        return []
    if not isinstance(value, list):
        here.bad_type("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return []
    if not low <= len(value) <= high:
        if low:
            here.bad_length(low, high)
        else:
            here.add("BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")
        return []
    return value


def snowflake(value: Any, form: Form) -> str | None:
    """An id, string or number."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    if isinstance(value, str) and value.isdigit() and len(value) <= 20:
        return value
    form.add("NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
    return None


def url(body: Json, key: str, form: Form, *, attachments: bool = False, required: bool = False, high: int = limits.URL) -> str | None:
    """An http(s) URL, also `attachment://name` where allowed."""
    value = string(body, key, form, high=high, required=required, low=1 if required else 0)
    if not value:
        return None
    schemes = ("http", "https", "attachment") if attachments else ("http", "https")
    try:
        parts = urlsplit(value)
    except ValueError:
        form.at(key).add("URL_TYPE_INVALID_URL", "Not a well formed URL.")
        return None
    if parts.scheme not in schemes:
        named = ", ".join(f"'{scheme}'" for scheme in schemes)
        form.at(key).add("URL_TYPE_INVALID_SCHEME", f'Scheme "{parts.scheme}" must be one of ({named}).')
        return None
    if not parts.netloc or any(character.isspace() for character in value):
        form.at(key).add("URL_TYPE_INVALID_URL", "Not a well formed URL.")
        return None
    return value
