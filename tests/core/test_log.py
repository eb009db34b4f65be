"""Log lines: whom they are about, and that no secret is in them."""

import io
import logging
from collections.abc import Iterator

import pytest

from core import log


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What goes to standard error after `set_up`; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(log, "_hidden", ())
    log.set_up("INFO")
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_hidden_secret_is_blanked_out_of_messages_and_traces(written: io.StringIO) -> None:
    log.hide("tok-12345678")
    logger = logging.getLogger("test")
    logger.warning("signing in with %s", "tok-12345678")
    try:
        raise ValueError("refused tok-12345678")
    except ValueError:
        logger.exception("it failed")
    text = written.getvalue()
    assert "tok-12345678" not in text
    assert text.count("•••") >= 2
    assert "ValueError" in text


def test_a_secret_inside_a_longer_one_leaves_no_rest(written: io.StringIO) -> None:
    log.hide("password1")
    log.hide("mysql://root:password1@db/aerie")
    logging.getLogger("test").warning("url mysql://root:password1@db/aerie")
    assert "@db/aerie" not in written.getvalue()


def test_short_values_blank_out_no_words(written: io.StringIO) -> None:
    log.hide("")
    log.hide("server")
    logging.getLogger("test").warning("the server is up")
    assert "the server is up" in written.getvalue()


def test_a_line_says_whom_it_is_about(written: io.StringIO) -> None:
    server, request = log.server.set("luanti"), log.request_id.set("r1")
    logging.getLogger("test").warning("first\nsecond")
    log.server.reset(server)
    log.request_id.reset(request)
    first, second = written.getvalue().splitlines()
    assert first.endswith("first [request=r1 server=luanti]")
    assert second == "second"


def test_the_level_holds(written: io.StringIO) -> None:
    logging.getLogger("test").debug("quiet")
    assert written.getvalue() == ""


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer SECRETSECRET.SECRETSECRET",
        "headers {'Authorization': 'Bearer SECRETSECRET'}",
        "Proxy-Authorization: Basic SECRETSECRET==",
        "GET /download/backup?token=SECRETSECRET&x=1",
        'body {"token_id":"abc","token":"SECRETSECRET"}',
        "login {'username': 'a', 'password': 'SECRETSECRET'}",
        "mysql+aiomysql://root:SECRETSECRET@db/aerie",
        "redis://:SECRETSECRET@host/0 is away".replace("://:", "://x:"),
        "frame eyJhbGciOiJIUzI1NiJ9.eyJzZXJ2ZXIiOiJ4In0.SECRETSECRET came",
    ],
)
def test_what_looks_like_a_credential_is_blanked_out_unregistered(written: io.StringIO, line: str) -> None:
    logging.getLogger("test").warning("%s", line)
    assert "SECRETSECRET" not in written.getvalue()
    assert "•••" in written.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "the node's token is refused: copy it again",
        "GET http://127.0.0.1:8080/api/servers?page=1",
        "a token: nothing",
        "see https://host:8080/path and mail a@b",
        "password=short",
    ],
)
def test_plain_words_are_left_alone(written: io.StringIO, line: str) -> None:
    logging.getLogger("test").warning("%s", line)
    assert line in written.getvalue()
