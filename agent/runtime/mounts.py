"""Folders of the machine that a server may have mounted: none but those below `allowed_mounts`.

Sources are compared as paths, component by component, after every link was followed, and Docker is given what was found, not what was
asked for. Whatever is refused is named; the server starts without it (Wings).
"""

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from core.protocol.settings import Mount

Json = dict[str, Any]

HOME = "/home/container"
_CLOSED = tuple(PurePosixPath(path) for path in (HOME, "/proc", "/sys", "/dev", "/etc"))
_TAKEN = PurePosixPath("/tmp")  # noqa: S108 - its tmpfs stands there


def allowed(mounts: Iterable[Mount], roots: Iterable[str], own: Sequence[Path]) -> tuple[list[Json], list[str]]:
    """Docker's mounts, and a sentence for each that is left out. `own` are the agent's folders, which nobody gets. Reads the disk."""
    open_roots = [found for root in roots if (found := _resolved(root)) is not None]
    closed = [found for path in own if (found := _resolved(str(path))) is not None]
    made: dict[PurePosixPath, Json] = {}
    faults = []
    for mount in mounts:
        source, fault = _source(mount.source, open_roots, closed)
        target, wrong = _target(mount.target, made.keys())
        if source is None or target is None:
            faults.append(f"The mount of {mount.source[:120]!r} is left out: {fault or wrong}.")
            continue
        made[target] = {
            "Type": "bind",
            "Source": str(source),
            "Target": str(target),
            "ReadOnly": mount.read_only,
            "BindOptions": {"Propagation": "rprivate"},
        }
    return list(made.values()), faults


def _source(text: str, roots: list[Path], closed: list[Path]) -> tuple[Path | None, str]:
    if not text.startswith("/") or "\0" in text or "," in text:
        return None, "its source is no absolute path"
    path = _resolved(text)
    if path is None:
        return None, "there is no such folder on this node"
    if not any(path == root or root in path.parents for root in roots):
        return None, "it is not among this node's `allowed_mounts`"
    if any(path == mine or mine in path.parents or path in mine.parents for mine in closed):
        return None, "it holds files of the agent or of other servers"
    mode = path.stat().st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        return None, "it is neither a folder nor a file"
    return path, ""


def _target(text: str, taken: Iterable[PurePosixPath]) -> tuple[PurePosixPath | None, str]:
    if not text.startswith("/") or "\0" in text or ".." in PurePosixPath(text).parts:
        return None, "its target is no plain absolute path"
    target = PurePosixPath("/" + text.strip("/"))
    if any(target == closed or closed in target.parents or target in closed.parents for closed in _CLOSED):
        return None, f"nothing is mounted over {target}"
    if target == _TAKEN or target in set(taken):
        return None, f"{target} is taken already"
    return target, ""


def _resolved(text: str) -> Path | None:
    """Where a path really leads; None when it leads nowhere."""
    try:
        return Path(text).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return None
