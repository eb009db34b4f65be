"""The container of an egg's install script, as the body of Docker's create call: a pure function.

The script comes from an administrator's egg, what it is fed comes from users: it is root in its container and nothing outside. Never
privileged (CVE-2023-32080): every capability is dropped but those that package managers need, no new privileges, pids and memory limited,
only the server's files and the script itself mounted, the script read-only.
"""

from pathlib import Path
from typing import Any

from agent.runtime import confinement
from agent.runtime.confinement import SHARED, Place
from agent.runtime.container import log_config
from agent.runtime.image_name import read_image
from agent.runtime.limits import Honoured, limits
from agent.runtime.variables import environment
from core.agent_settings import InstallSection
from core.config import AgentConfig
from core.protocol.remote import InstallScript
from core.protocol.settings import Build, ServerConfiguration

Json = dict[str, Any]

LABEL = "dev.aerie.installer"
SERVER = "/mnt/server"
SCRIPTS = "/mnt/install"
SCRIPT = "install.sh"

KEPT = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID")
"""What apt, apk and tar need as root."""


def name_of(uuid: str) -> str:
    """The container's name (Wings)."""
    return f"{uuid}_installer"


def body(
    configuration: ServerConfiguration, script: InstallScript, config: AgentConfig, folder: Path, scripts: Path, place: Place = SHARED
) -> Json:
    """Docker's create body. Raises RuntimeFailure or ImageUnavailable for settings that cannot work.

    `folder` is the server's data on the host, `scripts` the folder of its install.sh.
    """
    settings = configuration.settings
    return {
        "Hostname": "installer",
        "Domainname": config.docker.domainname,
        "Image": read_image(script.container_image).name,
        "User": "0:0",
        "WorkingDir": SERVER,
        "Entrypoint": [],
        "Cmd": [script.entrypoint or "bash", f"{SCRIPTS}/{SCRIPT}"],
        "Tty": True,
        "OpenStdin": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": environment(settings, config.system.timezone, config.docker.interface),
        "Labels": confinement.labels(
            settings.labels, config.docker, {"Service": "Pterodactyl", "ContainerType": "server_installer", LABEL: settings.uuid}
        ),
        "HostConfig": {
            **confinement.host_config(config.docker, list(KEPT)),
            "Binds": [f"{folder}:{SERVER}:rw", f"{scripts}:{SCRIPTS}:ro"],
            "NetworkMode": place.network or config.docker.network,
            "Dns": list(config.docker.dns),
            "LogConfig": log_config(config),
            **limits(allowed(settings.build, config.install), config.docker, config.install.pids, Honoured()),
        },
    }


def allowed(build: Build, install: InstallSection) -> Build:
    """Wings' rule: at least what the node gives installers, more when the server itself may have more. Over its memory it is killed."""
    cpu = max(build.cpu_limit, install.cpu) if install.cpu and build.cpu_limit else 0
    return build.model_copy(update={"memory_limit": max(build.memory_limit, install.memory), "cpu_limit": cpu, "oom_disabled": False})
