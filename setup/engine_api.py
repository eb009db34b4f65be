"""A small client of the Docker Engine's HTTP API: enough to find an engine, prepare images and clean up after ourselves.

Uses the standard library alone and needs no `docker` command, because set-up runs before anything is installed. The agent has its own
way to Docker (agent/runtime); this one must never touch a game server that a person runs.
"""

import http.client
import json
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO


class EngineError(Exception):
    """The engine refused or could not be reached; the message is the engine's own."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.path)
        except OSError:
            self.sock.close()
            raise


class EngineApi:
    """One engine at a `unix://` or `tcp://` address (TLS for `https://`), one connection per request."""

    def __init__(self, host: str) -> None:
        self.host = host

    def ping(self, timeout: float = 3.0) -> str | None:
        """The engine's version, or None when nothing answers there within `timeout` seconds."""
        try:
            return str(self.json("GET", "/version", timeout=timeout)["Version"])
        except (EngineError, KeyError, ValueError):
            return None

    def json(self, method: str, path: str, body: object = None, timeout: float = 30.0) -> Any:
        """Call and decode; None for an empty answer. Raises EngineError for a refusal or a dead engine."""
        data = None if body is None else json.dumps(body).encode()
        connection, response = self._call(method, path, data, {"Content-Type": "application/json"}, timeout)
        try:
            text = response.read()
        except OSError as error:
            raise EngineError(f"The engine at {self.host} stopped answering: {error}") from error
        finally:
            connection.close()
        if response.status >= 400:
            raise EngineError(_message(text), response.status)
        return json.loads(text) if text.strip() else None

    def events(
        self, method: str, path: str, body: BinaryIO | bytes | None = None, headers: Mapping[str, str] | None = None, timeout: float = 30.0
    ) -> Iterator[dict[str, Any]]:
        """Call something long (pull, build, import) and yield its JSON progress records.

        `timeout` is how long the engine may stay silent, in seconds. Raises EngineError for a refusal and for an `error` record.
        """
        connection, response = self._call(method, path, body, headers or {}, timeout)
        try:
            if response.status >= 400:
                raise EngineError(_message(response.read()), response.status)
            buffer = b""
            while chunk := response.read1(65536):
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in filter(None, map(bytes.strip, lines)):
                    record = json.loads(line)
                    if "error" in record:
                        raise EngineError(str(record["error"]))
                    yield record
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"The engine at {self.host} stopped answering: {error}") from error
        finally:
            connection.close()

    def _call(
        self, method: str, path: str, body: BinaryIO | bytes | None, headers: Mapping[str, str], timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._connection(timeout)
        try:
            connection.request(
                method, path, body=body, headers=dict(headers), encode_chunked=body is not None and not isinstance(body, bytes)
            )
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise EngineError(f"No Docker Engine answers at {self.host}: {error}") from error

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        address = urllib.parse.urlsplit(self.host)
        if address.scheme == "unix":
            return _UnixConnection(address.path, timeout)
        if address.scheme in ("tcp", "http") and address.hostname:
            return http.client.HTTPConnection(address.hostname, address.port or 2375, timeout=timeout)
        if address.scheme == "https" and address.hostname:
            return http.client.HTTPSConnection(
                address.hostname, address.port or 2376, timeout=timeout, context=ssl.create_default_context()
            )
        raise EngineError(f"Cannot use the Docker address '{self.host}': unix:// and tcp:// are understood.")


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace").strip() or "The engine refused without a reason."


def query(**parameters: object) -> str:
    """A query string; dicts and lists become JSON, as the Engine API wants its filters and build arguments."""
    plain = {name: json.dumps(value) if isinstance(value, dict | list) else str(value) for name, value in parameters.items()}
    return "?" + urllib.parse.urlencode(plain)


def socket_exists(host: str) -> bool:
    """False only when `host` is a unix socket that is not there; saves a time-out."""
    address = urllib.parse.urlsplit(host)
    return address.scheme != "unix" or Path(address.path).exists()
