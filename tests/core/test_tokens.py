"""Node credentials and WebSocket tokens, as a stock panel issues them and a stock Wings reads them."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from core.clock import unix
from core.errors import Unauthenticated
from core.protocol.socket import JWT_EXPIRED
from core.tokens import (
    NodeToken,
    new_node_token,
    new_signal_id,
    read_socket_token,
    same,
    sign_socket_token,
    socket_jti,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET = "k" * 64
SERVER = "8d3f01ab-0000-4000-8000-000000000001"


def _token(**changes: object) -> str:
    return sign_socket_token(SECRET, server_uuid=SERVER, permissions=["websocket.connect"], now=NOW, user_id=7, **changes)  # type: ignore[arg-type]


def test_a_node_token_has_the_shape_wings_expects() -> None:
    token = new_node_token()
    assert (len(token.id), len(token.secret)) == (16, 64)
    assert (token.id + token.secret).isalnum()
    assert token != new_node_token()


def test_a_node_token_shows_its_id_alone() -> None:
    assert "hidden" not in repr(NodeToken("id", "hidden"))
    assert "hidden" not in f"{NodeToken('id', 'hidden')}"


def test_signal_ids_are_32_hex_digits() -> None:
    assert len(bytes.fromhex(new_signal_id())) == 16


def test_a_signed_token_reads_back() -> None:
    claims = read_socket_token(SECRET, _token(), now=NOW)
    assert claims.server_uuid == SERVER
    assert claims.permissions == ["websocket.connect"]
    assert (claims.iat, claims.exp) == (unix(NOW), unix(NOW) + 600)
    assert claims.scope == "websocket"


def test_times_are_whole_numbers_on_the_wire() -> None:
    payload = jwt.decode(_token(), options={"verify_signature": False})
    assert all(type(payload[name]) is int for name in ("iat", "nbf", "exp"))


def test_the_jti_is_the_panels() -> None:
    assert socket_jti("7", SERVER) == hashlib.md5(f"7{SERVER}".encode()).hexdigest()
    assert read_socket_token(SECRET, _token(), now=NOW).jti == socket_jti("7", SERVER)


def test_two_tokens_of_one_moment_differ() -> None:
    assert _token() != _token()


def test_an_expired_token_is_told_in_wings_words() -> None:
    with pytest.raises(Unauthenticated) as caught:
        read_socket_token(SECRET, _token(), now=NOW + timedelta(minutes=10))
    assert caught.value.message == JWT_EXPIRED


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        jwt.encode({"exp": 9**11, "iat": 1, "server_uuid": SERVER}, "x" * 64, algorithm="HS256"),
        jwt.encode({"exp": 9**11, "iat": 1, "server_uuid": SERVER}, "", algorithm="none"),
        jwt.encode({"exp": 9**11, "iat": 1, "server_uuid": SERVER}, SECRET, algorithm="HS512"),
        jwt.encode({"iat": 1, "server_uuid": SERVER}, SECRET, algorithm="HS256"),
        jwt.encode({"exp": 9**11, "iat": 1}, SECRET, algorithm="HS256"),
        jwt.encode({"exp": 9**11, "iat": 1, "server_uuid": SERVER, "permissions": "*"}, SECRET, algorithm="HS256"),
    ],
    ids=["empty", "nonsense", "other key", "no signature", "other algorithm", "no expiry", "no server", "permissions as text"],
)
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated, match="not one of ours"):
        read_socket_token(SECRET, token, now=NOW)


def test_a_stock_panels_token_is_accepted() -> None:
    payload = {
        "iss": "https://panel.example",
        "aud": ["https://node.example:8080"],
        "jti": socket_jti("1", SERVER),
        "iat": unix(NOW),
        "nbf": unix(NOW) - 300,
        "exp": unix(NOW) + 600,
        "user_uuid": "f00",
        "server_uuid": SERVER,
        "user_id": 1,
        "permissions": ["*", "admin.websocket.errors"],
        "unique_id": "abcdef",
    }
    claims = read_socket_token(SECRET, jwt.encode(payload, SECRET, algorithm="HS256"), now=NOW)
    assert claims.permissions == ["*", "admin.websocket.errors"]


def test_secrets_of_any_letters_can_be_compared() -> None:
    assert same("schlüssel", "schlüssel")
    assert not same("schlüssel", "schlussel")
    assert not same("\udcff", "schlussel")


def _forged(**changes: object) -> str:
    payload = {
        "iat": unix(NOW),
        "nbf": unix(NOW) - 300,
        "exp": unix(NOW) + 600,
        "server_uuid": SERVER,
        "permissions": ["websocket.connect"],
        "scope": "websocket",
        **changes,
    }
    return jwt.encode({name: value for name, value in payload.items() if value is not ...}, SECRET, algorithm="HS256")


@pytest.mark.parametrize("scope", ["file-download", "backup-download", "file-upload", "transfer", "websockets", "file-upload transfer"])
def test_tok_1_a_token_made_for_something_else_opens_no_socket(scope: str) -> None:
    with pytest.raises(Unauthenticated, match="made for something else"):
        read_socket_token(SECRET, _forged(scope=scope), now=NOW)


@pytest.mark.parametrize("scope", ["websocket", "file-upload websocket", "", ...])
def test_tok_1_a_sockets_token_opens_it_and_so_does_one_of_an_older_panel(scope: object) -> None:
    assert read_socket_token(SECRET, _forged(scope=scope), now=NOW).server_uuid == SERVER


@pytest.mark.parametrize(
    "header", [{"crit": ["x"], "x": 1}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"alg": "none"}, {"alg": "RS256"}]
)
def test_tok_3_headers_that_ask_for_more_or_for_another_algorithm_are_refused(header: dict[str, object]) -> None:
    body = {"iat": unix(NOW), "exp": unix(NOW) + 600, "server_uuid": SERVER, "permissions": ["*"]}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256", "typ": "JWT", **header}, body)]
    signed = b".".join(parts)
    mac = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).rstrip(b"=")
    for signature in (mac, b""):
        with pytest.raises(Unauthenticated, match="not one of ours"):
            read_socket_token(SECRET, (signed + b"." + signature).decode(), now=NOW)


def test_tok_3_a_key_named_inside_the_token_is_not_used() -> None:
    for header in ({"kid": "/dev/null"}, {"jku": "https://evil.example"}, {"jwk": {"kty": "oct", "k": "eA"}}):
        payload = {"iat": unix(NOW), "exp": unix(NOW) + 600, "server_uuid": SERVER, "permissions": ["*"]}
        with pytest.raises(Unauthenticated, match="not one of ours"):
            read_socket_token(SECRET, jwt.encode(payload, "x" * 64, algorithm="HS256", headers=header), now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ...},
        {"exp": None},
        {"exp": float(unix(NOW) + 600)},
        {"exp": str(unix(NOW) + 600)},
        {"exp": True},
        {"exp": 10**30},
        {"exp": unix(NOW) + 631},
        {"iat": ...},
        {"iat": str(unix(NOW))},
        {"iat": unix(NOW) + 31, "exp": unix(NOW) + 600},
        {"iat": unix(NOW) - 86_400},
        {"nbf": unix(NOW) + 31},
        {"permissions": None},
        {"permissions": {"*": 1}},
        {"permissions": [["*"]]},
        {"server_uuid": None},
    ],
    ids=str,
)
def test_tok_4_tok_8_times_and_permissions_of_another_shape_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated, match="not one of ours"):
        read_socket_token(SECRET, _forged(**changes), now=NOW)


def test_tok_4_a_clock_that_is_a_little_ahead_is_borne() -> None:
    assert read_socket_token(SECRET, _forged(iat=unix(NOW) + 30, nbf=unix(NOW) + 30, exp=unix(NOW) + 630), now=NOW).exp == unix(NOW) + 630
