"""Rows as the panel's Client API shows them, field for field. Pure: what is included was loaded by who calls."""

import hashlib
import re
from collections.abc import Sequence

from bot.api.paging import Json, at, collection, item, nothing
from core.models.activity import Activity
from core.models.api_key import ApiKey
from core.models.backup import Backup
from core.models.egg import EggVariable
from core.models.server import Allocation, Server
from core.models.user import User
from core.permissions import ALL, allows
from core.services.usage import Used
from core.vocabulary import ActorKind, ServerStatus

HIDDEN = "[hidden]"
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,191})\s*\}\}")


def account(user: User) -> Json:
    return item(
        "user",
        {
            "id": user.id,
            "admin": user.root_admin,
            "username": user.username,
            "email": email(user),
            "first_name": user.first_name,
            "last_name": user.last_name,
            "language": user.language,
        },
    )


def person(user: User, kind: str = "user", permissions: Sequence[str] | None = None) -> Json:
    """Somebody else, as an activity's actor or a server's subuser."""
    attributes: Json = {
        "uuid": user.uuid,
        "username": user.username,
        "email": email(user),
        "image": "https://gravatar.com/avatar/" + hashlib.md5(email(user).lower().encode(), usedforsecurity=False).hexdigest(),
        "2fa_enabled": False,
        "created_at": at(user.created_at),
    }
    return item(kind, attributes if permissions is None else {**attributes, "permissions": list(permissions)})


def email(user: User) -> str:
    """Programs want an address of everybody; who gave none gets one that leads nowhere."""
    return user.email or f"{user.username}@aerie.invalid"


def api_key(row: ApiKey) -> Json:
    return item(
        "api_key",
        {
            "identifier": row.identifier,
            "description": row.memo,
            "allowed_ips": row.allowed_ips,
            "last_used_at": at(row.last_used_at),
            "created_at": at(row.created_at),
        },
    )


def server(row: Server, user: User, held: frozenset[str], sftp: tuple[str, int]) -> Json:
    """The attributes of a server; relationships are the caller's. `sftp`: host and port of its node's SFTP."""
    status = row.status
    return {
        "server_owner": owns(row, user, held),
        "identifier": row.short,
        "internal_id": row.id,
        "uuid": row.uuid,
        "name": row.name,
        "node": row.node.name,
        "is_node_under_maintenance": row.node.maintenance,
        "sftp_details": {"ip": sftp[0], "port": sftp[1]},
        "description": row.description,
        "limits": limits(row),
        "invocation": invocation(row, held),
        "docker_image": row.image,
        "egg_features": row.egg.features or None,
        "feature_limits": feature_limits(row),
        "status": status,
        "is_suspended": status == ServerStatus.SUSPENDED,
        "is_installing": status in (ServerStatus.INSTALLING, ServerStatus.INSTALL_FAILED),
        "is_transferring": False,
    }


def relationships(row: Server, held: frozenset[str], names: frozenset[str], subusers: Sequence[tuple[User, list[str]]] = ()) -> Json:
    """What is always included, and what `names` ask for."""
    shown: Json = {"allocations": collection(visible_allocations(row, held)), "variables": nothing()}
    if allows(held, "startup.read"):
        shown["variables"] = collection([egg_variable(variable, row) for variable in row.egg.variables if variable.user_viewable])
    if "egg" in names:
        shown["egg"] = item("egg", {"uuid": row.egg.uuid, "name": row.egg.name})
    if "subusers" in names:
        people = [subuser(user, keys) for user, keys in subusers]
        shown["subusers"] = collection(people) if allows(held, "user.read") else nothing()
    return shown


def limits(row: Server) -> Json:
    return {
        "memory": row.memory,
        "swap": row.swap,
        "disk": row.disk,
        "io": row.io,
        "cpu": row.cpu,
        "threads": row.threads,
        "oom_disabled": row.oom_disabled,
    }


def feature_limits(row: Server) -> Json:
    return {"databases": row.database_limit, "allocations": row.allocation_limit, "backups": row.backup_limit}


