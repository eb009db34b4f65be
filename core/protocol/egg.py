"""Egg files, read: PTDL_v1 and v2 (Pterodactyl), PLCN_v1 to v3 (Pelican), JSON or YAML. Knows their quirks; acts on nothing.

Reads leniently where files in the wild differ, telling so in `notes`, and refuses, naming the field, where guessing could harm. Texts that
are matched or run (`done`, `stop`, start commands) are kept to the letter, blanks included. docs/eggs.md says what is kept.
"""

import json
import re
from typing import Any

from pydantic import Field, ValidationError

from core.errors import Invalid
from core.protocol.egg_text import MOST_BYTES, parsed
from core.protocol.settings import PlayerPatterns, Wire, as_text

__all__ = ["MOST_BYTES", "RESERVED", "VERSIONS", "EggFile", "EggVariableFile", "read"]

RESERVED = frozenset({"SERVER_MEMORY", "SERVER_IP", "SERVER_PORT", "ENV", "HOME", "USER", "STARTUP", "SERVER_UUID", "UUID"})
"""Names the panel and the node give themselves; an egg may not define them."""

VERSIONS = ("PTDL_v1", "PTDL_v2", "PLCN_v1", "PLCN_v2", "PLCN_v3")
PARSERS = frozenset({"file", "yaml", "yml", "properties", "ini", "json", "xml", "toml"})
MOST_ICON = 256 * 1024
MOST_VARIABLES = 200


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
    exported_at: str = ""
    update_url: str | None = None
    tags: list[str] = Field(default_factory=list)
    features: list[str] = Field(default_factory=list)
    docker_images: dict[str, str]
    file_denylist: list[str] = Field(default_factory=list)
    startup: str
    startup_commands: dict[str, str] = Field(default_factory=dict)
    """Label to command, as Pelican has them; `startup` is the first."""
    config_files: dict[str, Any] = Field(default_factory=dict)
    done: list[str] = Field(default_factory=list)
    strip_ansi: bool = False
    logs: dict[str, Any] = Field(default_factory=dict)
    stop: str = ""
    script: str = ""
    script_container: str = "alpine:3.4"
    script_entrypoint: str = "ash"
    variables: list[EggVariableFile] = Field(default_factory=list)
    icon: str | None = None
    """A picture as a data: address."""
    players: PlayerPatterns | None = None
    """Aerie's extra key `aerie.players`."""
    notes: list[str] = Field(default_factory=list)
    """What was odd in the file and how it was read; sentences for people, no part of the egg."""


