"""Runs a command with what the tests need around it: `python -m setup.test_services -- pytest`.

A real Docker Engine, MariaDB, Redis, Chromium, SFTP clients, docker-compose and podman. What the environment names (DOCKER_HOST,
AERIE_TEST_MARIADB_URL, AERIE_TEST_REDIS_URL, AERIE_TEST_CHROMIUM, AERIE_TEST_SFTP, AERIE_TEST_COMPOSE, AERIE_TEST_PODMAN) is used as it is;
the rest is installed when we are root on a Debian family system, started under `.aerie/test` on ports of its own, and stopped again.
Must never use a database or Redis of the machine that nobody named: tests empty them.
"""

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from setup import databases, debian, engine
from setup.databases import Missing, Place
from setup.progress import say
from setup.sockets import free_port

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".aerie" / "test"
LOG = ROOT / ".aerie" / "setup.log"

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PACKAGES: dict[str, tuple[list[tuple[str, ...]], list[str]]] = {  # programs that must be there, and the packages that bring them
    **{name: (programs, databases.PACKAGES[name]) for name, programs in databases.PROGRAMS.items()},
    "chromium": ([CHROMIUM], ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"]),
    "compose": ([("docker-compose",)], ["docker-compose", "mmdebstrap", "debian-archive-keyring"]),
    "podman": ([("podman",)], ["podman"]),
    "sftp": ([("sftp",), ("sshd",), ("rclone",), ("lftp",)], ["openssh-client", "openssh-server", "rclone", "lftp"]),
}
FILE_SYSTEMS = ([("mkfs.btrfs",), ("mkfs.ext4",), ("mkfs.xfs",)], ["btrfs-progs", "e2fsprogs", "xfsprogs"])
"""For tests of disk limits, which say why they are skipped where these are missing."""
VARIABLES = {
    "docker": "DOCKER_HOST",
    "mariadb": "AERIE_TEST_MARIADB_URL",
    "redis": "AERIE_TEST_REDIS_URL",
    "chromium": "AERIE_TEST_CHROMIUM",
    "sftp": "AERIE_TEST_SFTP",
    "compose": "AERIE_TEST_COMPOSE",
    "podman": "AERIE_TEST_PODMAN",
}


def main() -> int:
    """Entry; answers the command's own exit code."""
    parser = argparse.ArgumentParser(description="Run a command with the services that the tests need.")
    parser.add_argument("--only", default=",".join(VARIABLES), help="comma-separated: " + ", ".join(VARIABLES))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    wanted = [name for name in options.only.split(",") if name]
    if not command or any(name not in VARIABLES for name in wanted):
        parser.error(f"give a command after --, and services among {', '.join(VARIABLES)}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with contextlib.ExitStack() as stack:
            environment = {**os.environ, "AERIE_TEST_REQUIRE": "1", **stack.enter_context(services(wanted))}
            return run(command, environment)
    except Missing as error:
        say(f"✗ {error}")
        return 3
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def services(wanted: Sequence[str]) -> Iterator[dict[str, str]]:
    """The services, as environment variables; stopped when the block ends. Raises Missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    install([name for name in wanted if name in PACKAGES and VARIABLES[name] not in os.environ])
    if len(wanted) == len(VARIABLES) and any(debian.which(*programs) is None for programs in FILE_SYSTEMS[0]) and debian.can_install():
        try:
            debian.install(FILE_SYSTEMS[1], "Installing what makes file systems for the tests", LOG)
        except debian.InstallFailed as error:
            say(f"  the tests of hard disk limits are skipped: {error}")
    starters: dict[str, Callable[[contextlib.ExitStack], str]] = {
        "docker": _docker,
        "mariadb": _mariadb,
        "redis": _redis,
        "chromium": lambda _: _program(CHROMIUM, "chromium"),
        "sftp": lambda _: _program(("sftp",), "OpenSSH's sftp"),
        "compose": lambda _: _program(("docker-compose",), "docker-compose"),
        "podman": lambda _: _program(("podman",), "podman"),
    }
    with contextlib.ExitStack() as stack:
        found = {}
        for name in wanted:
            variable = VARIABLES[name]
            # DOCKER_HOST is looked at by the finder, which goes on when nothing answers there
            found[variable] = os.environ.get(variable, "") if name != "docker" else ""
            if not found[variable]:
                found[variable] = starters[name](stack)
        yield found


def install(names: Sequence[str]) -> None:
    """Install what is missing of these, with one call of apt-get. Raises Missing."""
    absent = [name for name in names if any(debian.which(*programs) is None for programs in PACKAGES[name][0])]
    if not absent:
        return
    packages = [package for name in absent for package in PACKAGES[name][1]]
    if not debian.can_install():
        named = ", ".join(f"{name} (or name one in {VARIABLES[name]})" for name in absent)
        raise Missing(f"The tests need {named}. Install them; as root on Debian or Ubuntu they are installed for you.")
    try:
        debian.install(packages, f"Installing {', '.join(absent)} for the tests", LOG)
    except debian.InstallFailed as error:
        raise Missing(str(error)) from error


def run(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run the command to its end; when we are interrupted it is asked to end, more firmly each time."""
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        for number, seconds in ((signal.SIGINT, 20.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=seconds)
                break
        code = 130
    return code if code >= 0 else 128 - code


def _docker(stack: contextlib.ExitStack) -> str:
    try:
        found = engine.find(FOLDER / "engine")
    except engine.NoEngine as error:
        raise Missing(f"The tests need a Docker Engine. {error}.") from error
    stack.callback(found.stop)
    say(f"✓ Docker {found.version} ({found.found})")
    return found.host


def _program(names: Sequence[str], what: str) -> str:
    path = debian.which(*names)
    if path is None:
        raise Missing(f"{what} was installed but is not there; see {LOG}.")
    return path


def _place(name: str) -> Place:
    return Place(FOLDER / name, FOLDER / f"{name}.log", FOLDER / f"{name}.json")


def _mariadb(stack: contextlib.ExitStack) -> str:
    """A MariaDB on a port and in a folder of its own; safe from power cuts it is not, and need not be."""
    place, port, password = _place("mariadb"), free_port(), secrets.token_hex(12)
    databases.start_mariadb(place, port, password, "aerie_test", keep=False, title="Starting MariaDB for the tests")
    stack.callback(place.end)
    return databases.mariadb_url(port, password, "aerie_test")


def _redis(stack: contextlib.ExitStack) -> str:
    place, port = _place("redis"), free_port()
    databases.start_redis(place, port, title="Starting Redis for the tests")
    stack.callback(place.end)
    return databases.redis_url(port)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
