"""One SSH connection until its person is known: password or public key, both judged by the control plane.

Every refusal looks the same from outside, whether the name, the server or the secret was wrong.
"""

import base64
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import asyncssh

from agent.sftp.attempts import Attempts
from agent.sftp.grant import Grant
from agent.sftp.session import Session
from core.clock import Clock
from core.errors import AerieError
from core.protocol.remote import SftpAuth, SftpGrant

log = logging.getLogger(__name__)

USERNAME = re.compile(r".+\.[0-9A-Za-z]{8}")
"""Wings' form: a person's name, a dot, the short id of a server."""
MOST_PASSWORDS, MOST_KEYS, MOST_CHANNELS = 6, 20, 10
"""Per connection."""

Judge = Callable[[SftpAuth], Awaitable[SftpGrant | None]]
"""The control plane's answer; None when it refuses."""


class House(Protocol):
    """What a connection needs of the server it came to."""

    attempts: Attempts
    clock: Clock
    judge: Judge

    def enter(self, connection: asyncssh.SSHServerConnection, ip: str, guest: "SignIn") -> bool:
        """Whether there is room for one more from this address."""
        ...

    def leave(self, connection: asyncssh.SSHServerConnection) -> None: ...

    def admit(self, grant: SftpGrant) -> Grant:
        """Raises AerieError when the server is not here or may not be used now."""
        ...

    def open(self, grant: Grant, address: str) -> Session: ...


class SignIn(asyncssh.SSHServer):
    """A connection's owner. Grants are kept by name: only the name that signed in at last opens a session."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._connection: asyncssh.SSHServerConnection | None = None
        self._ip, self._port = "", 0
        self._grants: dict[str, Grant] = {}
        self._keys: dict[tuple[str, bytes], bool] = {}
        self._passwords = 0
        self._channels = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        peer = conn.get_extra_info("peername") or ("", 0)
        self._ip, self._port = str(peer[0]), int(peer[1])
        if not self._house.enter(conn, self._ip, self):
            self._connection = None
            conn.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, "Too many connections from your address.")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._house.leave(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        self._passwords += 1
        if await self._judged("password", username, password):
            self._house.attempts.succeeded(self._ip, username)
            return True
        self._house.attempts.failed(self._ip, username)
        await self._house.clock.sleep(self._house.attempts.delay(self._ip, username))
        if self._passwords >= MOST_PASSWORDS and self._connection is not None:
            self._connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many wrong passwords.")
        return False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Asked for each key that is offered, and again when it signs: the second time the first answer holds."""
        line = key.export_public_key("openssh")
        known = self._keys.get((username, line))
        if known is None and len(self._keys) < MOST_KEYS:
            known = self._keys[username, line] = await self._judged("public_key", username, line.decode())
        return bool(known)

    def forget(self, user: str, servers: Sequence[str]) -> bool:
        """Take back what was granted to a person (or, with an empty uuid, to anybody) on these servers, or on all when none is named.

        Answers whether anything was; without it, a connection that has no session open just now could still open one.
        """
        gone = [name for name, grant in self._grants.items() if user in ("", grant.user) and (not servers or grant.server in servers)]
        for name in gone:
            del self._grants[name]
        self._keys.clear()
        return bool(gone)

    def session_requested(self) -> Session | bool:
        assert self._connection is not None
        grant = self._grants.get(str(self._connection.get_extra_info("username")))
        if grant is None or self._channels >= MOST_CHANNELS:
            return False
        self._channels += 1
        return self._house.open(grant, self._ip)

    async def _judged(self, kind: str, username: str, secret: str) -> bool:
        if not USERNAME.fullmatch(username) or self._house.attempts.exhausted(self._ip, username):
            return False
        version = str(self._connection.get_extra_info("client_version", "")) if self._connection is not None else ""
        wanted = SftpAuth.model_validate(
            {
                "type": kind,
                "username": username,
                "password": secret,
                "ip": f"[{self._ip}]:{self._port}" if ":" in self._ip else f"{self._ip}:{self._port}",
                "client_version": base64.b64encode(version.encode()).decode(),
            }
        )
        try:
            granted = await self._house.judge(wanted)
            if granted is not None:
                self._grants[username] = self._house.admit(granted)
        except AerieError as error:
            log.warning("SFTP sign-in of %r could not be judged: %s", username, error)
            return False
        return granted is not None
