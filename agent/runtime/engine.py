"""What an engine that speaks Docker's language lacks of Docker, and the settings that suit it in their place. Known: podman.

It is given what the engine says of itself, and asks it nothing.
"""

import logging
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config import AgentConfig
from core.errors import NotConfigured

log = logging.getLogger(__name__)

READABLE_LOGS = ("json-file", "k8s-file", "journald")
"""Log drivers whose lines can be read again, the first that is known being taken."""
PODMAN_PROCESSES = 32_768


def is_podman(info: Mapping[str, Any]) -> bool:
    """By the answer of `/info`."""
    return "BuildahVersion" in info


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether the engine runs without root (podman and Docker say so in different places): root in its containers is its own user."""
    return bool(info.get("Rootless")) or any("rootless" in str(option) for option in info.get("SecurityOptions") or ())


def check_user(host: str) -> None:
    """An engine without root reaches only what its own user may, so the agent must be that user. Raises NotConfigured."""
    try:
        uid = Path(host.removeprefix("unix://")).stat().st_uid
    except OSError:
        return  # none of this machine
    if uid != os.geteuid():
        raise NotConfigured(
            f"The engine at {host} runs without root as user {uid}, the agent as user {os.geteuid()}.",
            hint="Run the agent as the engine's user, with folders of that user in [system].",
        )


def suited(config: AgentConfig, info: Mapping[str, Any]) -> AgentConfig:
    """The settings as this engine can carry them out; each change is told in the log."""
    docker = config.docker
    known = (info.get("Plugins") or {}).get("Log") or ()
    instead = next((name for name in READABLE_LOGS if name in known), "")
    if known and docker.log_driver not in known and instead:
        log.info("the engine has no log driver %s, containers log with %s", docker.log_driver, instead)
        docker = docker.model_copy(update={"log_driver": instead})
    if is_podman(info) and not docker.nproc:
        # asked for some limits, podman sets this one as high as can be, which an engine without the right to do so is refused
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        docker = docker.model_copy(update={"nproc": min(PODMAN_PROCESSES, hard) if hard > 0 else PODMAN_PROCESSES})
    if is_podman(info):  # it knows no such option of a tmpfs
        docker = docker.model_copy(update={"tmpfs_inodes": 0})
    return config.model_copy(update={"docker": docker})
