"""Egg files, read: PTDL_v1 and v2 (Pterodactyl), PLCN_v1 to v3 (Pelican) as JSON. Knows their quirks; acts on nothing.

Reads leniently where files in the wild differ, and refuses, naming the field, where guessing could harm. Texts that are matched or run
(`done`, `stop`, the start command) are kept to the letter, blanks included.
"""

import json
import re
from typing import Any

from pydantic import Field, ValidationError

from core.errors import Invalid
from core.protocol.settings import PlayerPatterns, Wire

RESERVED = frozenset({"SERVER_MEMORY", "SERVER_IP", "SERVER_PORT", "ENV", "HOME", "USER", "STARTUP", "SERVER_UUID", "UUID"})
"""Names the panel and the node give themselves; an egg may not define them."""

MOST_BYTES = 4 * 1024 * 1024
_VERSIONS = ("PTDL_v1", "PTDL_v2", "PLCN_v1", "PLCN_v2", "PLCN_v3")


class EggVariableFile(Wire):
    name: str
    description: str = ""
    env_variable: str
    default_value: str = ""
    user_viewable: bool = False
    user_editable: bool = False
    rules: list[str] = Field(default_factory=list)
    sort: int = 0


class EggFile(Wire):
    """One egg, whatever it was written as."""

    version: str
    uuid: str | None = None
    name: str
    author: str = ""
    description: str = ""
    update_url: str | None = None
    tags: list[str] = Field(default_factory=list)
    features: list[str] = Field(default_factory=list)
    docker_images: dict[str, str]
    file_denylist: list[str] = Field(default_factory=list)
    startup: str
    config_files: dict[str, Any] = Field(default_factory=dict)
    done: list[str] = Field(default_factory=list)
    strip_ansi: bool = False
    stop: str = ""
    script: str = ""
    script_container: str = "alpine:3.4"
    script_entrypoint: str = "ash"
    variables: list[EggVariableFile] = Field(default_factory=list)
    players: PlayerPatterns | None = None
    """Aerie's extra key `aerie.players`."""


def read(body: bytes) -> EggFile:
    """Read one egg file. Raises Invalid, saying which field is wrong and how."""
    if len(body) > MOST_BYTES:
        raise Invalid("This egg file is larger than 4 MiB.")
    try:
        egg = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid("This egg file is not JSON.", hint="Export the egg as JSON; YAML is not read.") from error
    if not isinstance(egg, dict):
        raise Invalid("This egg file must hold one JSON object.")
    meta = egg.get("meta")
    version = meta.get("version") if isinstance(meta, dict) else None
    if version not in _VERSIONS:
        raise Invalid(
            f"This is not an egg of a kind Aerie knows: meta.version is {_short(version)}.",
            hint=f"It must be one of {', '.join(_VERSIONS)}.",
        )
    try:
        return EggFile.model_validate(_translate(egg, version))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"The egg's {where} cannot be used: {first['msg']}.", hint="Correct the file and import it again.") from None


def _translate(egg: dict[str, Any], version: str) -> dict[str, Any]:
    config = _map(egg.get("config"), "config")
    startup = _map(config.get("startup"), "config.startup")
    scripts = _map(egg.get("scripts"), "scripts")
    installation = _map(scripts.get("installation"), "scripts.installation")
    aerie = _map(egg.get("aerie"), "aerie")
    meta = egg["meta"]
    return {
        "version": version,
        "uuid": egg.get("uuid") if isinstance(egg.get("uuid"), str) else None,
        "name": _named(egg.get("name"), "name"),
        "author": _text(egg.get("author")),
        "description": _text(egg.get("description")),
        "update_url": meta.get("update_url") if isinstance(meta.get("update_url"), str) else None,
        "tags": _list(egg.get("tags")),
        "features": _list(egg.get("features")),
        "docker_images": _images(egg),
        "file_denylist": _list(egg.get("file_denylist")),
        "startup": _startup(egg),
        "config_files": {
            file: entry
            for file, entry in _map(config.get("files"), "config.files").items()
            if isinstance(entry, dict) and isinstance(entry.get("find"), dict) and isinstance(entry.get("parser"), str)
        },
        "done": _done(startup.get("done")),
        "strip_ansi": bool(startup.get("strip_ansi", False)),
        "stop": _text(config.get("stop")),
        "script": _newlines(_text(installation.get("script"))),
        "script_container": _text(installation.get("container")) or "alpine:3.4",
        "script_entrypoint": _text(installation.get("entrypoint")) or "ash",
        "variables": _variables(egg.get("variables")),
        "players": _players(aerie.get("players")),
    }


