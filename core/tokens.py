"""Secrets made and read: node credentials, JWTs for people. Nothing here stores or logs them.

A node's credential is `<token_id>.<token>` towards the control plane and `<token>` alone towards the node. Wings uses the same `<token>`
as the HS256 key of the JWTs that let people's clients talk to the node. Our own control plane signs for our own agents with a key derived
from it instead (docs/decisions/0009-derived-keys.md), so that no JWT is made with what opens the whole node.
"""

import hashlib
import hmac
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import jwt
from pydantic import BaseModel

from core.clock import unix
from core.errors import Unauthenticated
from core.protocol.signed import Purpose, SignedClaims
from core.protocol.socket import JWT_EXPIRED, SocketClaims

C = TypeVar("C", SocketClaims, SignedClaims)

_ALPHABET = string.ascii_letters + string.digits

API_IDENTIFIER = 16
API_SECRET = 32
"""Characters of an API key's two halves."""

SOCKET_TOKEN_LIFE = timedelta(minutes=10)
SIGNED_LIFE = timedelta(minutes=15)
"""Of a signed URL or a transfer's token (panel)."""
SKEW_SECONDS = 30
"""How far the clock of whoever signs may be ahead of ours."""
_DERIVED_FOR = b"aerie/user-tokens/1"
_FOREIGN = "The token of this connection is not one of ours"


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


def user_key(secret: str) -> bytes:
    """The key of people's JWTs in Aerie's own form: HKDF-SHA256 (RFC 5869) of the node's secret, 32 bytes; there is no way back from it."""
    extracted = hmac.digest(bytes(32), secret.encode("utf-8", "surrogatepass"), "sha256")
    return hmac.digest(extracted, _DERIVED_FOR + b"\x01", "sha256")


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
    derived: bool = False,
) -> str:
    """A WebSocket token as the panel issues it; lives ten minutes. `derived` is for agents that said they take it."""
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
        scope=Purpose.WEBSOCKET.value,
    )
    return _signed(claims, secret, derived)


def sign_url_token(
    secret: str,
    purpose: Purpose,
    *,
    server_uuid: str,
    now: datetime,
    user_uuid: str = "",
    user_id: int | None = None,
    file_path: str | None = None,
    backup_uuid: str | None = None,
    issuer: str = "",
    audience: str = "",
    derived: bool = False,
) -> str:
    """The token of a URL that opens one thing once, or of a transfer; lives fifteen minutes (panel)."""
    transfer = purpose is Purpose.TRANSFER
    claims = SignedClaims(
        iss=issuer,
        aud=audience,
        sub=server_uuid if transfer else "",
        jti=hashlib.sha256(server_uuid.encode()).hexdigest()
        if transfer
        else socket_jti(str(user_id if user_id is not None else user_uuid), server_uuid),
        iat=unix(now),
        nbf=unix(now) - 300,
        exp=unix(now + SIGNED_LIFE),
        server_uuid=server_uuid,
        user_uuid=user_uuid,
        user_id=user_id,
        unique_id=_random(16),
        file_path=file_path,
        backup_uuid=backup_uuid,
        scope=purpose.value,
    )
    return _signed(claims, secret, derived)


def read_socket_token(secret: str, token: str, *, now: datetime, shared: bool = True) -> SocketClaims:
    """Check signature, shape, purpose and times. Raises Unauthenticated; an expired token's message is Wings' own words.

    Without `shared` only tokens signed with the derived key are good. Panels before 1.12.3 name no purpose in `scope`; their other tokens
    carry no permissions, so none of them lets anybody connect.
    """
    claims = _verified(SocketClaims, secret, token, shared)
    if claims.scope and Purpose.WEBSOCKET not in claims.scope.split():
        raise Unauthenticated(f"{_FOREIGN}: it was made for something else.")
    return _timely(claims, SOCKET_TOKEN_LIFE, now)


def read_url_token(
    secret: str, token: str, purpose: Purpose, *, now: datetime, shared: bool = True, unscoped: bool = False
) -> SignedClaims:
    """As `read_socket_token`, for a signed URL or a transfer. Whether it was used before is not asked here.

    `unscoped` lets tokens of panels before 1.12.3 pass, which name no purpose and are told apart by what they hold.
    """
    claims = _verified(SignedClaims, secret, token, shared)
    named = purpose in claims.scope.split() if claims.scope else unscoped
    if not named or not claims.shaped_for(purpose):
        raise Unauthenticated(
            f"{_FOREIGN}: it was made for something else, or does not say for what.",
            hint="" if claims.scope else "A panel before 1.12.3 needs [api] unscoped_tokens on its nodes.",
        )
    return _timely(claims, SIGNED_LIFE, now)


def _signed(claims: BaseModel, secret: str, derived: bool) -> str:
    return jwt.encode(claims.model_dump(exclude_none=True), user_key(secret) if derived else secret, algorithm="HS256")


def _verified(kind: type[C], secret: str, token: str, shared: bool) -> C:
    keys: list[str | bytes] = [user_key(secret), secret] if shared else [user_key(secret)]
    options: jwt.types.Options = {"verify_exp": False, "verify_nbf": False, "verify_aud": False, "verify_iat": False, "verify_sub": False}
    for key in keys:
        try:
            payload = jwt.decode(token, key, algorithms=["HS256"], options=options)
            if "crit" in jwt.get_unverified_header(token):
                raise jwt.InvalidTokenError("it asks for what we do not know")
            return kind.model_validate(payload)
        except jwt.InvalidSignatureError as error:
            if key is keys[-1]:
                raise Unauthenticated(f"{_FOREIGN}.") from error
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise Unauthenticated(f"{_FOREIGN}.") from error
    raise AssertionError("there is always a key")


def _timely(claims: C, life: timedelta, now: datetime) -> C:
    latest, longest = unix(now) + SKEW_SECONDS, life.total_seconds() + SKEW_SECONDS
    if claims.iat > latest or (claims.nbf or 0) > latest or claims.exp - claims.iat > longest:
        raise Unauthenticated(f"{_FOREIGN}: its times cannot be right.")
    if claims.exp <= unix(now):
        raise Unauthenticated(JWT_EXPIRED)
    return claims


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
