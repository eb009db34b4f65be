"""Which containers are the agent's: a name is not enough, since anybody on the machine may give a container any name. Pure functions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.runtime import container, installer
from agent.runtime.mounts import HOME

_WINGS = ("server_process", "server_installer")
_WINGS_SERVICES = ("Pterodactyl", "Pelican")


def is_ours(shown: Mapping[str, Any], name: str) -> bool:
    """Whether the container that bears a server's name (or its installer's) was made for it, by us or by Wings before us."""
    labels = (shown.get("Config") or {}).get("Labels") or {}
    if container.LABEL in labels or installer.LABEL in labels:
        return bool(labels.get(container.LABEL) == name or installer.name_of(labels.get(installer.LABEL, "")) == name)
    return labels.get("Service") in _WINGS_SERVICES and labels.get("ContainerType") in _WINGS


def leftover(listed: Mapping[str, Any], data: Path) -> str:
    """Of an entry of Docker's list: the server it was made for when its files are below `data`, so that it is this agent's; else empty."""
    labels = listed.get("Labels") or {}
    uuid = labels.get(container.LABEL) or labels.get(installer.LABEL) or ""
    homes = {mount.get("Source") for mount in listed.get("Mounts") or [] if mount.get("Destination") in (HOME, installer.SERVER)}
    return uuid if uuid and str(data / uuid) in homes else ""
