"""What the peer of a WebSocket has shown of itself: its token, whether that is still good, and what it permits. Sends nothing."""

from agent.api.denials import Denials
from agent.credentials import Credentials
from core.agent_settings import ApiSection
from core.clock import Clock, unix
from core.errors import Unauthenticated
from core.permissions import CONNECT, allows
from core.protocol.socket import JWT_DENIED, JWT_EXPIRED, JWT_MISSING, JWT_NO_CONNECT, JWT_WRONG_SERVER, SocketClaims
from core.tokens import read_socket_token

JWT_WORDS = frozenset({JWT_EXPIRED, JWT_DENIED, JWT_MISSING, JWT_NO_CONNECT, JWT_WRONG_SERVER})
"""Refusals that go out as `jwt error`; every other one is a `daemon error` (Wings)."""


class Admission:
    """One peer's token. `claims` is None until one was accepted."""

    def __init__(self, server_uuid: str, settings: ApiSection, credentials: Credentials, denials: Denials, clock: Clock) -> None:
        self._server_uuid = server_uuid
        self._settings = settings
        self._credentials = credentials
        self._denials = denials
        self._clock = clock
        self._signed_with = ""
        self.claims: SocketClaims | None = None
        self.user_uuid = ""

    def examine(self, token: str) -> SocketClaims:
        """What a token says, when it opens this server. Raises Unauthenticated; its message may be one of JWT_WORDS."""
        claims = read_socket_token(self._credentials.secret, token, now=self._clock.now(), shared=self._settings.shared_key)
        if self._denials.denies(claims):
            raise Unauthenticated(JWT_DENIED)
        if not allows(claims.permissions, CONNECT):
            raise Unauthenticated(JWT_NO_CONNECT)
        if claims.server_uuid != self._server_uuid:
            raise Unauthenticated(JWT_WRONG_SERVER)
        return claims

    def accept(self, claims: SocketClaims) -> None:
        """From now on this counts, and nothing of an earlier token."""
        self.claims, self._signed_with = claims, self._credentials.secret
        self.user_uuid = claims.user_uuid

    def trouble(self) -> str | None:
        """Why what we hold of the peer's token is no longer good."""
        claims = self.claims
        if claims is None:
            return JWT_MISSING
        if claims.exp <= unix(self._clock.now()):
            return JWT_EXPIRED
        renewed = self._signed_with != self._credentials.secret
        return JWT_DENIED if renewed or self._denials.denies(claims) else None

    def seconds_left(self) -> float:
        """Until the token ends; below zero after it, and for want of one."""
        return self.claims.exp - self._clock.now().timestamp() if self.claims is not None else -1.0

    def may(self, permission: str) -> bool:
        return self.claims is not None and allows(self.claims.permissions, permission)
