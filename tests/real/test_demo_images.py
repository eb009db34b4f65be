"""The demo's games run under Wings' container settings: read-only root, no capabilities, a terminal, a foreign user."""

import json
import socket
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup.engine_api import EngineApi, query

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

EGGS = Path(__file__).parents[2] / "demo" / "eggs"


class Console:
    """A hijacked attach connection to a container with a terminal."""

    def __init__(self, host: str, container: str) -> None:
        path = urllib.parse.urlsplit(host).path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(0.5)
        self.socket.connect(path)
        parameters = query(stream=1, stdin=1, stdout=1, stderr=1)
        head = f"POST /containers/{container}/attach{parameters} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        self.socket.sendall(head.encode())
        self.text = ""

    def wait_for(self, text: str, seconds: float = 15.0) -> float:
        """Seconds until the text was seen."""
        started = time.monotonic()
        while text not in self.text:
            assert time.monotonic() - started < seconds, f"{text!r} was not seen in:\n{self.text[-2000:]}"
            try:
                self.text += self.socket.recv(65536).decode(errors="replace")
            except TimeoutError:
                continue
        return time.monotonic() - started

    def type(self, line: str) -> None:
        self.socket.sendall(line.encode() + b"\n")


@pytest.fixture
def start(docker_host: str, demo_images: dict[str, str], tmp_path: Path) -> Iterator[object]:
    api = EngineApi(docker_host)
    made: list[tuple[str, Console]] = []
    if not docker_host.startswith("unix://"):
        pytest.skip("the attach connection of this test speaks to a unix socket")

    def run(game: str) -> tuple[str, Console]:
        egg = json.loads((EGGS / f"{game}.json").read_text())
        home = tmp_path / game
        home.mkdir()
        home.chmod(0o777)
        variables = {variable["env_variable"]: variable["default_value"] for variable in egg["variables"]}
        body = {
            "Image": demo_images[game].removeprefix("~"),
            "User": "988:988",
            "Tty": True,
            "OpenStdin": True,
            "Env": [f"{name}={value}" for name, value in {**variables, "STARTUP": egg["startup"], "SERVER_PORT": "30000"}.items()],
            "HostConfig": {
                "Binds": [f"{home}:/home/container"],
                "Tmpfs": {"/tmp": "rw,exec,nosuid,size=100M"},
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "PidsLimit": 512,
                "Memory": 256_000_000,
                "NetworkMode": "none",
            },
        }
        name = f"aerie-test-{uuid.uuid4().hex[:12]}"
        api.json("POST", f"/containers/create{query(name=name)}", body)
        console = Console(docker_host, name)
        made.append((name, console))
        api.json("POST", f"/containers/{name}/start")
        return name, console

    yield run
    for name, console in made:
        console.socket.close()
        api.json("DELETE", f"/containers/{name}{query(force='true', v='true')}")


def _done(game: str) -> str:
    egg = json.loads((EGGS / f"{game}.json").read_text())
    return str(json.loads(egg["config"]["startup"])["done"])


def test_luanti_is_ready_within_seconds_and_leaves_on_an_interrupt(docker_host: str, start) -> None:  # type: ignore[no-untyped-def]
    name, console = start("luanti")
    assert console.wait_for(_done("luanti")) < 10
    api = EngineApi(docker_host)
    api.json("POST", f"/containers/{name}/kill{query(signal='SIGINT')}")
    assert api.json("POST", f"/containers/{name}/wait")["StatusCode"] == 0


def test_freeciv_obeys_its_console_and_leaves_on_quit(docker_host: str, start) -> None:  # type: ignore[no-untyped-def]
    name, console = start("freeciv")
    assert console.wait_for(_done("freeciv")) < 10
    console.type("set aifill 3")
    console.wait_for("'aifill' has been set to 3")
    console.type("quit")
    assert EngineApi(docker_host).json("POST", f"/containers/{name}/wait")["StatusCode"] == 0
    assert "\x1b[?2004" not in console.text
