"""Egg files, written: PTDL_v2 for Pterodactyl, PLCN_v3 for Pelican, both JSON. Says what a format cannot hold; changes no egg."""

import json
import re
from typing import Any

from core.protocol.egg import EggFile, EggVariableFile

FORMATS = ("PTDL_v2", "PLCN_v3")

_TO_PELICAN = (
    (r"server\.build\.env\.SERVER_IP|server\.build\.default\.ip", "server.allocations.default.ip"),
    (r"server\.build\.env\.SERVER_PORT|server\.build\.default\.port", "server.allocations.default.port"),
    (r"server\.build\.env\.SERVER_MEMORY|server\.build\.memory(?!_)", "server.build.memory_limit"),
    (r"server\.build\.(?:env|environment)\.", "server.environment."),
)
_TO_PTERODACTYL = (
    (r"server\.allocations\.default\.", "server.build.default."),
    (r"server\.build\.memory_limit", "server.build.memory"),
    (r"server\.environment\.", "server.build.env."),
)
"""Specific ones first: the panel's two spellings of what a config file may name."""


def write(egg: EggFile, kind: str, exported_at: str) -> tuple[bytes, list[str]]:
    """One egg as a file of `kind` (one of FORMATS), and sentences on what that kind cannot hold."""
    return _pterodactyl(egg, exported_at) if kind == "PTDL_v2" else _pelican(egg, exported_at)


def _pterodactyl(egg: EggFile, exported_at: str) -> tuple[bytes, list[str]]:
    lost: list[str] = []
    by_sort = sorted(egg.variables, key=lambda variable: variable.sort)
    if len(egg.startup_commands) > 1:
        lost.append("Only the first start command fits into this format.")
    piped = [variable.env_variable for variable in egg.variables if any("|" in rule for rule in variable.rules)]
    lost += [f"A rule of {name} holds a “|”, which this format reads as the end of a rule." for name in piped]
    lost += [f"This format has no {what}." for what, value in (("tags", egg.tags), ("icon", egg.icon)) if value]
    body = {
        "_comment": "Written by Aerie.",
        "meta": {"version": "PTDL_v2", "update_url": egg.update_url},
        "exported_at": exported_at,
        "name": egg.name,
        "author": egg.author,
        "description": egg.description or None,
        "features": egg.features or None,
        "docker_images": egg.docker_images,
        "file_denylist": egg.file_denylist,
        "startup": egg.startup,
        "config": _config(egg, "PTDL"),
        "scripts": _scripts(egg),
        "variables": [{**_variable(variable), "rules": "|".join(variable.rules), "field_type": "text"} for variable in by_sort],
        **_ours(egg),
    }
    return _bytes(body), lost


def _pelican(egg: EggFile, exported_at: str) -> tuple[bytes, list[str]]:
    body = {
        "_comment": "Written by Aerie.",
        "meta": {"version": "PLCN_v3", "update_url": egg.update_url},
        "exported_at": exported_at,
        "name": egg.name,
        "author": egg.author,
        "uuid": egg.uuid,
        "description": egg.description or None,
        "icon": egg.icon,
        "tags": egg.tags,
        "features": egg.features,
        "docker_images": egg.docker_images,
        "file_denylist": egg.file_denylist,
        "startup_commands": egg.startup_commands or {"Default": egg.startup},
        "config": _config(egg, "PLCN"),
        "scripts": _scripts(egg),
        "variables": [{**_variable(variable), "rules": variable.rules, "sort": variable.sort} for variable in egg.variables],
        **_ours(egg),
    }
    return _bytes(body), []


def _config(egg: EggFile, family: str) -> dict[str, Any]:
    startup: dict[str, Any] = {"done": egg.done[0] if len(egg.done) == 1 else egg.done}
    if egg.strip_ansi:
        startup["strip_ansi"] = True
    files = egg.config_files if egg.version.startswith(family) else _respelled(egg.config_files, family)
    return {"files": _json(files), "startup": _json(startup), "logs": _json(egg.logs), "stop": egg.stop}


def _respelled(value: Any, family: str) -> Any:
    """Placeholders of the other panel in this one's spelling, in values alone."""
    if isinstance(value, dict):
        return {key: _respelled(item, family) for key, item in value.items()}
    if isinstance(value, list):
        return [_respelled(item, family) for item in value]
    return re.sub(r"\{\{([\w.\-]+)\}\}", lambda found: _one(found, family), value) if isinstance(value, str) else value


def _one(found: re.Match[str], family: str) -> str:
    for pattern, spelling in _TO_PELICAN if family == "PLCN" else _TO_PTERODACTYL:
        name, changed = re.subn(rf"^(?:{pattern})", spelling, found[1])
        if changed:
            return "{{" + name + "}}"
    return found[0]


def _scripts(egg: EggFile) -> dict[str, Any]:
    return {"installation": {"script": egg.script, "container": egg.script_container, "entrypoint": egg.script_entrypoint}}


def _variable(variable: EggVariableFile) -> dict[str, Any]:
    return variable.model_dump(include={"name", "description", "env_variable", "default_value", "user_viewable", "user_editable"})


def _ours(egg: EggFile) -> dict[str, Any]:
    return {"aerie": {"players": egg.players.model_dump()}} if egg.players else {}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=4)


def _bytes(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, ensure_ascii=False, indent=4) + "\n").encode()
