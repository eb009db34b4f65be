"""The demo's folder: where its files lie, the lock that keeps a second demo out, and what it remembers from one start to the next.

Remembered are ports, UUIDs and made-up secrets, so that a second start finds the same servers. Must never hold a secret of a real system.
"""

import fcntl
import json
import os
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from setup.sockets import free_port

GAMES = ("luanti", "freeciv")
PREFERRED_PORTS = {"sandbox": 8700, "bot": 8701, "agent": 8702, "sftp": 8703, "luanti": 30000, "freeciv": 5556}


class AlreadyRunning(Exception):
    """Another demo holds the folder; the message says where to find it."""


@dataclass(frozen=True)
class Remembered:
    """What outlives one run: `servers` maps a game to its server's UUID, `ports` a program or game to its port."""

    ports: dict[str, int]
    servers: dict[str, str]
    node_uuid: str
    secrets: dict[str, str]


@dataclass(frozen=True)
class Folder:
    """A demo's place on disk."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "aerie.sqlite"

    @property
    def agent_data(self) -> Path:
        return self.root / "agent"

    @property
    def note(self) -> Path:
        return self.root / "running.json"

    def clear(self) -> None:
        """Forget everything, running programs excepted: those are ended first by whoever calls this."""
        for entry in self.root.iterdir() if self.root.exists() else ():
            if entry.name not in ("lock", "processes"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder. Raises AlreadyRunning when another demo does."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AlreadyRunning(self._who()) from error
            try:
                yield
            finally:
                self.note.unlink(missing_ok=True)

    def announce(self, address: str) -> None:
        """Leave a note for a second demo that finds the folder locked."""
        self.note.write_text(json.dumps({"address": address, "pid": os.getpid()}))

    def recall(self) -> Remembered | None:
        """What an earlier run chose; None when there was none or its note is spoilt."""
        try:
            old = json.loads((self.root / "demo.json").read_text())
            return Remembered(old["ports"], old["servers"], old["node_uuid"], old["secrets"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self) -> Remembered:
        """What an earlier run chose, or new choices; ports that somebody else took meanwhile are chosen anew."""
        path = self.root / "demo.json"
        old = self.recall()
        taken: set[int] = set()
        ports = {}
        for name, preferred in PREFERRED_PORTS.items():
            ports[name] = free_port(
                old.ports.get(name, preferred) if old else preferred, host="0.0.0.0" if name in GAMES else "127.0.0.1", udp=name in GAMES
            )
            while ports[name] in taken:
                ports[name] = free_port(udp=name in GAMES)
            taken.add(ports[name])
        made = Remembered(
            ports=ports,
            servers=old.servers if old else {game: str(uuid.uuid4()) for game in GAMES},
            node_uuid=old.node_uuid if old else str(uuid.uuid4()),
            secrets=old.secrets
            if old
            else {
                "bot_token": f"sandbox.{secrets.token_urlsafe(24)}",
                "token_id": secrets.token_hex(8),
                "token": secrets.token_urlsafe(48),
                "seal": secrets.token_urlsafe(32),
            },
        )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"ports": made.ports, "servers": made.servers, "node_uuid": made.node_uuid, "secrets": made.secrets}, file, indent=1)
        return made

    def _who(self) -> str:
        try:
            note = json.loads(self.note.read_text())
            return f"A demo already runs in this folder (process {note['pid']}): open {note['address']}, or stop that one first."
        except (OSError, ValueError, KeyError):
            return "A demo is already starting in this folder; wait for it, or stop it first."