def read(body: bytes) -> EggFile:
    """Read one egg file. Raises Invalid, saying which field is wrong and how."""
    egg = parsed(body)
    if not isinstance(egg, dict):
        raise Invalid("This egg file must hold one object, in JSON or YAML.")
    meta = egg.get("meta")
    version = meta.get("version") if isinstance(meta, dict) else None
    if version not in VERSIONS:
        raise Invalid(
            f"This is not an egg of a kind Aerie knows: meta.version is {_short(version)}.",
            hint=f"It must be one of {', '.join(VERSIONS)}.",
        )
    notes: list[str] = []
    try:
        return EggFile.model_validate({**_translate(egg, str(version), notes), "notes": notes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"The egg's {where} cannot be used: {first['msg']}.", hint="Correct the file and import it again.") from None


def _translate(egg: dict[str, Any], version: str, notes: list[str]) -> dict[str, Any]:
    config = _map(egg.get("config"), "config")
    startup = _map(config.get("startup"), "config.startup")
    installation = _map(_map(egg.get("scripts"), "scripts").get("installation"), "scripts.installation")
    aerie = _map(egg.get("aerie"), "aerie")
    commands = _commands(egg)
    return {
        "version": version,
        "uuid": egg["uuid"] if isinstance(egg.get("uuid"), str) and re.fullmatch(r"[0-9a-fA-F-]{36}", egg["uuid"]) else None,
        "name": _named(egg.get("name"), "name"),
        "author": _text(egg.get("author"), "author"),
        "description": _text(egg.get("description"), "description"),
        "exported_at": _text(egg.get("exported_at"), "exported_at")[:64],
        "update_url": _text(egg["meta"].get("update_url"), "meta.update_url") or None,
        "tags": _list(egg.get("tags"), "tags"),
        "features": _list(egg.get("features"), "features"),
        "docker_images": _images(egg),
        "file_denylist": _list(egg.get("file_denylist"), "file_denylist"),
        "startup": next(iter(commands.values())),
        "startup_commands": commands if isinstance(egg.get("startup_commands"), dict) else {},
        "config_files": _files(_map(config.get("files"), "config.files"), notes),
        "done": _done(startup.get("done")),
        "strip_ansi": _flag(startup.get("strip_ansi"), "config.startup.strip_ansi"),
        "logs": _map(config.get("logs"), "config.logs"),
        "stop": _text(config.get("stop"), "config.stop"),
        "script": _newlines(_text(installation.get("script"), "scripts.installation.script")),
        "script_container": _text(installation.get("container"), "scripts.installation.container").strip() or "alpine:3.4",
        "script_entrypoint": _text(installation.get("entrypoint"), "scripts.installation.entrypoint").strip() or "ash",
        "variables": _variables(egg.get("variables"), notes),
        "icon": _icon(egg, notes),
        "players": _players(aerie.get("players")),
    }


def _images(egg: dict[str, Any]) -> dict[str, str]:
    """Labelled images in order. In early files `image` is a container; a value that begins with `data:` is a picture."""
    images = egg.get("docker_images")
    if isinstance(images, dict) and images:
        return {str(label): _image(image) for label, image in images.items()}
    listed = images or egg.get("images") or egg.get("image")
    listed = [listed] if isinstance(listed, str) and not listed.startswith("data:") else listed
    if not isinstance(listed, list) or not listed:
        raise Invalid("The egg names no container image.", hint="It needs docker_images, a map from label to image.")
    return {_image(image): _image(image) for image in listed}


def _image(image: Any) -> str:
    if not isinstance(image, str) or not re.fullmatch(r"~?[\w.\-/:@]{1,190}", image.strip(), re.ASCII):
        raise Invalid(f"The egg's docker_images hold {_short(image)}, which is not the name of a container image.")
    return image.strip()


def _icon(egg: dict[str, Any], notes: list[str]) -> str | None:
    icon = next((egg[key] for key in ("icon", "image") if isinstance(egg.get(key), str) and egg[key].startswith("data:")), None)
    if icon is None:
        return None
    if len(icon) > MOST_ICON or not re.match(r"data:image/(?:png|jpeg|webp|svg\+xml);base64,", icon):
        notes.append("Its icon is too large or not a picture of a known kind and was left out.")
        return None
    return str(icon)


def _commands(egg: dict[str, Any]) -> dict[str, str]:
    """Label to start command; one at least."""
    commands = egg.get("startup_commands")
    if isinstance(commands, dict) and commands:
        return {str(label): _text(command, f"startup_commands.{label}") for label, command in commands.items()}
    if commands not in (None, {}, []):
        raise Invalid("The egg's startup_commands must be a map from label to command.")
    startup = egg.get("startup")
    if startup is None or isinstance(startup, dict | list):
        raise Invalid("The egg has no start command.", hint="It needs the text startup, or startup_commands.")
    return {"Default": _text(startup, "startup")}


def _files(files: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Rewrites of config files. Entries no daemon could use are passed over, as the panel passes them over, but told."""
    kept: dict[str, Any] = {}
    for file, entry in files.items():
        find = {} if isinstance(entry, dict) and entry.get("find") == [] else entry.get("find") if isinstance(entry, dict) else None
        parser = entry.get("parser") if isinstance(entry, dict) else None
        if not isinstance(find, dict) or not isinstance(parser, str):
            notes.append(f"Its rewrite of {file[:80]} has no parser or nothing to find and was left out.")
            continue
        if parser not in PARSERS:
            notes.append(f"Its rewrite of {file[:80]} wants the parser {parser[:40]}, which no node knows.")
        kept[file] = {**entry, "find": find}
    return kept


def _done(value: Any) -> list[str]:
    """One text or several; each is kept with its blanks."""
    if value is None:
        return []
    return [_text(item, "config.startup.done") for item in (value if isinstance(value, list) else [value])]


def _variables(value: Any, notes: list[str]) -> list[dict[str, Any]]:
    if value in (None, {}):
        value = []
    if not isinstance(value, list):
        raise Invalid("The egg's variables must be a list.")
    if len(value) > MOST_VARIABLES:
        raise Invalid(f"The egg has {len(value)} variables; {MOST_VARIABLES} is the most.")
    seen: dict[str, dict[str, Any]] = {}
    for number, variable in enumerate(value, 1):
        read_one = _variable(variable, number)
        key = read_one["env_variable"]
        if key in seen:
            notes.append(f"It defines {key} twice; the last one counts.")
            del seen[key]
        seen[key] = read_one
    return list(seen.values())


def _variable(variable: Any, number: int) -> dict[str, Any]:
    where = f"variables[{number - 1}]"
    if not isinstance(variable, dict):
        raise Invalid(f"Variable {number} of the egg is not an object.")
    key = variable.get("env_variable")
    if not isinstance(key, str) or not re.fullmatch(r"\w{1,191}", key.strip()):
        raise Invalid(f"Variable {number} of the egg has no usable env_variable: {_short(key)}.", hint="Letters, digits and _ only.")
    key = key.strip()
    if key in RESERVED:
        raise Invalid(f"The egg defines {key}, which Aerie sets itself.", hint="Remove that variable from the egg.")
    rules, default, sort = variable.get("rules"), variable.get("default_value"), variable.get("sort")
    return {
        "name": _text(variable.get("name"), f"{where}.name").strip() or key,
        "description": _text(variable.get("description"), f"{where}.description"),
        "env_variable": key,
        "default_value": json.dumps(default) if isinstance(default, dict | list) else _text(default, f"{where}.default_value"),
        "user_viewable": _flag(variable.get("user_viewable"), f"{where}.user_viewable"),
        "user_editable": _flag(variable.get("user_editable"), f"{where}.user_editable"),
        "rules": [item for item in (rules.split("|") if isinstance(rules, str) else _list(rules, f"{where}.rules")) if item.strip()],
        "sort": sort if isinstance(sort, int) and not isinstance(sort, bool) and abs(sort) < 2**31 else number,
    }


def _players(value: Any) -> PlayerPatterns | None:
    """Both expressions must compile and name the player, else the egg is refused rather than silently blind."""
    if value in (None, {}, []):
        return None
    patterns = PlayerPatterns.model_validate(value)
    for name, pattern in (("join", patterns.join), ("leave", patterns.leave)):
        try:
            groups = re.compile(pattern).groupindex
        except (re.error, OverflowError, RecursionError) as error:
            raise Invalid(f"The egg's aerie.players.{name} is not a regular expression: {error}.") from error
        if "name" not in groups:
            raise Invalid(f"The egg's aerie.players.{name} has no group (?P<name>…).")
    return patterns


def _map(value: Any, where: str) -> dict[str, Any]:
    """A map, or JSON text of one; PHP writes an empty one as `[]`."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError) as error:
            raise Invalid(f"The egg's {where} holds text that is not JSON.") from error
    if value in (None, []):
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"The egg's {where} must be an object.")
    return {str(key): entry for key, entry in value.items()}


def _list(value: Any, where: str) -> list[str]:
    """Texts without empty ones; one text stands for a list of one, and PHP's empty map for an empty list."""
    if value in (None, {}):
        return []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise Invalid(f"The egg's {where} must be a list of texts.")
    return [item for item in (_text(item, where) for item in value) if item.strip()]


def _named(value: Any, where: str) -> str:
    text = "" if isinstance(value, bool | dict | list) else _text(value, where)
    if not 1 <= len(text.strip()) <= 191:
        raise Invalid(f"The egg's {where} must be a text of 1 to 191 characters.")
    return text.strip()


def _flag(value: Any, where: str) -> bool:
    match value:
        case None | "" | "0" | "false":
            return False
        case "1" | "true":
            return True
        case bool() | int():
            return bool(value)
    raise Invalid(f"The egg's {where} must be true or false, not {_short(value)}.")


def _text(value: Any, where: str) -> str:
    """Text as a shell would expect it: true and false in small letters, nothing for null."""
    if isinstance(value, list | dict):
        raise Invalid(f"The egg's {where} must be a text.")
    return str(as_text(value))


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _short(value: Any) -> str:
    return repr(value)[:80]
