"""Tokens of signed URLs and transfers, and the derived key: what each opens, and what it does not (TOK ids: the security record)."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from core.clock import unix
from core.errors import Unauthenticated
from core.protocol.signed import Purpose
from core.protocol.socket import JWT_EXPIRED
from core.tokens import read_socket_token, read_url_token, sign_socket_token, sign_url_token, user_key

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET = "k" * 64
SERVER = "8d3f01ab-0000-4000-8000-000000000001"
URLS = [purpose for purpose in Purpose if purpose is not Purpose.WEBSOCKET]


def made(purpose: Purpose, *, derived: bool = False) -> str:
    if purpose is Purpose.WEBSOCKET:
        return sign_socket_token(SECRET, server_uuid=SERVER, permissions=["*"], now=NOW, user_uuid="u", derived=derived)
    file = "/server.properties" if purpose is Purpose.FILE_DOWNLOAD else None
    backup = "0f2f7cf0-3f3c-4f7a-8a52-0d2f7d1b2c3d" if purpose is Purpose.BACKUP_DOWNLOAD else None
    return sign_url_token(SECRET, purpose, server_uuid=SERVER, now=NOW, user_uuid="u", file_path=file, backup_uuid=backup, derived=derived)


def opens(purpose: Purpose, token: str, *, unscoped: bool = False) -> bool:
    try:
        if purpose is Purpose.WEBSOCKET:
            read_socket_token(SECRET, token, now=NOW)
        else:
            read_url_token(SECRET, token, purpose, now=NOW, unscoped=unscoped)
    except Unauthenticated:
        return False
    return True


def stripped(token: str, **changes: object) -> str:
    """The same token with claims left out (`...`) or changed, signed again."""
    payload = {**jwt.decode(token, options={"verify_signature": False}), **changes}
    return jwt.encode({name: value for name, value in payload.items() if value is not ...}, SECRET, algorithm="HS256")


def test_tok_1_each_purpose_opens_its_own_door_alone() -> None:
    assert [(made_for, door) for made_for in Purpose for door in Purpose if opens(door, made(made_for))] == [(one, one) for one in Purpose]


def test_tok_1_without_a_purpose_nothing_of_a_url_opens() -> None:
    assert not [(one, door) for one in Purpose for door in URLS if opens(door, stripped(made(one), scope=...))]
    with pytest.raises(Unauthenticated) as refused:
        read_url_token(SECRET, stripped(made(Purpose.FILE_UPLOAD), scope=...), Purpose.FILE_UPLOAD, now=NOW)
    assert "unscoped_tokens" in refused.value.hint


def test_tok_1_old_panels_tokens_are_told_apart_by_what_they_hold() -> None:
    tokens = {one: stripped(made(one), scope=...) for one in Purpose}
    opened = [(one, door) for one, token in tokens.items() for door in URLS if opens(door, token, unscoped=True)]
    assert opened == [(one, one) for one in URLS]


@pytest.mark.parametrize("door", URLS)
@pytest.mark.parametrize("permissions", [["*"], [], {}, "", 0])
def test_tok_1_a_token_with_permissions_is_a_sockets_and_opens_no_url(door: Purpose, permissions: object) -> None:
    assert not opens(door, stripped(made(door), permissions=permissions))
    assert not opens(door, stripped(made(door), permissions=permissions, scope=...), unscoped=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ...},
        {"exp": float(unix(NOW) + 600)},
        {"exp": str(unix(NOW) + 600)},
        {"exp": unix(NOW) + 931},
        {"exp": 10**30},
        {"iat": ...},
        {"iat": None},
        {"iat": unix(NOW) + 31},
        {"iat": unix(NOW) - 86_400},
        {"nbf": unix(NOW) + 31},
        {"unique_id": ...},
        {"unique_id": ""},
        {"unique_id": "x" * 201},
        {"unique_id": 5},
        {"server_uuid": ...},
        {"file_path": ...},
        {"backup_uuid": "b"},
    ],
    ids=str,
)
def test_tok_4_a_url_whose_times_or_claims_are_odd_is_refused(changes: dict[str, object]) -> None:
    assert not opens(Purpose.FILE_DOWNLOAD, stripped(made(Purpose.FILE_DOWNLOAD), **changes))


def test_tok_4_a_url_ends_after_fifteen_minutes() -> None:
    token = made(Purpose.FILE_UPLOAD)
    last = NOW + timedelta(seconds=899)
    assert read_url_token(SECRET, token, Purpose.FILE_UPLOAD, now=last).exp == unix(NOW) + 900
    with pytest.raises(Unauthenticated, match=JWT_EXPIRED):
        read_url_token(SECRET, token, Purpose.FILE_UPLOAD, now=last + timedelta(seconds=1))


def test_a_transfer_names_its_server_in_the_subject() -> None:
    claims = read_url_token(SECRET, made(Purpose.TRANSFER), Purpose.TRANSFER, now=NOW)
    assert (claims.sub, claims.server_uuid) == (SERVER, SERVER)
    only = stripped(made(Purpose.TRANSFER), server_uuid=...)
    assert read_url_token(SECRET, only, Purpose.TRANSFER, now=NOW).server_uuid == SERVER
    assert not opens(Purpose.TRANSFER, stripped(made(Purpose.TRANSFER), server_uuid="another"))


@pytest.mark.parametrize("purpose", Purpose)
def test_tok_11_a_token_of_the_derived_key_opens_what_it_is_for_and_holds_nothing_of_the_secret(purpose: Purpose) -> None:
    token = made(purpose, derived=True)
    assert opens(purpose, token)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_aud": False})


def test_tok_11_in_the_derived_form_alone_the_secret_signs_nothing() -> None:
    for token in (made(Purpose.WEBSOCKET), stripped(made(Purpose.WEBSOCKET))):
        with pytest.raises(Unauthenticated, match="not one of ours"):
            read_socket_token(SECRET, token, now=NOW, shared=False)
    with pytest.raises(Unauthenticated, match="not one of ours"):
        read_url_token(SECRET, made(Purpose.FILE_UPLOAD), Purpose.FILE_UPLOAD, now=NOW, shared=False)
    assert read_socket_token(SECRET, made(Purpose.WEBSOCKET, derived=True), now=NOW, shared=False).server_uuid == SERVER


def test_tok_11_the_derived_key_is_hkdf_and_another_for_each_secret() -> None:
    """Computed beside ours with the cryptography package's HKDF."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    assert user_key(SECRET) == HKDF(SHA256(), 32, salt=None, info=b"aerie/user-tokens/1").derive(SECRET.encode())
    assert user_key(SECRET) != user_key(SECRET + "k")
