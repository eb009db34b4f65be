"""The demo's folder: where its files lie, the lock that keeps a second demo out, and what it remembers from one start to the next.

Remembered are ports, UUIDs and made-up secrets, so that a second start finds the same servers. Must never hold a secret of a real system.
"""

import fcntl
import json
import os
import secrets
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from core.seal import new_key
from core.tokens import new_node_token
from demo import cast
from setup.sockets import Claims, free_port


class AlreadyRunning(Exception):
    """Another demo holds the folder; the message says where to find it."""


@dataclass(frozen=True)
class Remembered:
    """What outlives one run: `servers` maps a server's name to its UUID, `ports` a program or server to its port."""

    ports: dict[str, int]
    servers: dict[str, str]
    mark: str
    secrets: dict[str, str]


@dataclass(frozen=True)
class Folder:
    """A demo's place on disk."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file, for where no MariaDB can be had."""
        return self.root / "aerie.sqlite3"

    @property
    def webhook(self) -> Path:
        """Where the address of the demo's alert source is kept, which Aerie shows once only."""
        return self.root / "webhook"

    def agent_data(self, node: str) -> Path:
        """Everything that a node's agent keeps."""
        return self.root / node

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
            return Remembered(dict(old["ports"]), dict(old["servers"]), str(old["mark"]), dict(old["secrets"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, claims: Claims | None = None) -> Remembered:
        """What an earlier run chose, or new choices; ports that somebody else took or claimed meanwhile are chosen anew."""
        old = self.recall() or Remembered({}, {}, uuid.uuid4().hex[:8], {})
        made = Remembered(
            ports=_free_ports(old.ports, claims),
            servers={name: str(uuid.uuid4()) for name in cast.SERVERS} | old.servers,
            mark=old.mark,
            secrets=_new_secrets() | old.secrets,
        )
        descriptor = os.open(self.root / "demo.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(made), file, indent=1)
        return made

    def _who(self) -> str:
        try:
            note = json.loads(self.note.read_text())
            return f"A demo already runs in this folder (process {note['pid']}): open {note['address']}, or stop that one first."
        except (OSError, ValueError, KeyError):
            return "A demo is already starting in this folder; wait for it, or stop it first."


def _free_ports(before: Mapping[str, int], claims: Claims | None) -> dict[str, int]:
    ports: dict[str, int] = {}
    for name, preferred in cast.ports().items():
        udp = cast.played(name)
        ports[name] = free_port(before.get(name, preferred), host="0.0.0.0" if udp else "127.0.0.1", udp=udp)
        while list(ports.values()).count(ports[name]) > 1 or not (claims is None or claims.take(ports[name])):
            ports[name] = free_port(udp=udp)
    return ports


def _new_secrets() -> dict[str, str]:
    made = {
        "bot_token": f"sandbox.{secrets.token_urlsafe(24)}",
        "seal": new_key(),
        "mariadb": secrets.token_hex(16),
    }
    for node in cast.NODES:
        token = new_node_token()
        made |= {f"{node}_id": token.id, f"{node}_token": token.secret}
    return made