def _images(egg: dict[str, Any]) -> dict[str, str]:
    """Labelled images in order. In early files `image` is a container; a value that begins with `data:` is a picture."""
    images = egg.get("docker_images")
    if isinstance(images, dict) and images:
        return {str(label): _image(image) for label, image in images.items()}
    listed = images or egg.get("images") or egg.get("image")
    listed = [listed] if isinstance(listed, str) else listed
    if not isinstance(listed, list) or not listed:
        raise Invalid("The egg names no container image.", hint="It needs docker_images, a map from label to image.")
    return {_image(image): image for image in listed}


def _image(image: Any) -> str:
    if not isinstance(image, str) or not re.fullmatch(r"~?[\w.\-/:@]{1,190}", image.strip(), re.ASCII):
        raise Invalid(f"The egg's image {_short(image)} is not the name of a container image.")
    return image.strip()


def _startup(egg: dict[str, Any]) -> str:
    commands = egg.get("startup_commands")
    if isinstance(commands, dict) and commands:
        return _text(next(iter(commands.values())))
    if not isinstance(egg.get("startup"), str):
        raise Invalid("The egg has no start command.", hint="It needs the text startup.")
    return str(egg["startup"])


def _done(value: Any) -> list[str]:
    """One text or several; each is kept with its blanks."""
    if value is None:
        return []
    return [_text(item) for item in (value if isinstance(value, list) else [value])]


def _variables(value: Any) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for number, variable in enumerate(value if isinstance(value, list) else [], 1):
        if not isinstance(variable, dict):
            raise Invalid(f"Variable {number} of the egg is not an object.")
        key = variable.get("env_variable")
        if not isinstance(key, str) or not re.fullmatch(r"\w{1,191}", key.strip()):
            raise Invalid(f"Variable {number} of the egg has no usable env_variable: {_short(key)}.", hint="Letters, digits and _ only.")
        key = key.strip()
        if key in RESERVED:
            raise Invalid(f"The egg defines {key}, which Aerie sets itself.", hint="Remove that variable from the egg.")
        if key in seen:
            raise Invalid(f"The egg defines {key} twice.", hint="Remove one of the two.")
        rules = variable.get("rules")
        seen[key] = {
            "name": _text(variable.get("name")) or key,
            "description": _text(variable.get("description")),
            "env_variable": key,
            "default_value": _text(variable.get("default_value")),
            "user_viewable": bool(variable.get("user_viewable", False)),
            "user_editable": bool(variable.get("user_editable", False)),
            "rules": [item for item in (rules.split("|") if isinstance(rules, str) else _list(rules)) if item.strip()],
            "sort": variable["sort"] if isinstance(variable.get("sort"), int) else number,
        }
    return list(seen.values())


def _players(value: Any) -> PlayerPatterns | None:
    """Both expressions must compile and name the player, else the egg is refused rather than silently blind."""
    if value in (None, {}, []):
        return None
    patterns = PlayerPatterns.model_validate(value)
    for name, pattern in (("join", patterns.join), ("leave", patterns.leave)):
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise Invalid(f"The egg's aerie.players.{name} is not a regular expression: {error}.") from error
        if "name" not in groups:
            raise Invalid(f"The egg's aerie.players.{name} has no group (?P<name>…).")
    return patterns


def _map(value: Any, where: str) -> dict[str, Any]:
    """A map, or JSON text of one; PHP writes an empty one as `[]`."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except ValueError as error:
            raise Invalid(f"The egg's {where} holds text that is not JSON.") from error
    if value in (None, []):
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"The egg's {where} must be an object.")
    return {str(key): entry for key, entry in value.items()}


def _list(value: Any) -> list[str]:
    if isinstance(value, str):
        value = [value]
    return [item for item in (_text(item) for item in value) if item.strip()] if isinstance(value, list) else []


def _named(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 191:
        raise Invalid(f"The egg's {where} must be a text of 1 to 191 characters.")
    return value.strip()


def _text(value: Any) -> str:
    """Text as a shell would expect it: true and false in small letters, nothing for null."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case list() | dict():
            return ""
        case _:
            return str(value)


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _short(value: Any) -> str:
    return repr(value)[:80]
