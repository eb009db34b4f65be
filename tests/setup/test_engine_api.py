"""The small engine client against a server that answers as Docker does, and against rude ones."""

import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from setup.engine_api import EngineApi, EngineError


class _Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[str, tuple[int, bytes]]] = {
        "/version": (200, b'{"Version": "28.0"}'),
        "/gone": (404, b'{"message": "No such container"}'),
        "/page": (502, b"<html>Bad gateway</html>"),
        "/pull": (200, b'{"status": "one"}\r\n{"status": "two"}\r\n'),
        "/broken-pull": (200, b'{"status": "one"}\n{"error": "no space left on device"}\n'),
    }

    def do_GET(self) -> None:
        status, body = self.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def api() -> Iterator[EngineApi]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield EngineApi(f"tcp://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_an_engine_tells_its_version(api: EngineApi) -> None:
    assert api.ping() == "28.0"


def test_nobody_there_means_no_version() -> None:
    assert EngineApi("tcp://127.0.0.1:1").ping() is None
    assert EngineApi("unix:///nowhere/docker.sock").ping() is None


def test_a_refusal_carries_the_engines_words_and_status(api: EngineApi) -> None:
    with pytest.raises(EngineError, match="No such container") as caught:
        api.json("GET", "/gone")
    assert caught.value.status == 404


def test_an_answer_that_is_not_json_is_shown_as_it_is(api: EngineApi) -> None:
    with pytest.raises(EngineError, match="Bad gateway"):
        api.json("GET", "/page")


def test_progress_records_come_one_by_one(api: EngineApi) -> None:
    assert [record["status"] for record in api.events("POST", "/pull")] == ["one", "two"]


def test_an_error_record_in_the_middle_is_raised(api: EngineApi) -> None:
    with pytest.raises(EngineError, match="no space left"):
        list(api.events("POST", "/broken-pull"))


def test_an_unknown_kind_of_address_is_named() -> None:
    with pytest.raises(EngineError, match="ssh://far"):
        EngineApi("ssh://far").json("GET", "/version")
