"""MariaDB and Redis in folders and on ports of their own: installed where that is allowed, started, ended again by their record.

The tests and the demo bring them this way. Must never use a database or Redis of the machine that nobody named, nor listen beyond loopback.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup import debian, processes
from setup.progress import Step
from setup.sockets import short_folder

HOST = "127.0.0.1"
USER = "aerie"
START_SECONDS = 60.0
STOP_SECONDS = 20.0

MARIADB, REDIS = ("mariadbd", "mysqld"), ("redis-server", "valkey-server")
PROGRAMS: dict[str, list[tuple[str, ...]]] = {  # what must be there
    "mariadb": [MARIADB, ("mariadb-install-db",), ("my_print_defaults",)],
    "redis": [REDIS],
}
PACKAGES = {"mariadb": ["mariadb-server-core", "mariadb-client-core"], "redis": ["redis-server"]}


_started: dict[Path, subprocess.Popen[bytes]] = {}
"""Our own children by their records, for as long as they run."""


class Missing(Exception):
    """A service cannot be had; the message says which, and what to do."""


@dataclass(frozen=True)
class Place:
    """Where a server keeps its files, where its words go, and where its process is written down."""

    folder: Path
    log: Path
    record: Path

    def end(self) -> None:
        """End the server that runs here, if one does, and take its socket's folder away."""
        processes.end(self.record, STOP_SECONDS)
        if (process := _started.pop(self.record, None)) is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # a killed one is a zombie before its last thread has ended
                process.wait(STOP_SECONDS)
        if (sockets := short_folder(self.folder, room=16)) != self.folder.resolve():
            shutil.rmtree(sockets, ignore_errors=True)


def install(names: Sequence[str], why: str, log: Path) -> None:
    """Install what is missing of these (`mariadb`, `redis`), with one call of apt-get. Raises Missing."""
    absent = [name for name in names if any(debian.which(*programs) is None for programs in PROGRAMS[name])]
    if not absent:
        return
    if not debian.can_install():
        raise Missing(f"{' and '.join(absent)} cannot be found, and only as root on Debian or Ubuntu they are installed for you.")
    try:
        debian.install([package for name in absent for package in PACKAGES[name]], f"Installing {', '.join(absent)} {why}", log)
    except debian.InstallFailed as error:
        raise Missing(str(error)) from error


def program(names: Sequence[str], what: str) -> str:
    """Full path of the first of these programs. Raises Missing."""
    path = debian.which(*names)
    if path is None:
        raise Missing(f"{what} is not there although it was installed.")
    return path


def start_mariadb(place: Place, port: int, password: str, database: str, *, keep: bool, title: str = "Starting MariaDB") -> None:
    """Serve `database` to the user `aerie`. With `keep` the files of an earlier start are gone on with. Raises Missing.

    Without `keep` a power cut may cost everything: for tests.
    """
    server = program(MARIADB, "MariaDB")
    place.end()
    made = place.folder / "made"  # written once the files are whole
    if not (keep and made.exists()):
        shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True, exist_ok=True)
    sockets = short_folder(place.folder, room=16)
    sockets.mkdir(parents=True, exist_ok=True)
    written = place.folder / "db.pid"  # by MariaDB itself, once it has the port
    written.unlink(missing_ok=True)
    user = ["--user=root"] if os.geteuid() == 0 else []
    with Step(title) as step, place.log.open("wb") as log:
        if not made.exists():
            _make_files(place, user, log.fileno())
            made.touch()
        command = [
            server, "--no-defaults", f"--datadir={place.folder / 'data'}", f"--socket={sockets / 'db.sock'}",
            f"--pid-file={written}", f"--port={port}", f"--bind-address={HOST}", "--skip-name-resolve",
            "--character-set-server=utf8mb4", f"--init-file={_first_words(place, password, database)}",
            f"--innodb-flush-log-at-trx-commit={2 if keep else 0}", "--innodb-buffer-pool-size=64M", "--performance-schema=OFF", *user,
        ]  # fmt: skip
        _start(command, "MariaDB", place, log.fileno(), lambda _: written.exists() and _answer(port) is not None, step)


def mariadb_url(port: int, password: str, database: str) -> str:
    """That database as SQLAlchemy names it."""
    return f"mysql+aiomysql://{USER}:{password}@{HOST}:{port}/{database}?charset=utf8mb4"


def start_redis(place: Place, port: int, *, title: str = "Starting Redis") -> None:
    """A Redis that keeps nothing on disk. Raises Missing."""
    server = program(REDIS, "Redis")
    place.end()
    place.folder.mkdir(parents=True, exist_ok=True)
    with Step(title) as step, place.log.open("wb") as log:
        command = [server, "--port", str(port), "--bind", HOST, "--dir", str(place.folder), "--save", "", "--appendonly", "no"]
        own = "process_id:{}\r".format
        _start(command, "Redis", place, log.fileno(), lambda pid: own(pid) in (_answer(port, b"INFO server\r\n") or ""), step)


def redis_url(port: int) -> str:
    """That Redis as Aerie's settings name it."""
    return f"redis://{HOST}:{port}/0"


def _make_files(place: Place, user: Sequence[str], log: int) -> None:
    installer = debian.which("mariadb-install-db", "mysql_install_db")
    if installer is None:
        raise Missing("mariadb-install-db is missing; install the whole server package of your system (Debian: mariadb-server-core).")
    options = ["--no-defaults", f"--datadir={place.folder / 'data'}", "--auth-root-authentication-method=normal", "--skip-test-db", *user]
    if subprocess.run([installer, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode != 0:
        raise Missing(f"MariaDB could not make its data folder:\n{debian.last_lines(place.log, 8)}")


def _first_words(place: Place, password: str, database: str) -> Path:
    """What MariaDB does before it takes connections; true again at each start."""
    path = place.folder / "first.sql"
    path.touch(mode=0o600)
    path.write_text(
        f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{password}';\nGRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        f"CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;\n"
    )
    return path


def _start(command: Sequence[str], name: str, place: Place, log: int, ready: Callable[[int], bool], step: Step) -> None:
    """Start a server and wait until it, and no other, has its port. `ready` is asked with its pid. Raises Missing with its last lines."""
    place.record.parent.mkdir(parents=True, exist_ok=True)
    _started[place.record] = process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    processes.remember(place.record, process.pid)
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if ready(process.pid):
            return
        step.at(None)
        time.sleep(0.05)
    place.end()
    raise Missing(f"{name} does not start; its last lines:\n{debian.last_lines(place.log, 8)}")


def _answer(port: int, question: bytes = b"") -> str | None:
    """What a port says first, None when nothing listens there."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(question)
            return connection.recv(4096).decode(errors="replace")
    except OSError:
        return None
