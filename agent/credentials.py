"""The node's id and secret as of now: from the settings file, or what the control plane gave instead of them since.

A renewal is kept beside the agent's own files for its owner alone, with the fingerprint of the secret it replaced: whoever writes another
token into the settings file means that one. Must never be printed or logged.
"""

import asyncio
import json
import os
import re
from pathlib import Path

from core.agent_settings import RemoteSection
from core.errors import Invalid, NotConfigured, RuntimeFailure
from core.log import hide
from core.tokens import fingerprint

SHORTEST_SECRET = 32
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRET = re.compile(rf"[A-Za-z0-9_-]{{{SHORTEST_SECRET},256}}")


class Credentials:
    """`id` and `secret`: read them anew for every request, they may change."""

    def __init__(self, settings: RemoteSection, file: Path) -> None:
        """Reads the disk. Raises NotConfigured when the secret is too short to be one."""
        self.id, self.secret = settings.token_id, settings.token.get_secret_value()
        self._file = file
        if self.secret and (len(self.secret) < SHORTEST_SECRET or not _SECRET.fullmatch(self.secret)):
            raise NotConfigured(
                f"The node's token is no secret: it must be at least {SHORTEST_SECRET} letters and digits.",
                hint="Copy [remote] token from the control plane.",
            )
        self._instead_of = fingerprint(self.secret)
        self._read()
        hide(self.secret)

    def __repr__(self) -> str:
        return f"Credentials(id={self.id!r})"

    async def renew(self, id: str | None, secret: str) -> bool:
        """From now on, and for later agents, this is who we are; whether that is news. Raises Invalid and RuntimeFailure (disk)."""
        id = self.id if id is None else id
        if not _ID.fullmatch(id) or not _SECRET.fullmatch(secret):
            raise Invalid(f"The token must be an id and a secret of at least {SHORTEST_SECRET} letters and digits.")
        if (id, secret) == (self.id, self.secret):
            return False
        hide(secret)
        try:
            await asyncio.to_thread(self._write, id, secret)
        except OSError as error:
            raise RuntimeFailure(f"The new token cannot be kept: {error.strerror}.", hint="Look at the node's disk.") from error
        self.id, self.secret = id, secret
        return True

    def _read(self) -> None:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            if kept["instead_of"] == self._instead_of and _ID.fullmatch(kept["id"]) and _SECRET.fullmatch(kept["secret"]):
                self.id, self.secret = kept["id"], kept["secret"]
        except (OSError, ValueError, LookupError, TypeError):
            return

    def _write(self, id: str, secret: str) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"id": id, "secret": secret, "instead_of": self._instead_of}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)
