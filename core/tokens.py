"""Secrets made and read: node credentials, WebSocket JWTs. Nothing here stores or logs them.

A node's credential is `<token_id>.<token>` towards the control plane and `<token>` alone towards the node (Wings). The same
`<token>` is the HS256 key of the JWTs that let people's clients talk to the node.
"""

import hashlib
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from core.clock import unix
from core.errors import Unauthenticated
from core.protocol.socket import JWT_EXPIRED, SocketClaims

_ALPHABET = string.ascii_letters + string.digits

API_IDENTIFIER = 16
API_SECRET = 32
"""Characters of an API key's two halves."""

SOCKET_TOKEN_LIFE = timedelta(minutes=10)
SKEW_SECONDS = 30
"""How far the clock of whoever signs may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class NodeToken:
    """A node's credential: a public id of 16 and a secret of 64 letters and digits; neither holds a dot."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"NodeToken(id={self.id!r})"


def new_node_token() -> NodeToken:
    return NodeToken(_random(16), _random(64))


def new_api_key(prefix: str) -> tuple[str, str]:
    """Identifier (16 characters, `prefix` included) and secret (32) of a key, as the panel makes them; the key is both put together."""
    return prefix + _random(API_IDENTIFIER - len(prefix)), _random(API_SECRET)


def fingerprint(secret: str) -> str:
    """SHA-256 of a random secret, in hex: what is kept of it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_signal_id() -> str:
    """32 hex digits naming one accepted power signal."""
    return secrets.token_hex(16)


def same(left: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return secrets.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def socket_jti(user_id: str, server_uuid: str) -> str:
    """The panel's jti: md5 of user id and server uuid put together; what `ws/deny` revokes."""
    return hashlib.md5(f"{user_id}{server_uuid}".encode(), usedforsecurity=False).hexdigest()


def sign_socket_token(
    secret: str,
    *,
    server_uuid: str,
    permissions: list[str],
    now: datetime,
    user_uuid: str = "",
    user_id: int | None = None,
    issuer: str = "",
    audience: str = "",
) -> str:
    """A WebSocket token as the panel issues it; lives ten minutes."""
    claims = SocketClaims(
        iss=issuer,
        aud=audience,
        jti=socket_jti(str(user_id if user_id is not None else user_uuid), server_uuid),
        iat=unix(now),
        nbf=unix(now) - 300,
        exp=unix(now + SOCKET_TOKEN_LIFE),
        server_uuid=server_uuid,
        user_uuid=user_uuid,
        user_id=user_id,
        unique_id=_random(16),
        permissions=permissions,
        scope="websocket",
    )
    return jwt.encode(claims.model_dump(exclude_none=True), secret, algorithm="HS256")


def read_socket_token(secret: str, token: str, *, now: datetime) -> SocketClaims:
    """Check signature, shape, purpose and times. Raises Unauthenticated; an expired token's message is Wings' own words.

    Panels before 1.12.3 name no purpose in `scope`; their other tokens carry no permissions, so none of them lets anybody connect.
    """
    try:
        payload = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            options={"verify_exp": False, "verify_nbf": False, "verify_aud": False, "verify_iat": False},
        )
        claims = SocketClaims.model_validate(payload)
        if "crit" in jwt.get_unverified_header(token):
            raise jwt.InvalidTokenError("it asks for what we do not know")
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise Unauthenticated("The token of this connection is not one of ours.") from error
    if claims.scope and "websocket" not in claims.scope.split():
        raise Unauthenticated("The token of this connection is not one of ours: it was made for something else.")
    latest, longest = unix(now) + SKEW_SECONDS, SOCKET_TOKEN_LIFE.total_seconds() + SKEW_SECONDS
    if claims.iat > latest or (claims.nbf or 0) > latest or claims.exp - claims.iat > longest:
        raise Unauthenticated("The token of this connection is not one of ours: its times cannot be right.")
    if claims.exp <= unix(now):
        raise Unauthenticated(JWT_EXPIRED)
    return claims


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
