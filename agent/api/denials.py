"""Tokens that are no longer good though their time has not run out: revoked ids, revoked users, and all from before this agent's start."""

from core.clock import Clock, unix
from core.protocol.agent import DenyRequest
from core.protocol.signed import SignedClaims
from core.protocol.socket import SocketClaims

KEPT_SECONDS = 3600
"""Longer than any token lives."""


class Denials:
    """Kept in memory: a restart refuses older tokens anyway."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._boot = unix(clock.now())
        self._ids: dict[str, int] = {}
        self._users: dict[tuple[str, str], int] = {}

    def deny(self, request: DenyRequest) -> None:
        self._forget()
        for jti in request.jtis:
            self._ids[jti] = unix(self._clock.now())

    def deny_user(self, user: str, servers: list[str]) -> None:
        """On these servers, or on all of the node when none is named."""
        self._forget()
        for server in servers or [""]:
            self._users[user, server] = unix(self._clock.now())

    def _forget(self) -> None:
        """What no token that still lives can be older than."""
        oldest = unix(self._clock.now()) - KEPT_SECONDS
        self._ids = {key: moment for key, moment in self._ids.items() if moment >= oldest}
        self._users = {key: moment for key, moment in self._users.items() if moment >= oldest}

    def denies(self, claims: SocketClaims | SignedClaims) -> bool:
        """Whether the token was made at or before the moment that ended it. `iat` counts whole seconds, hence `<=` (Wings 1.12)."""
        if claims.iat < self._boot:
            return True
        moments = (
            self._ids.get(claims.jti),
            self._users.get((claims.user_uuid, claims.server_uuid)),
            self._users.get((claims.user_uuid, "")),
        )
        return any(moment is not None and claims.iat <= moment for moment in moments)