def owns(row: Server, user: User, held: frozenset[str]) -> bool:
    """Whose it is; a server that nobody made by REST belongs to who holds everything on it without being an administrator of Aerie."""
    if row.owner_id is not None:
        return row.owner_id == user.id
    return ALL in held and not user.root_admin


def invocation(row: Server, held: frozenset[str] | None = None) -> str:
    """The start command with its placeholders filled; values that the caller (`held`) may not read are shown as hidden."""
    chosen = {value.egg_variable_id: value.value for value in row.variables}
    readable = held is None or allows(held, "startup.read")
    known = {
        variable.env_variable: chosen.get(variable.id, variable.default_value) if variable.user_viewable and readable else HIDDEN
        for variable in row.egg.variables
    }
    known["SERVER_MEMORY"] = str(row.memory)
    if row.allocation is not None:
        known |= {"SERVER_IP": row.allocation.ip, "SERVER_PORT": str(row.allocation.port)}
    return _PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), row.startup)


def visible_allocations(row: Server, held: frozenset[str]) -> list[Json]:
    """All addresses, or without allocation.read the main one and no notes."""
    if allows(held, "allocation.read"):
        return [allocation(each) for each in row.allocations]
    return [allocation(each, notes=False) for each in row.allocations if each.is_primary]


def allocation(row: Allocation, *, notes: bool = True) -> Json:
    attributes = {
        "id": row.id,
        "ip": row.ip,
        "ip_alias": row.alias,
        "port": row.port,
        "notes": row.notes if notes else None,
        "is_default": row.is_primary,
    }
    return item("allocation", attributes)


def backup(row: Backup) -> Json:
    attributes = {
        "uuid": row.uuid,
        "is_successful": row.successful,
        "is_locked": row.locked,
        "name": row.name,
        "ignored_files": [line for line in row.ignored.splitlines() if line.strip()],
        "checksum": row.checksum,
        "bytes": row.bytes,
        "created_at": at(row.created_at),
        "completed_at": at(row.completed_at) if row.completed_at is not None else None,
    }
    return item("backup", attributes)


def egg_variable(variable: EggVariable, row: Server) -> Json:
    chosen = {value.egg_variable_id: value.value for value in row.variables}
    return item(
        "egg_variable",
        {
            "name": variable.name,
            "description": variable.description,
            "env_variable": variable.env_variable,
            "default_value": variable.default_value,
            "server_value": chosen.get(variable.id, variable.default_value),
            "is_editable": variable.user_editable,
            "rules": "|".join(variable.rules),
        },
    )


def stats(row: Server, used: Used) -> Json:
    return item(
        "stats",
        {
            "current_state": used.state.value,
            "is_suspended": row.status == ServerStatus.SUSPENDED,
            "resources": {
                "memory_bytes": used.stats.memory_bytes,
                "cpu_absolute": used.stats.cpu_absolute,
                "disk_bytes": used.stats.disk_bytes,
                "network_rx_bytes": used.stats.network.rx_bytes,
                "network_tx_bytes": used.stats.network.tx_bytes,
                "uptime": used.stats.uptime,
            },
        },
    )


def subuser(user: User, keys: Sequence[str]) -> Json:
    return person(user, "server_subuser", keys)


def activity(row: Activity, *, show_ip: bool, actor: User | None = None, with_actor: bool = False) -> Json:
    """One line of the audit log; addresses are for who did it and for administrators."""
    properties: Json = {}
    for key, value in row.details.items():
        properties[key] = value
        if isinstance(value, list):
            properties[f"{key}_count"] = len(value)
    counts = [key for key in properties if key.endswith("_count")]
    if len(counts) == 1:
        properties["count"] = properties.pop(counts[0])
    attributes: Json = {
        "id": hashlib.sha1(str(row.id).encode(), usedforsecurity=False).hexdigest(),
        "batch": None,
        "event": row.event,
        "is_api": row.actor_kind == ActorKind.API_KEY,
        "ip": row.origin if show_ip and row.origin and not row.origin.startswith("discord:") else None,
        "description": row.reason or None,
        "properties": properties,
        "has_additional_metadata": bool(properties),
        "timestamp": at(row.at),
    }
    included = {"actor": person(actor) if actor is not None else nothing()} if with_actor else None
    return item("activity_log", attributes, included)
