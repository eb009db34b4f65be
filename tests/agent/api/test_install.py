"""Installations asked for over the agent's API and told to the control plane: done, failed with a reason, ended, left half done."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from agent import app
from agent.app import Agent, running
from agent.runtime.runtime import Runtime
from agent.server.standing import DaemonNotice
from core.clock import Clock
from core.config import AgentConfig
from core.protocol.remote import InstallReport
from core.protocol.settings import ServerConfiguration
from core.protocol.socket import Outbound
from core.tokens import new_node_token
from core.vocabulary import PowerSignal, ServerState
from tests.agent.api.conftest import config, settings
from tests.fakes.panel import Panel, standing
from tests.fakes.runtime import ScriptRuntime


def scripted(uuid: str, **more: object) -> ServerConfiguration:
    made = settings(uuid)
    return made.model_copy(update={"settings": made.settings.model_copy(update={"skip_egg_scripts": False, **more})})


class Stage:
    """An agent that runs scripts, and its panel."""

    def __init__(self, panel: Panel, agent: Agent, http: aiohttp.ClientSession, folder: Path) -> None:
        self.panel, self.agent, self.http, self.folder = panel, agent, http, folder
        self.uuid = str(uuid4())
        panel.image = "~scripts:1"
        panel.servers[self.uuid] = scripted(self.uuid)

    async def post(self, rest: str, **body: object) -> int:
        async with self.http.post(f"/api/servers/{self.uuid}{rest}", json=body or None) as answer:
            return answer.status

    async def create(self, script: str, *, start: bool = False) -> int:
        self.panel.scripts[self.uuid] = script
        async with self.http.post("/api/servers", json={"uuid": self.uuid, "start_on_completion": start}) as answer:
            return answer.status

    async def report(self, number: int = 1) -> InstallReport:
        """The so-manyeth report, once it has come."""
        await until(lambda: len(self.panel.posts) >= number)
        return InstallReport.model_validate(self.panel.posts[number - 1][1])

    @property
    def installing(self) -> bool:
        return self.agent.manager.get(self.uuid).end_installation is not None

    def log(self, suffix: str = "") -> str:
        return (self.folder / "logs" / "install" / f"{self.uuid}.log{suffix}").read_text()


async def until(holds: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.01)


def scripts_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(config: AgentConfig, clock: Clock) -> Runtime:
        return ScriptRuntime(config, clock)

    monkeypatch.setattr(app, "_runtime", made)


@asynccontextmanager
async def staged(panel: Panel, folder: Path, **install: object) -> AsyncIterator[Stage]:
    wanted = config(panel, folder)
    wanted = wanted.model_copy(update={"install": wanted.install.model_copy(update=install)})
    async with running(wanted) as agent:
        headers = {"Authorization": f"Bearer {panel.token.secret}"}
        async with aiohttp.ClientSession(agent.url, headers=headers) as http:
            yield Stage(panel, agent, http, folder)


@pytest.fixture
async def panel(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Panel]:
    scripts_run(monkeypatch)
    async with standing(new_node_token()) as made:
        yield made


@pytest.fixture
async def stage(panel: Panel, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(panel, tmp_path) as made:
        yield made


async def test_a_script_that_succeeds_is_reported_and_its_server_started_if_that_was_wished(stage: Stage) -> None:
    stage.panel.servers[stage.uuid] = scripted(stage.uuid, environment={"LEVEL": "7", "RCON_PASSWORD": "swordfish"})
    assert await stage.create('echo "level $LEVEL, $RCON_PASSWORD" | tee found', start=True) == 202
    assert await stage.report() == InstallReport(successful=True)
    assert (stage.folder / "volumes" / stage.uuid / "found").read_text() == "level 7, swordfish\n"
    await until(lambda: stage.agent.manager.get(stage.uuid).state is ServerState.RUNNING)
    log = stage.log()
    assert "level 7, •••" in log
    assert "RCON_PASSWORD=•••" in log
    assert "swordfish" not in log
    assert log.endswith("The script ended with code 0.\n")
    assert os.stat(stage.folder / "logs" / "install" / f"{stage.uuid}.log").st_mode & 0o077 == 0


async def test_what_it_learned_at_boot_but_never_installed_is_installed_when_asked_for(panel: Panel, tmp_path: Path) -> None:
    uuid = str(uuid4())
    panel.servers[uuid] = scripted(uuid)
    async with staged(panel, tmp_path) as stage:
        stage.uuid = uuid
        assert stage.agent.manager.get(uuid).state is ServerState.OFFLINE
        assert await stage.create("echo once >> found") == 202
        assert (await stage.report()).successful
        await until(lambda: not stage.installing)
        assert await stage.create("echo twice >> found") == 202
        assert not stage.installing
    assert (tmp_path / "volumes" / uuid / "found").read_text() == "once\n"
    assert len(panel.installs) == 1


async def test_nothing_is_installed_before_the_control_plane_heard_of_the_boot(
    panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.manager.RETRY_SECONDS", 0.05)
    uuid = str(uuid4())
    panel.servers[uuid] = scripted(uuid)
    panel.mood["/servers/reset"] = 403
    async with staged(panel, tmp_path):
        pass
    panel.mood["/servers"] = 403
    async with staged(panel, tmp_path) as stage:
        stage.uuid = uuid
        del panel.mood["/servers"]
        assert await stage.create("echo fine > found") == 409
        assert await stage.post("/reinstall") == 409
        assert panel.resets == 0
        del panel.mood["/servers/reset"]
        await until(lambda: panel.resets == 1)

        async def taken() -> bool:
            return await stage.create("echo fine > found") == 202

        async with asyncio.timeout(20):
            while not await taken():
                await asyncio.sleep(0.05)
        assert (await stage.report()).successful
        assert panel.resets == 1


async def test_windows_line_ends_in_a_script_do_no_harm(stage: Stage) -> None:
    await stage.create("set -e\r\necho fine > found\r\n")
    assert (await stage.report()).successful


async def test_a_script_that_fails_says_why_and_can_be_repeated(stage: Stage) -> None:
    await stage.create("echo fetching; echo no such version; exit 3")
    report = await stage.report()
    assert not report.successful
    assert report.aerie_reason is not None
    assert "code 3" in report.aerie_reason
    assert "no such version" in report.aerie_reason
    await until(lambda: not stage.installing)
    async with stage.http.get(f"/api/servers/{stage.uuid}") as answer:
        assert "no such version" in (await answer.json())["aerie"]["reason"]
    assert await stage.create("echo better") == 202
    assert (await stage.report(2)).successful
    assert "no such version" in stage.log(".1")
    assert "better" in stage.log()
    await until(lambda: not stage.installing)
    assert await stage.create("exit 9") == 202, "what is installed is not installed again"
    assert not stage.installing


async def test_a_script_that_takes_too_long_is_ended(panel: Panel, tmp_path: Path) -> None:
    async with staged(panel, tmp_path, timeout=0.5) as stage:
        await stage.create("echo waiting for nobody; sleep 600")
        report = await stage.report()
        assert not report.successful
        assert "its limit" in (report.aerie_reason or "")
        assert "waiting for nobody" in (report.aerie_reason or "")


async def test_a_node_may_be_told_not_to_heed_exit_codes(panel: Panel, tmp_path: Path) -> None:
    async with staged(panel, tmp_path, heed_exit_code=False) as stage:
        await stage.create("exit 3")
        assert (await stage.report()).successful


async def test_a_flood_is_counted_and_cut_in_its_middle(panel: Panel, tmp_path: Path) -> None:
    async with staged(panel, tmp_path, log_size=1) as stage:
        stage.panel.servers[stage.uuid] = scripted(stage.uuid)
        await stage.create("sleep 0.3; seq 1 300000; echo done at last")
        await until(lambda: stage.uuid in {server.uuid for server in stage.agent.manager.all()})
        with stage.agent.manager.get(stage.uuid).events.listen(100_000) as events:
            assert (await stage.report()).successful
            heard = [event for event in await events.drain() if isinstance(event, DaemonNotice)]
            told = [event.text for event in heard if event.event is Outbound.INSTALL_OUTPUT]
        assert len(told) < 30_000
        assert any("lines are left out" in line for line in told)
    log = (tmp_path / "logs" / "install" / f"{stage.uuid}.log").read_text()
    assert len(log) < 2_000_000
    assert "\n1\n2\n" in log
    assert "lines are left out" in log
    assert "300000\ndone at last\n" in log


async def test_power_waits_for_an_installation_and_a_kill_ends_it(stage: Stage) -> None:
    await stage.create("echo working; sleep 600")
    await until(lambda: "working" in stage.log() if stage.installing and list(stage.folder.glob("logs/install/*.log")) else False)
    assert await stage.post("/power", action="start") == 409
    assert await stage.post("/reinstall") == 409
    assert await stage.create("echo another") == 202, "the same wish again is no error"
    assert await stage.post("/power", action="kill") == 202
    report = await stage.report()
    assert not report.successful
    assert "ended it" in (report.aerie_reason or "")
    await until(lambda: not stage.installing)
    assert len(stage.panel.posts) == 1


async def test_deleting_a_server_ends_its_installation_in_silence(stage: Stage) -> None:
    await stage.create("sleep 600")
    await until(lambda: stage.installing)
    async with stage.http.delete(f"/api/servers/{stage.uuid}") as answer:
        assert answer.status == 204
    assert stage.panel.posts == []
    await until(lambda: not (stage.folder / "volumes" / stage.uuid).exists())
    assert list((stage.folder / "install").iterdir()) == []


async def test_a_reinstallation_stops_the_server_first(stage: Stage) -> None:
    await stage.create("echo first")
    await stage.report()
    await until(lambda: not stage.installing)
    server = stage.agent.manager.get(stage.uuid)
    server.power(PowerSignal.START)
    await until(lambda: server.state is ServerState.RUNNING and not server.power_busy)
    stage.panel.scripts[stage.uuid] = "echo second > found"
    assert await stage.post("/reinstall") == 202
    assert await stage.report(2) == InstallReport(successful=True, reinstall=True)
    assert server.state is ServerState.OFFLINE
    assert (server.folder / "found").read_text() == "second\n"


async def test_a_suspended_server_is_not_installed(stage: Stage) -> None:
    await stage.create("echo first")
    await stage.report()
    await until(lambda: not stage.installing)
    stage.panel.servers[stage.uuid] = scripted(stage.uuid, suspended=True)
    assert await stage.post("/sync") == 204
    assert await stage.post("/reinstall") == 409
    assert await stage.post("/install") == 409


async def test_a_script_to_be_skipped_is_not_even_asked_for(stage: Stage) -> None:
    stage.panel.servers[stage.uuid] = settings(stage.uuid)
    await stage.create("exit 1")
    assert (await stage.report()).successful
    assert not any(request.endswith("/install") and request.startswith("GET") for request in stage.panel.requests)


async def test_a_control_plane_that_is_away_hears_the_outcome_later(stage: Stage) -> None:
    path = f"/servers/{stage.uuid}/install"
    await stage.create("sleep 0.5; echo done")
    await until(lambda: any(request.startswith("GET") and request.endswith("/install") for request in stage.panel.requests))
    stage.panel.mood[path] = 503
    await until(lambda: not stage.installing)
    await until(lambda: f"POST /api/remote{path}" in stage.panel.requests)
    assert stage.panel.posts == []
    stage.panel.mood.clear()
    assert (await stage.report()).successful


@pytest.mark.parametrize("answer", ["gone", "suspended"])
async def test_an_installation_that_cannot_begin_is_reported_too(stage: Stage, answer: str) -> None:
    await stage.create("echo first")
    await stage.report()
    await until(lambda: not stage.installing)
    if answer == "gone":
        stage.panel.mood[f"/servers/{stage.uuid}"] = 404
    else:
        stage.panel.servers[stage.uuid] = scripted(stage.uuid, suspended=True)
    assert await stage.post("/reinstall") == 202
    report = await stage.report(2)
    assert not report.successful
    assert report.reinstall


async def test_an_agent_that_ends_in_the_middle_leaves_a_failed_installation(panel: Panel, tmp_path: Path) -> None:
    async with staged(panel, tmp_path) as stage:
        await stage.create("sleep 600")
        await until(lambda: bool(list(tmp_path.glob("logs/install/*.log"))))
    assert panel.posts == []
    async with running(config(panel, tmp_path)) as agent:
        await until(lambda: len(panel.posts) == 1)
        assert "The agent ended" in agent.manager.get(stage.uuid).reason
        assert not panel.installs[stage.uuid].successful
    assert list((tmp_path / "install").iterdir()) == []


async def test_games_as_plain_processes_have_no_scripts_and_say_so(panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    async with staged(panel, tmp_path) as stage:
        await stage.create("echo hello > found")
        assert "needs Docker" in ((await stage.report()).aerie_reason or "")
        assert not (tmp_path / "volumes" / stage.uuid / "found").exists()
