"""The demo's ground on a real engine: prepared, given up without a trace, and swept after a demo that was killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import cast
from demo.folder import Folder
from demo.run import performing, suggestions
from demo.stage import Stage, network_of, staged
from sandbox.person import Person
from setup.engine_api import EngineApi, EngineError, query
from setup.processes import started_at

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

TREE = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def any_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests run beside these: no port is preferred."""
    monkeypatch.setattr(cast, "ports", lambda named=cast.ports: dict.fromkeys(named(), 0))


def _play(stage: Stage, game: str) -> int:
    """Start a container as the agent would name it; its host process."""
    name = stage.remembered.servers[game]
    image = f"aerie-demo/{game}"
    tag = next(tag for item in stage.api.json("GET", "/images/json") for tag in item["RepoTags"] or [] if tag.startswith(image))
    startup = "freeciv-server --Announce none --port 5556"
    body = {"Image": tag, "Tty": True, "OpenStdin": True, "Env": [f"STARTUP={startup}"], "HostConfig": {"NetworkMode": "none"}}
    stage.api.json("POST", f"/containers/create{query(name=name)}", body)
    stage.api.json("POST", f"/containers/{name}/start")
    return stage.host_pid(game)


def _exists(host: str, name: str) -> bool:
    try:
        EngineApi(host).json("GET", f"/containers/{name}/json")
    except EngineError as error:
        assert error.status == 404
        return False
    return True


async def test_the_stage_is_left_without_containers(docker_host: str, tmp_path: Path) -> None:
    async with staged(tmp_path, tmp_path / "engine") as stage:
        pid = _play(stage, "freeciv")
        assert started_at(pid) is not None
        assert json.loads(stage.seed.read_text())["application"]["token"] == stage.remembered.secrets["bot_token"]
    assert not _exists(docker_host, stage.remembered.servers["freeciv"])


async def test_what_a_killed_demo_left_is_swept_and_its_servers_are_kept(docker_host: str, tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib, time\n"
        f"sys.path[:0] = [{str(TREE)!r}, {str(Path(__file__).parent)!r}]\n"
        "from demo import cast\n"
        "from demo.stage import staged\n"
        "named = cast.ports; cast.ports = lambda: dict.fromkeys(named(), 0)\n"
        "from test_demo_stage import _play\n"
        "async def main():\n"
        f"    async with staged(pathlib.Path({str(tmp_path)!r}), pathlib.Path({str(tmp_path / 'engine')!r})) as stage:\n"
        "        _play(stage, 'freeciv'); print('playing', flush=True); time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, "DOCKER_HOST": docker_host}
    )
    assert killed.stdout is not None
    lines = iter(killed.stdout.readline, "")
    assert "playing\n" in lines
    killed.send_signal(signal.SIGKILL)
    await asyncio.to_thread(killed.wait)
    killed.stdout.close()
    server = json.loads((tmp_path / "demo.json").read_text())["servers"]["freeciv"]
    assert _exists(docker_host, server)
    async with staged(tmp_path, tmp_path / "engine") as stage:
        assert stage.remembered.servers["freeciv"] == server
        assert not _exists(docker_host, server)


async def test_the_network_of_a_killed_demo_goes_even_when_all_is_forgotten(docker_host: str, tmp_path: Path) -> None:
    folder, api = Folder(tmp_path), EngineApi(docker_host)
    name = network_of(folder.remember())
    api.json("POST", "/networks/create", {"Name": name, "Driver": "bridge", "Internal": True})
    beside = {"Name": f"{name}_beside", "Driver": "bridge", "Internal": True, "Labels": {"dev.aerie.beside": name}}
    api.json("POST", "/networks/create", beside)
    async with staged(tmp_path, tmp_path / "engine", fresh=True) as stage:
        assert stage.network != name
        assert not {name, f"{name}_beside"} & {network["Name"] for network in api.json("GET", "/networks")}


async def test_the_demo_comes_up_with_two_nodes_and_three_servers_that_can_be_started(tmp_path: Path) -> None:
    async with staged(tmp_path, tmp_path / "engine", docker=False) as stage, performing(stage) as play:
        async with Person.connect(play.address, "Ada") as ada:
            await ada.wait_until(lambda: any(command["name"] == "node" for command in ada.commands), 60, what="the commands")
            for number in range(30):
                shown = await ada.answer(await ada.run("node list", "status" if number % 2 else "general"), timeout=30)
                if ada.text_of(shown).count("🟢 answers") == len(cast.NODES):
                    break
            else:
                pytest.fail(f"the nodes do not answer: {ada.text_of(shown)}")
            listed = ada.text_of(await ada.answer(await ada.run("server list", "general"), timeout=30))
            assert all(server in listed for server in cast.SERVERS)
            started = await ada.run("server start", "general", server="aliens")
            await ada.answer(started, lambda message: "running" in ada.text_of(message), timeout=60)
        lines = "\n".join(suggestions(stage))
        assert f"/webhooks/{stage.folder.webhook.read_text()}" in lines
        assert f"sftp -P {stage.remembered.ports['sftp-attic']}" in lines
    assert not list((tmp_path / "processes").glob("*.json"))
