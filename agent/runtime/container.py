"""A server's settings as the body of Docker's create call: a pure function. Options are Wings' (1.11), with its known defects mended.

Must never talk to Docker.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.runtime import confinement
from agent.runtime.confinement import SHARED, Place
from agent.runtime.image_name import read_image
from agent.runtime.limits import Honoured, limits
from agent.runtime.mounts import HOME
from agent.runtime.ports import ports, refuse_own
from agent.runtime.variables import environment
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration

Json = dict[str, Any]

LABEL = "dev.aerie.server"
MARK = "dev.aerie.body"
"""Label with a hash of the whole create body: two containers that have the same were made of the same settings."""


def body(
    configuration: ServerConfiguration,
    config: AgentConfig,
    folder: Path,
    place: Place = SHARED,
    machine: Honoured = Honoured(),  # noqa: B008 - frozen
    mounts: Sequence[Json] = (),
) -> Json:
    """Docker's create body. Raises RuntimeFailure, PortTaken or ImageUnavailable for settings that cannot work.

    `folder` is the server's data on the host, `place` what is its own, `mounts` what of its mounts is allowed (mounts.py).
    """
    settings = configuration.settings
    docker = config.docker
    refuse_own(settings, config)
    exposed, bindings = ports(settings, docker)
    return {
        "Hostname": settings.uuid,
        "Domainname": docker.domainname,
        "Image": read_image(settings.container.image).name,
        "User": place.user or f"{config.system.uid}:{config.system.gid}",
        "Tty": True,
        "OpenStdin": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": with_home(environment(settings, config.system.timezone, docker.interface)),
        "Labels": confinement.labels(
            settings.labels, docker, {"Service": "Pterodactyl", "ContainerType": "server_process", LABEL: settings.uuid}
        ),
        "ExposedPorts": exposed,
        "HostConfig": {
            **confinement.host_config(docker, confinement.capabilities(settings.labels, docker)),
            "Binds": [f"{folder}:{HOME}:rw", *place.binds],
            "Mounts": list(mounts),
            "PortBindings": bindings,
            "ReadonlyRootfs": True,
            "NetworkMode": place.network or docker.network,
            "Dns": list(docker.dns),
            "LogConfig": log_config(config),
            **({"UsernsMode": docker.userns_mode} if docker.userns_mode else {}),
            **limits(settings.build, docker, docker.container_pid_limit, machine),
        },
    }


def mark(body: Json) -> None:
    """Let a body say what it is."""
    text = json.dumps(body, sort_keys=True, default=str)
    body["Labels"] = {**body["Labels"], MARK: hashlib.sha256(text.encode()).hexdigest()}


def same(shown: Json, body: Json, image_id: str) -> bool:
    """Whether a container, as Docker shows it, is off and just what `body` would make of the image with this id.

    Only with a read-only root and no volume of its own: then nothing in it outlives a stop, and it is as good as a new one.
    """
    return (
        shown["State"]["Status"] in ("created", "exited")
        and (shown["Config"].get("Labels") or {}).get(MARK) == body["Labels"][MARK]
        and shown["Image"] == image_id
        and bool(body["HostConfig"].get("ReadonlyRootfs"))
        and all(mount.get("Type") != "volume" for mount in shown.get("Mounts") or ())
    )


def log_config(config: AgentConfig) -> Json:
    """Docker's own log, rotated; `non-blocking`, so that a full log never stops a game."""
    docker = config.docker
    options = {"max-size": docker.log_max_size, "max-file": str(docker.log_max_file), "mode": "non-blocking"}
    if docker.log_driver == "local":
        options["compress"] = "false"
    return {"Type": docker.log_driver, "Config": options}


def with_home(variables: list[str]) -> list[str]:
    """A user that the image does not know would get `/` for its home, where it cannot write."""
    return variables if any(one.startswith("HOME=") for one in variables) else [*variables, f"HOME={HOME}"]
