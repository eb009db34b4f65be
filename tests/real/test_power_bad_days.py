"""Power on a real engine on bad days: a storm of signals, memory that runs out, a disk that is full."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.vocabulary import PowerPhase, PowerSignal, ServerState
from setup.engine import PrivateEngine
from tests.real.faults import Program, own_engine, scene
from tests.real.test_docker_runtime import Stage, config, image, make, until
from tests.signal_suite import holds, storm

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

__all__ = ["config", "image", "make"]  # fixtures


async def test_a_thousand_signals_from_ten_clients(make: Callable[..., Stage]) -> None:
    stage = make()
    found = await storm(stage.server, stage.runtime, signals=1000, seed=11, pause=0.3)
    await holds(found, stage.server, stage.runtime)


async def test_memory_that_runs_out_is_told_from_other_crashes(make: Callable[..., Stage]) -> None:
    stage = make(
        build={"memory_limit": 32, "swap": 0, "oom_disabled": False},
        invocation="bash /home/container/hungry.sh",
        crash_detection_enabled=True,
        aerie_crash={"restarts": 0},
    )
    (stage.config.system.data / stage.uuid / "hungry.sh").write_text("echo ready; echo the last words; read line; exec tail /dev/zero")
    assert (await stage.does(PowerSignal.START)).phase is PowerPhase.DONE
    await stage.server.command("eat")
    await until(lambda: stage.server.crash is not None, within=60)
    crash = stage.server.crash
    assert crash is not None
    assert (crash.oom_killed, crash.signal, crash.exit_code, crash.restarting) == (True, "SIGKILL", 137, False)
    assert "the last words" in crash.lines
    assert "out of memory" in crash.reason
    assert stage.server.state is ServerState.OFFLINE


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with own_engine() as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path, engine: PrivateEngine) -> Iterator[Path]:
    """A filesystem of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", str(place)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(folder: Path) -> Path:
    """Leave not one byte."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(4096))
    return file


async def test_a_full_disk_stops_neither_the_agent_nor_its_signals(engine: PrivateEngine, tmp_path: Path, small_disk: Path) -> None:
    async with scene(engine, tmp_path) as it:
        it.root = small_disk
        it.data = tmp_path / "volumes"  # only the agent's own files are on the full disk
        uuid, other = it.make(), it.make()
        states = small_disk / "states.json"
        async with it.agent() as agent:
            await agent.up()
            await it.power(agent, uuid, "start")
            await it.comes_to(agent, uuid, "running")
            filler = fill(small_disk)
            assert await it.power(agent, other, "start") == 202
            await _until_told(agent, other, lambda told: "disk is full" in told["reason"])
            await it.comes_to(agent, other, "offline")
            assert await it.power(agent, uuid, "stop") == 202
            await it.comes_to(agent, uuid, "offline")
            assert (await agent.ask("POST", f"/api/servers/{uuid}/reinstall"))[0] == 202
            await _until_told(agent, uuid, lambda told: not told["installing"])
            json.loads(states.read_text())  # never half written
            assert agent.child.returncode is None
            filler.unlink()
            async with asyncio.timeout(60):
                while uuid not in it.panel.installs:  # the outcome was not forgotten
                    await asyncio.sleep(0.05)
            assert await it.power(agent, uuid, "start") == 202
            await it.comes_to(agent, uuid, "running")
            async with asyncio.timeout(45):
                while json.loads(states.read_text())[uuid]["state"] != "running":
                    await asyncio.sleep(0.05)
            fill(small_disk)
            agent.kill()
        json.loads(states.read_text())
        async with it.agent() as agent:  # still full
            await agent.up()
            await it.comes_to(agent, uuid, "running")


async def _until_told(agent: Program, uuid: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the agent describes the server so."""
    told: dict[str, Any] = {}
    try:
        async with asyncio.timeout(45):
            while True:
                told = (await agent.ask("GET", f"/api/servers/{uuid}"))[1]["aerie"]
                if holds(told):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it never came to that: {told}") from None
