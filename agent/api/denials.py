"""Tokens that are no longer good though their time has not run out: revoked ids, revoked users, and all from before this agent's start."""

from datetime import timedelta

from core.clock import Clock, unix
from core.protocol.agent import DenyRequest
from core.protocol.signed import SignedClaims
from core.protocol.socket import SocketClaims

KEPT_SECONDS = 3600
"""Longer than any token lives."""
DRIFT = 0.25
"""Seconds by which the two clocks may part while a token lives: a denial counts for so much longer."""


class Denials:
    """Kept in memory: a restart refuses older tokens anyway.

    Moments are kept by the monotonic clock and told by the wall clock of now: when that is set right, by hours or days, what was ended
    stays ended and what is signed from then on counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._boot = clock.monotonic()
        self._ids: dict[str, float] = {}
        self._users: dict[tuple[str, str], float] = {}

    def deny(self, request: DenyRequest) -> None:
        self._forget()
        for jti in request.jtis:
            self._ids[jti] = self._clock.monotonic()

    def deny_user(self, user: str, servers: list[str]) -> None:
        """On these servers, or on all of the node when none is named."""
        self._forget()
        for server in servers or [""]:
            self._users[user, server] = self._clock.monotonic()

    def _forget(self) -> None:
        """What no token that still lives can be older than."""
        oldest = self._clock.monotonic() - KEPT_SECONDS
        self._ids = {key: moment for key, moment in self._ids.items() if moment >= oldest}
        self._users = {key: moment for key, moment in self._users.items() if moment >= oldest}

    def _told(self, moment: float) -> int:
        """A moment of the monotonic clock in seconds since 1970, as the wall clock has it now."""
        return unix(self._clock.now() - timedelta(seconds=self._clock.monotonic() - moment))

    def denies(self, claims: SocketClaims | SignedClaims) -> bool:
        """Whether the token was made at or before the moment that ended it. `iat` counts whole seconds, hence `<=` (Wings 1.12)."""
        if claims.iat < self._told(self._boot):
            return True
        moments = (
            self._ids.get(claims.jti),
            self._users.get((claims.user_uuid, claims.server_uuid)),
            self._users.get((claims.user_uuid, "")),
        )
        return any(moment is not None and claims.iat <= self._told(moment + DRIFT) for moment in moments)
