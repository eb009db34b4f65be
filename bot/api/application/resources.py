"""Rows as the panel's Application API shows them, field for field. Pure: rows in, JSON out; includes.py loads what belongs to them."""

from bot.api.client.resources import email, feature_limits, limits
from bot.api.paging import Json, at, at_raw
from core.models.egg import Egg, EggVariable, Nest
from core.models.node import Location, Node
from core.models.server import Allocation, Server
from core.models.user import User
from core.services.configuration import environment
from core.vocabulary import ServerStatus


def user(row: User) -> Json:
    return {
        "id": row.id,
        "external_id": row.external_id,
        "uuid": row.uuid,
        "username": row.username,
        "email": email(row),
        "first_name": row.first_name,
        "last_name": row.last_name,
        "language": row.language,
        "root_admin": row.root_admin,
        "2fa": False,
        "created_at": at(row.created_at),
        "updated_at": at(row.updated_at or row.created_at),
    }


def location(row: Location) -> Json:
    return {"id": row.id, "short": row.short, "long": row.long, "updated_at": at(row.created_at), "created_at": at(row.created_at)}


def node(row: Node, location_id: int | None, allocated: tuple[int, int]) -> Json:
    return {
        "id": row.id,
        "uuid": row.uuid,
        "public": row.public,
        "name": row.name,
        "description": row.description,
        "location_id": location_id,
        "fqdn": row.host,
        "scheme": row.scheme,
        "behind_proxy": row.behind_proxy,
        "maintenance_mode": row.maintenance,
        "memory": row.memory,
        "memory_overallocate": row.memory_overallocate,
        "disk": row.disk,
        "disk_overallocate": row.disk_overallocate,
        "upload_size": row.upload_size,
        "daemon_listen": row.port,
        "daemon_sftp": row.sftp_port,
        "daemon_base": row.base_directory,
        "created_at": at(row.created_at),
        "updated_at": at(row.updated_at or row.created_at),
        "allocated_resources": {"memory": allocated[0], "disk": allocated[1]},
    }


def configuration(row: Node, token: str, origin: str) -> Json:
    """What a daemon's configuration file must hold to belong here; the only place where the node's secret leaves."""
    certificate = f"/etc/letsencrypt/live/{row.host.lower()}"
    return {
        "debug": False,
        "uuid": row.uuid,
        "token_id": row.token_id,
        "token": token,
        "api": {
            "host": "0.0.0.0",
            "port": row.port,
            "ssl": {
                "enabled": row.scheme == "https" and not row.behind_proxy,
                "cert": f"{certificate}/fullchain.pem",
                "key": f"{certificate}/privkey.pem",
            },
            "upload_limit": row.upload_size,
        },
        "system": {"data": row.base_directory, "sftp": {"bind_port": row.sftp_port}},
        "allowed_mounts": [],
        "remote": origin,
    }


def allocation(row: Allocation) -> Json:
    return {
        "id": row.id,
        "ip": row.ip,
        "alias": row.alias,
        "port": row.port,
        "notes": row.notes,
        "assigned": row.server_id is not None,
    }


def nest(row: Nest) -> Json:
    return {
        "id": row.id,
        "uuid": row.uuid,
        "author": row.author,
        "name": row.name,
        "description": row.description,
        "created_at": at(row.created_at),
        "updated_at": at(row.created_at),
    }


def egg(row: Egg) -> Json:
    return {
        "id": row.id,
        "uuid": row.uuid,
        "name": row.name,
        "nest": row.nest_id,
        "author": row.author,
        "description": row.description,
        "docker_image": next(iter(row.docker_images.values()), ""),
        "docker_images": row.docker_images,
        "config": {
            "files": row.config_files,
            "startup": {"done": row.done[0] if len(row.done) == 1 else row.done},
            "stop": row.stop,
            "logs": row.logs or {},
            "file_denylist": row.file_denylist,
            "extends": None,
        },
        "startup": row.startup,
        "script": {
            "privileged": True,
            "install": row.script,
            "entry": row.script_entrypoint,
            "container": row.script_container,
            "extends": None,
        },
        "created_at": at(row.created_at),
        "updated_at": at(row.created_at),
    }


def egg_variable(row: EggVariable, of: Egg) -> Json:
    return {
        "id": row.id,
        "egg_id": row.egg_id,
        "name": row.name,
        "description": row.description,
        "env_variable": row.env_variable,
        "default_value": row.default_value,
        "user_viewable": row.user_viewable,
        "user_editable": row.user_editable,
        "rules": "|".join(row.rules),
        "created_at": at_raw(of.created_at),
        "updated_at": at_raw(of.created_at),
    }


def server(row: Server) -> Json:
    return {
        "id": row.id,
        "external_id": row.external_id,
        "uuid": row.uuid,
        "identifier": row.short,
        "name": row.name,
        "description": row.description,
        "status": row.status,
        "suspended": row.status == ServerStatus.SUSPENDED,
        "limits": limits(row),
        "feature_limits": feature_limits(row),
        "user": row.owner_id,
        "node": row.node_id,
        "allocation": row.allocation.id if row.allocation is not None else None,
        "nest": row.egg.nest_id,
        "egg": row.egg_id,
        "container": {
            "startup_command": row.startup,
            "image": row.image,
            "installed": int(row.installed_at is not None and row.status != ServerStatus.INSTALLING),
            "environment": environment(row),
        },
        "updated_at": at(row.created_at),
        "created_at": at(row.created_at),
    }
