"""Checks what a bot sent against Discord's own OpenAPI file, `../shared/reference/discord-openapi.json`.

`Checker` is an observer of the sandbox: hand it to `SandboxConfig(observers=[checker])` and assert `not checker.complaints`.
As the file's own notes ask, oneOf counts as "one fits" and ids and integers may be numbers or strings of digits.
Tests that need it skip when the file is not there.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from sandbox.rest.router import Recorded

FILE = Path(__file__).parent.parent.parent / "shared" / "reference" / "discord-openapi.json"
ABSENT = f"Discord's OpenAPI file is not at {FILE}"


def available() -> bool:
    """Whether the file is there."""
    return LOADED is not None


def require() -> None:
    """Skips the test when the file is not there."""
    if not available():
        pytest.skip(ABSENT)


def _relaxed(node: Any) -> Any:
    """The schema with the leniences its authors ask for."""
    if isinstance(node, list):
        return [_relaxed(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {("anyOf" if key == "oneOf" else key): _relaxed(value) for key, value in node.items()}
    if made.get("format") == "snowflake":
        return {"anyOf": [{"type": "string", "pattern": r"^(0|[1-9][0-9]*)$"}, {"type": "integer", "minimum": 0}]}
    kinds = made.get("type")
    if kinds == "integer" or (isinstance(kinds, list) and "integer" in kinds):
        return {"anyOf": [made, {"type": "string", "pattern": r"^-?[0-9]+$"}]}
    return made


def _load() -> tuple[dict[str, Any], Registry[Any]] | None:
    if not FILE.is_file():
        return None
    document = _relaxed(json.loads(FILE.read_text(encoding="utf-8")))
    resource: Resource[Any] = DRAFT202012.create_resource(document)
    return document, Registry().with_resource("urn:discord", resource)


LOADED = _load()  # at import: a file must not be read while an event loop waits


@cache
def _validator(method: str, template: str) -> Draft202012Validator | None:
    """The validator of a route's JSON body; None when it takes none. Raises KeyError for a route Discord does not have."""
    assert LOADED is not None, ABSENT
    document, registry = LOADED
    operation = document["paths"][template][method.lower()]
    content = operation.get("requestBody", {}).get("content", {})
    media = next((kind for kind in ("application/json", "multipart/form-data") if kind in content), None)
    if media is None:
        return None
    pointer = "/".join(
        part.replace("~", "~0").replace("/", "~1") for part in ("paths", template, method.lower(), "requestBody", "content", media)
    )
    return Draft202012Validator({"$ref": f"urn:discord#/{pointer}/schema"}, registry=registry)


def complaint(method: str, template: str, body: Any) -> str | None:
    """What Discord's schema has against a body on a route; None when it fits."""
    try:
        validator = _validator(method, template)
    except KeyError:
        return f"{method} {template}: Discord has no such route"
    if validator is None or body is None:
        return None
    error: ValidationError | None = best_match(validator.iter_errors(body))
    if error is None:
        return None
    place = "/".join(str(part) for part in error.absolute_path) or "(body)"
    return f"{method} {template}: at {place}: {error.message[:400]}"


class Checker:
    """Collects complaints about the requests that the sandbox accepted (those it refused were told already)."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.checked = 0

    def __call__(self, recorded: Recorded) -> None:
        if not available() or recorded.status >= 400:
            return
        self.checked += 1
        if (found := complaint(recorded.method, recorded.path_template, recorded.json_body)) is not None:
            self.complaints.append(found)
