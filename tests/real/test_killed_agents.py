"""kill -9 of the agent in every phase of a start, a stop and an installation: the next one puts all of it right."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from setup.engine import PrivateEngine
from tests.real.faults import Program, Scene, own_engine, scene, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with own_engine() as made:
        yield made


@asynccontextmanager
async def reached(it: Scene, agent: Program, uuid: str, phase: str) -> AsyncIterator[None]:
    """The block asks for something; left once that has come to this phase."""
    match phase:
        case "accepted":
            yield
        case "control plane asked":
            it.panel.delay = 0.3  # so that its answer comes too late
            asked = it.asked(f"GET /api/remote/servers/{uuid}")
            yield
            await until(asked, phase)
            it.panel.delay = 0.0
        case "script asked for":
            it.panel.delay = 0.3
            asked = it.asked(f"GET /api/remote/servers/{uuid}/install")
            yield
            await until(asked, phase)
            it.panel.delay = 0.0
        case "not ready" | "saving":
            yield
            word = {"not ready": "loading", "saving": "saving"}[phase]
            async with asyncio.timeout(45):
                while word not in str((await agent.ask("GET", f"/api/servers/{uuid}/logs"))[1]):
                    await asyncio.sleep(0.02)
        case "told":
            it.panel.delay = 0.3
            asked = it.asked(f"POST /api/remote/servers/{uuid}/install")
            yield
            await until(asked, phase)
            it.panel.delay = 0.0
        case _:
            action, _, whose = phase.partition(" ")
            async with it.event(action, f"{uuid}_installer" if whose else uuid) as happened:
                yield
                await happened


@pytest.mark.parametrize("phase", ["accepted", "control plane asked", "create", "attach", "start", "not ready"])
async def test_a_start_goes_on(engine: PrivateEngine, tmp_path: Path, phase: str) -> None:
    async with scene(engine, tmp_path) as it:
        uuid = it.make()
        slow = it.place(uuid) / "slow"
        slow.touch()
        async with it.agent() as agent:
            await agent.up()
            async with reached(it, agent, uuid, phase):
                assert await it.power(agent, uuid, "start") == 202
            agent.kill()
        slow.unlink()
        async with it.agent() as agent:
            await agent.up()
            await it.comes_to(agent, uuid, "running")
            assert await it.power(agent, uuid, "stop") == 202
            await it.comes_to(agent, uuid, "offline")


@pytest.mark.parametrize("phase", ["accepted", "saving", "die"])
async def test_a_stop_goes_on_and_is_no_crash(engine: PrivateEngine, tmp_path: Path, phase: str) -> None:
    async with scene(engine, tmp_path) as it:
        uuid = it.make()
        hold = it.place(uuid) / "hold"
        async with it.agent() as agent:
            await agent.up()
            await it.power(agent, uuid, "start")
            await it.comes_to(agent, uuid, "running")
            if phase == "saving":
                hold.touch()
            async with reached(it, agent, uuid, phase):
                assert await it.power(agent, uuid, "stop") == 202
            agent.kill()
        async with it.agent() as agent:
            await agent.up()
            if phase == "saving":
                await it.comes_to(agent, uuid, "stopping")
                hold.unlink()
            await it.comes_to(agent, uuid, "offline")
            status, told = await agent.ask("GET", f"/api/servers/{uuid}")
            assert status == 200
            assert "crash" not in told["aerie"]["reason"]
            assert await it.power(agent, uuid, "start") == 202
            await it.comes_to(agent, uuid, "running")


async def test_an_agent_killed_while_its_servers_run_leaves_them_running(engine: PrivateEngine, tmp_path: Path) -> None:
    async with scene(engine, tmp_path) as it:
        stays, ends = it.make(), it.make()
        async with it.agent() as agent:
            await agent.up()
            for uuid in (stays, ends):
                await it.power(agent, uuid, "start")
            for uuid in (stays, ends):
                await it.comes_to(agent, uuid, "running")
            before = (await it.docker.containers.container(stays).show())["State"]["Pid"]
            agent.kill()
        await it.docker.containers.container(ends).kill()
        async with it.agent() as agent:
            await agent.up()
            await it.comes_to(agent, ends, "running")  # as after a reboot
            await it.comes_to(agent, stays, "running")
            assert (await it.docker.containers.container(stays).show())["State"]["Pid"] == before


SCRIPT = "echo working; while [ -e /mnt/server/hold ]; do sleep 0.05; done; echo done > /mnt/server/made"


@pytest.mark.parametrize("phase", ["accepted", "script asked for", "create installer", "start installer", "die installer", "told"])
async def test_an_installation_ends_with_one_outcome_and_can_be_repeated(engine: PrivateEngine, tmp_path: Path, phase: str) -> None:
    async with scene(engine, tmp_path) as it:
        uuid = it.make()
        it.panel.scripts[uuid] = SCRIPT
        hold = it.place(uuid) / "hold"
        if phase != "told" and not phase.startswith("die"):
            hold.touch()
        async with it.agent() as agent:
            await agent.up()
            async with reached(it, agent, uuid, phase):
                assert (await agent.ask("POST", f"/api/servers/{uuid}/reinstall"))[0] == 202
            agent.kill()
        hold.unlink(missing_ok=True)
        async with it.agent() as agent:
            await agent.up()
            # one that was killed before it began says nothing of it, and its successor's boot ends the installation (reset)
            await until(lambda: uuid in it.panel.installs or (phase == "accepted" and it.panel.resets > 1), "the outcome is told")
            first = it.panel.installs.get(uuid)
            if first is not None and not first.successful:
                assert "The agent ended" in (first.aerie_reason or "")
            told = len(it.panel.posts)
            assert [one for one in await it.docker.containers.list(all=True) if one["Names"] == [f"/{uuid}_installer"]] == []
            assert list((it.root / "install").glob("*")) == []
            await it.comes_to(agent, uuid, "offline")
            assert (await agent.ask("POST", f"/api/servers/{uuid}/reinstall"))[0] == 202
            await until(lambda: len(it.panel.posts) > told, "the second outcome")
            assert it.panel.installs[uuid].successful, it.panel.installs[uuid]
            assert (it.place(uuid) / "made").exists()
