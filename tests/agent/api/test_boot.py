"""An agent starts whatever mood its control plane is in, and says what is wrong with its settings."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from agent.app import running
from core.agent_settings import DockerSection
from core.config import AgentConfig, secrets_of
from core.errors import EngineUnreachable, NotConfigured
from core.log import clean
from core.protocol.agent import CreateServer
from core.tokens import new_node_token
from core.vocabulary import PowerSignal, ServerState
from tests.agent.api.conftest import config, settings
from tests.fakes.panel import standing


async def test_it_learns_its_servers_page_by_page_and_skips_what_it_cannot_read(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        panel.broken_entry = True
        for _ in range(7):
            uuid = str(uuid4())
            panel.servers[uuid] = settings(uuid)
        wanted = config(panel, tmp_path)
        paged = wanted.model_copy(update={"remote": wanted.remote.model_copy(update={"boot_servers_per_page": 3})})
        async with running(paged) as agent:
            assert {server.uuid for server in agent.manager.all()} == set(panel.servers)
        assert panel.resets == 1


async def test_it_starts_from_memory_while_the_control_plane_is_away(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        async with running(config(panel, tmp_path)):
            pass
        panel.status = 500
        async with running(config(panel, tmp_path)) as agent:
            assert [server.uuid for server in agent.manager.all()] == [uuid]
    assert (tmp_path / "servers.json").stat().st_mode & 0o077 == 0


async def test_what_was_made_since_it_started_is_remembered_too(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        first, later = str(uuid4()), str(uuid4())
        panel.servers[first] = settings(first)
        async with running(config(panel, tmp_path)) as agent:
            panel.servers[later] = settings(later)
            gone = str(uuid4())
            panel.servers[gone] = settings(gone)
            for uuid in (later, gone):
                await agent.manager.create(CreateServer(uuid=uuid))
            await agent.manager.delete(gone)
        panel.status = 500
        async with running(config(panel, tmp_path)) as agent:
            assert {server.uuid for server in agent.manager.all()} == {first, later}


async def test_a_start_goes_on_with_what_is_remembered_while_the_control_plane_is_away(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        wanted = config(panel, tmp_path)
        async with running(wanted.model_copy(update={"remote": wanted.remote.model_copy(update={"timeout": 0.3})})) as agent:
            panel.status = 500
            server = agent.manager.get(uuid)
            server.power(PowerSignal.START)
            async with asyncio.timeout(30):
                while server.power_busy:
                    await asyncio.sleep(0.02)
            assert server.state is ServerState.RUNNING, server.reason
            assert any("does not answer" in line for line in server.console.history(20))


async def test_a_refused_token_is_told_and_not_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with standing(new_node_token()) as panel:
        panel.status = 403
        async with running(config(panel, tmp_path)):
            assert panel.requests.count("GET /api/remote/servers") == 1
    assert "refuses this node's token" in caplog.text


async def test_spoilt_notes_on_disk_do_not_stop_it(tmp_path: Path) -> None:
    for name, text in (("states.json", "{"), ("servers.json", json.dumps([1]))):
        (tmp_path / name).write_text(text)
    async with standing(new_node_token()) as panel, running(config(panel, tmp_path)) as agent:
        assert agent.manager.all() == []


async def test_a_port_in_use_and_missing_settings_are_one_sentence(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        wanted = config(panel, tmp_path)
        taken = wanted.model_copy(update={"api": wanted.api.model_copy(update={"port": int(panel.url.rsplit(":", 1)[1])})})
        with pytest.raises(NotConfigured, match="cannot listen on"):
            async with running(taken):
                pass
        nameless = wanted.model_copy(update={"remote": wanted.remote.model_copy(update={"url": ""})})
        with pytest.raises(NotConfigured, match="does not know its control plane"):
            async with running(nameless):
                pass


@pytest.mark.parametrize(
    "answer", ["[]", "null", "{}", '{"data": 5, "meta": {}}', "<html>", "\\x00", '{"data": [], "meta": {"last_page": "many"}}']
)
async def test_a_control_plane_that_talks_nonsense_does_not_stop_it(tmp_path: Path, answer: str) -> None:
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        wanted = config(panel, tmp_path)
        hasty = wanted.model_copy(update={"remote": wanted.remote.model_copy(update={"timeout": 0.5})})
        async with running(hasty):
            pass
        panel.rude = answer
        async with running(hasty) as agent:
            assert [server.uuid for server in agent.manager.all()] == [uuid]


@pytest.mark.parametrize("status", [302, 400, 404, 429])
async def test_any_refusal_leaves_it_with_what_it_remembers(tmp_path: Path, status: int) -> None:
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        async with running(config(panel, tmp_path)):
            pass
        panel.status = status
        async with running(config(panel, tmp_path)) as agent:
            assert [server.uuid for server in agent.manager.all()] == [uuid]


@pytest.mark.parametrize("written", [lambda state: {"state": state}, lambda state: state], ids=["by us", "by Wings"])
async def test_servers_that_ran_before_a_reboot_are_started_again_and_others_are_not(
    tmp_path: Path, written: Callable[[str], object]
) -> None:
    async with standing(new_node_token()) as panel:
        ran, stopped, suspended = (str(uuid4()) for _ in range(3))
        for uuid in (ran, stopped, suspended):
            panel.servers[uuid] = settings(uuid, suspended=uuid == suspended)
        states = {ran: written("running"), stopped: written("offline"), suspended: written("running")}
        (tmp_path / "states.json").write_text(json.dumps(states))
        async with running(config(panel, tmp_path)) as agent:
            async with asyncio.timeout(30):
                while agent.manager.get(ran).state is not ServerState.RUNNING:
                    await asyncio.sleep(0.02)
            assert agent.manager.get(stopped).state is ServerState.OFFLINE
            assert agent.manager.get(suspended).state is ServerState.OFFLINE


@pytest.mark.parametrize("own", ["volumes", "volumes/agent", "link"])
async def test_cfg_2_the_agents_own_folder_may_not_lie_among_the_servers_files(tmp_path: Path, own: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "volumes")
    async with standing(new_node_token()) as panel:
        wanted = config(panel, tmp_path)
        system = wanted.system.model_copy(update={"root_directory": tmp_path / own})
        with pytest.raises(NotConfigured, match="lies among the servers' files"):
            async with running(wanted.model_copy(update={"system": system})):
                pass


async def test_every_secret_of_the_settings_is_kept_out_of_the_log(tmp_path: Path) -> None:
    wanted = AgentConfig.model_validate({"remote": {"token": "s" * 64}})
    assert list(secrets_of(wanted)) == ["s" * 64]
    async with standing(new_node_token()) as panel, running(config(panel, tmp_path)):
        assert panel.token.secret not in clean(f"it is {panel.token.secret}")


async def test_missing_settings_are_told_before_a_missing_engine(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        wanted = config(panel, tmp_path).model_copy(update={"docker": DockerSection(host=f"unix://{tmp_path}/nobody.sock")})
        with pytest.raises(NotConfigured, match="does not know its control plane") as caught:
            async with running(wanted.model_copy(update={"remote": wanted.remote.model_copy(update={"url": ""})})):
                pass
        assert "aerie agent configure" in caught.value.hint
        with pytest.raises(EngineUnreachable):
            async with running(wanted):
                pass
