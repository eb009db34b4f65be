"""Wings' configuration of one server, made from its rows: a pure function. Texts that users chose never become placeholders.

Facts: the panel's environment order and placeholder table (1.11), with its intended meaning where its code differs.
"""

import re
from typing import Any

from core.models.server import Server
from core.protocol.settings import (
    Address,
    Allocations,
    Build,
    ConfigFile,
    Container,
    EggReference,
    Meta,
    PlayerPatterns,
    ProcessConfiguration,
    Replacement,
    ServerConfiguration,
    ServerSettings,
    StartupRules,
    StopRule,
)
from core.vocabulary import ServerStatus, StopType

_PLACEHOLDER = re.compile(r"\{\{([\w.\-]+)\}\}", re.ASCII)
_BUILD_NAMES = {"SERVER_MEMORY": "build.memory", "SERVER_IP": "build.default.ip", "SERVER_PORT": "build.default.port"}


def configuration(server: Server) -> ServerConfiguration:
    """What the node must know. `server` is loaded whole (core.models.server.whole_servers)."""
    address = Address(ip=server.allocation.ip, port=server.allocation.port) if server.allocation else Address()
    mappings: dict[str, list[int]] = {}
    for allocation in server.allocations:
        mappings.setdefault(allocation.ip, []).append(allocation.port)
    settings = ServerSettings(
        uuid=server.uuid,
        meta=Meta(name=server.name, description=server.description),
        suspended=server.status == ServerStatus.SUSPENDED,
        environment=environment(server),
        invocation=server.startup,
        skip_egg_scripts=server.skip_scripts,
        build=Build(
            memory_limit=server.memory,
            swap=server.swap,
            io_weight=server.io,
            cpu_limit=server.cpu,
            disk_space=server.disk,
            threads=server.threads,
            oom_disabled=server.oom_disabled,
        ),
        container=Container(image=server.image),
        allocations=Allocations(default=address, mappings=mappings),
        egg=EggReference(id=server.egg.uuid, file_denylist=server.egg.file_denylist),
        aerie_players=PlayerPatterns.model_validate(server.egg.players) if server.egg.players else None,
    )
    return ServerConfiguration(
        settings=settings,
        process_configuration=ProcessConfiguration(
            startup=StartupRules(done=server.egg.done, strip_ansi=server.egg.strip_ansi),
            stop=stop_rule(server.egg.stop),
            configs=_config_files(server, address, mappings),
        ),
    )


def stop_rule(stop: str) -> StopRule:
    """`^C` is the signal C, as the panel sends it; anything else is typed; nothing at all is the image's own stop signal."""
    if stop.startswith("^"):
        return StopRule(type=StopType.SIGNAL, value=stop.lstrip("^").upper() or "C")
    return StopRule(type=StopType.COMMAND, value=stop) if stop else StopRule(type=StopType.NATIVE, value=None)


def environment(server: Server) -> dict[str, str]:
    """Later wins: the egg's variables, then what the panel sets. Values are text, always."""
    chosen = {value.egg_variable_id: value.value for value in server.variables}
    return {
        **{variable.env_variable: chosen.get(variable.id, variable.default_value) for variable in server.egg.variables},
        "STARTUP": server.startup,
        "P_SERVER_LOCATION": server.node.location,
        "P_SERVER_UUID": server.uuid,
        "P_SERVER_ALLOCATION_LIMIT": str(server.allocation_limit),
    }


def _config_files(server: Server, address: Address, mappings: dict[str, list[int]]) -> list[ConfigFile]:
    known = _known(server, address, mappings)
    return [
        ConfigFile(file=file, parser=entry["parser"], replace=_replacements(entry["find"], known))
        for file, entry in server.egg.config_files.items()
    ]


def _replacements(find: dict[str, Any], known: dict[str, Any]) -> list[Replacement]:
    replacements = []
    for match, value in find.items():
        if isinstance(value, dict):
            replacements += [Replacement(match=match, if_value=str(old), replace_with=_resolved(new, known)) for old, new in value.items()]
        else:
            replacements.append(Replacement(match=match, replace_with=_resolved(value, known)))
    return replacements


def _known(server: Server, address: Address, mappings: dict[str, list[int]]) -> dict[str, Any]:
    """What `{{server.…}}` may name, in the panel's old and new spelling."""
    chosen = {value.egg_variable_id: value.value for value in server.variables}
    environment = {
        **{
            variable.env_variable: disarmed(chosen[variable.id]) if variable.id in chosen else variable.default_value
            for variable in server.egg.variables
        },
        "STARTUP": disarmed(server.startup),
        "P_SERVER_LOCATION": server.node.location,
        "P_SERVER_UUID": server.uuid,
        "P_SERVER_ALLOCATION_LIMIT": str(server.allocation_limit),
    }
    default = {"ip": address.ip, "port": address.port}
    build = {
        "default": default,
        "ports": mappings,
        "env": environment,
        "environment": environment,
        "oom_disabled": server.oom_disabled,
        "memory": server.memory,
        "memory_limit": server.memory,
        "swap": server.swap,
        "io": server.io,
        "io_weight": server.io,
        "cpu": server.cpu,
        "cpu_limit": server.cpu,
        "threads": server.threads,
        "disk": server.disk,
        "disk_space": server.disk,
        "image": server.image,
    }
    return {
        "uuid": server.uuid,
        "name": disarmed(server.name),
        "build": build,
        "environment": environment,
        "allocations": {"default": default, "mappings": mappings},
        "container": {"image": server.image},
        "service": {"egg": server.egg.uuid, "skip_scripts": server.skip_scripts},
        "egg": {"id": server.egg.uuid},
        "suspended": int(server.status == ServerStatus.SUSPENDED),
        "rebuild": False,
    }


def disarmed(text: str) -> str:
    """Text in which no node can see a placeholder."""
    return re.sub(r"\{(?=\{)", "{ ", text)


def _resolved(value: Any, known: dict[str, Any]) -> Any:
    """Replace every placeholder once; what was put in is never looked at again, nor can it join its neighbours into one."""
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float) else _text(value)
    result, end = "", 0
    for found in _PLACEHOLDER.finditer(value):
        result += value[end : found.start()]
        put = _lookup(found[1], known)
        if put is None:
            put = "{{config.docker.network.interface}}" if found[1] == "config.docker.interface" else found[0]
        elif result.endswith("{") and put.startswith("{"):
            put = " " + put
        result, end = result + put, found.end()
    return result + value[end:]


def _lookup(key: str, known: dict[str, Any]) -> str | None:
    """The text behind `server.X` or `env.X`, empty when there is none; None for what is not ours to resolve."""
    head, _, rest = key.partition(".")
    if head == "env":
        path = f"build.env.{rest}"
    elif head == "server":
        path = rest
    else:
        return None
    prefix, _, name = path.rpartition(".")
    if prefix in ("build.env", "build.environment", "environment") and name in _BUILD_NAMES:
        path = _BUILD_NAMES[name]
    value: Any = known
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return _text(value)


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case _:
            return ""
