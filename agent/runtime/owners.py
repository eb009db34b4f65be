"""Which user of the machine each server runs as and owns its files: one of its own, the same for as long as the server lives here.

A process that breaks out of its container then finds the neighbours' files closed. The file `owners.json` remembers who is who; without it
most servers get the same user again, since a uuid says where to begin looking. What the disk says of a folder's owner is never believed:
an install script, being root in its container, could write anything there.
"""

import hashlib
import json
import logging
import os

from core.agent_settings import SystemSection
from core.errors import RuntimeFailure

log = logging.getLogger(__name__)

Owner = tuple[int, int]
"""User and group, as numbers of the machine."""


class Owners:
    """Answers with `of`. `obstacle` says, for people, why all servers share one user; empty when each has its own."""

    def __init__(self, system: SystemSection, obstacle: str = "") -> None:
        self._system = system
        self.obstacle = obstacle or why_shared(system)
        self._file = system.root_directory / "owners.json"
        self._uids: dict[str, int] | None = None

    @property
    def own(self) -> bool:
        """Whether each server has a user of its own."""
        return not self.obstacle

    def of(self, uuid: str) -> Owner:
        """A server's user and group; a new server gets the next free one. Raises RuntimeFailure when all are taken."""
        if not self.own:
            return self._system.uid, self._system.gid
        if self._uids is None:
            self._uids = self._read()
        uid = self._uids.get(uuid)
        if uid is None:
            uid = self._uids[uuid] = self._free(uuid, set(self._uids.values()))
            self._write()
        return uid, uid

    def forget(self, uuid: str) -> None:
        """The server is gone, and its files with it."""
        if self.own:
            if self._uids is None:
                self._uids = self._read()
            if self._uids.pop(uuid, None) is not None:
                self._write()

    def _free(self, uuid: str, taken: set[int]) -> int:
        first, count = self._system.uid_first, self._system.uid_count
        begin = int.from_bytes(hashlib.sha256(uuid.encode()).digest()[:8]) % count
        for step in range(count):
            if (uid := first + (begin + step) % count) not in taken:
                return uid
        raise RuntimeFailure(f"All {count} users for servers are taken on this node.", hint="Raise [system] uid_count.")

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(uuid): int(uid) for uuid, uid in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.error("%s cannot be read (%s): servers get users anew, and their files with them.", self._file, error)
            return {}

    def _write(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(self._uids), encoding="utf-8")
            fresh.replace(self._file)
        except OSError as error:
            log.error("%s cannot be written (%s): after a restart, servers may get other users.", self._file, error.strerror)


def why_shared(system: SystemSection) -> str:
    """Why servers cannot have users of their own here, for people; empty when they can."""
    if not system.uid_per_server:
        return "[system] uid_per_server is off, so all servers run as one user"
    if os.geteuid() != 0:
        return "the agent is not root and can give no files away, so all servers run as one user"
    return ""
