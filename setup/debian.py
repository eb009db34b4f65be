"""Installs Debian packages for a person who is root; knows apt-get and its progress reports.

Must never run on another system, ask a question, or leave a service running that it installed: what we need, we start ourselves
in our own folders.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from setup.progress import Step

POLICY = Path("/usr/sbin/policy-rc.d")  # what a Debian package asks before it starts its service: 101 means "do not"
APT = ["apt-get", "--yes", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=2"]


class InstallFailed(Exception):
    """apt-get failed; the message holds its last lines."""


def can_install() -> bool:
    """Is this a Debian family system where we are root?"""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def which(*names: str) -> str | None:
    """Full path of the first of these programs, looked for also where root's PATH may not reach."""
    path = os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/usr/games"]
    )
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    return None


def install(packages: Sequence[str], title: str, log: Path) -> None:
    """Install packages, showing progress; services they bring are not started.

    Raises InstallFailed with the last lines of apt-get when it cannot.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*APT, "-o", "APT::Install-Recommends=false", "install", *packages]
    with Step(title) as step, _services_stay_down():
        if _apt(command, step, log) == 0:
            return
        # old or missing package lists are the usual cause
        step.at(None, "fetching package lists")
        if _apt([*APT, "update"], step, log) != 0:
            raise InstallFailed(f"apt-get update failed:\n{last_lines(log, 12)}")
        if _apt(command, step, log) != 0:
            raise InstallFailed(f"apt-get install {' '.join(packages)} failed:\n{last_lines(log, 12)}")


def last_lines(path: Path, count: int) -> str:
    """The last lines of a text file, for showing beside an error; empty when there is no file."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""


def _apt(command: list[str], step: Step, log: Path) -> int:
    reading, writing = os.pipe()
    command = [command[0], "-o", f"APT::Status-Fd={writing}", *command[1:]]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[writing], env=environment)
        os.close(writing)
        follower = threading.Thread(target=_follow, args=(reading, step), daemon=True)
        follower.start()
        code = process.wait()
        follower.join(timeout=5)
    return code


def _follow(descriptor: int, step: Step) -> None:
    """Turn apt-get's status lines (`dlstatus:name:percent:words`, `pmstatus:…`) into progress: half downloading, half unpacking."""
    with os.fdopen(descriptor, errors="replace") as lines:
        for line in lines:
            kind, _, rest = line.partition(":")
            fields = rest.rstrip("\n").split(":", 2)
            if kind not in ("dlstatus", "pmstatus") or len(fields) < 3:
                continue
            try:
                percent = float(fields[1])
            except ValueError:
                continue
            step.at(percent / 200 + (0.5 if kind == "pmstatus" else 0.0), fields[2])


@contextmanager
def _services_stay_down() -> Iterator[None]:
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)
