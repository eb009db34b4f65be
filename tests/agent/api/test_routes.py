"""The agent's HTTP API answers as Wings does, route by route."""

import asyncio
import io
from uuid import uuid4

import aiohttp

from core.protocol.agent import SIGNAL_HEADER, ServerDescription, SystemV1, SystemV2
from core.vocabulary import ServerState
from tests.agent.api.conftest import Bench, settings


async def _until(bench: Bench, state: ServerState) -> None:
    async with asyncio.timeout(15):
        while bench.agent.manager.get(bench.uuid).state is not state:
            await asyncio.sleep(0.02)


async def test_without_a_bearer_it_is_401_and_with_a_wrong_one_403(bench: Bench) -> None:
    async with aiohttp.ClientSession(bench.agent.url) as stranger:
        async with stranger.get("/api/system") as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert (await answer.json())["error"]
        for scheme, token, status in (("Bearer", "wrong", 403), ("bearer", bench.panel.token.secret, 401), ("Bearer", "", 401)):
            async with stranger.get("/api/servers", headers={"Authorization": f"{scheme} {token}"}) as answer:
                assert answer.status == status


async def test_every_answer_bears_a_request_id(bench: Bench) -> None:
    async with bench.http.get("/api/servers/nobody") as answer:
        body = await answer.json()
        assert answer.status == 404
        assert body["request_id"] == answer.headers["X-Request-Id"]


async def test_unknown_paths_and_methods_are_404(bench: Bench) -> None:
    for method, path in (("GET", "/api/nonsense"), ("PATCH", "/api/system")):
        async with bench.http.request(method, path) as answer:
            assert answer.status == 404


async def test_system_speaks_both_forms(bench: Bench) -> None:
    async with bench.http.get("/api/system") as answer:
        assert answer.content_type == "application/json"
        assert SystemV1.model_validate(await answer.json()).cpu_count > 0
    async with bench.http.get("/api/system?v=2") as answer:
        assert SystemV2.model_validate(await answer.json()).system.cpu_threads > 0


async def test_an_update_of_our_own_settings_is_not_applied_and_says_so(bench: Bench) -> None:
    async with bench.http.post("/api/update", json={"system": {"data": "/etc"}}) as answer:
        assert (answer.status, await answer.json()) == (200, {"applied": False})


async def test_servers_are_listed_as_a_bare_array(bench: Bench) -> None:
    async with bench.http.get("/api/servers") as answer:
        (one,) = await answer.json()
    assert ServerDescription.model_validate(one).state is ServerState.OFFLINE
    assert one["configuration"]["uuid"] == bench.uuid


async def test_a_server_starts_takes_a_command_and_stops(bench: Bench) -> None:
    async with bench.http.post(bench.path("/power"), json={"action": "start"}) as answer:
        assert (answer.status, await answer.read()) == (202, b"")
        assert len(answer.headers[SIGNAL_HEADER]) == 32
    await _until(bench, ServerState.RUNNING)
    async with bench.http.post(bench.path("/commands"), json={"commands": ["help"]}) as answer:
        assert answer.status == 204
    async with bench.http.get(bench.path("/logs?size=50")) as answer:
        assert any("listening on" in line for line in (await answer.json())["data"])
    async with bench.http.post(bench.path("/power"), json={"action": "stop"}) as answer:
        assert answer.status == 202
    await _until(bench, ServerState.OFFLINE)


async def test_a_signal_that_makes_no_sense_is_refused_at_once(bench: Bench) -> None:
    async with bench.http.post(bench.path("/power"), json={"action": "stop"}) as answer:
        assert answer.status == 409
        assert "already offline" in (await answer.json())["error"]
    async with bench.http.post(bench.path("/power"), json={"action": "explode"}) as answer:
        assert answer.status == 422
    for body in (b"", b"{"):
        async with bench.http.post(bench.path("/power"), data=body) as answer:
            assert answer.status == 400


async def test_commands_to_an_offline_server_are_502(bench: Bench) -> None:
    async with bench.http.post(bench.path("/commands"), json={"commands": ["help"]}) as answer:
        assert answer.status == 502


async def test_a_suspended_server_does_not_start(bench: Bench) -> None:
    bench.panel.servers[bench.uuid] = settings(bench.uuid, suspended=True)
    async with bench.http.post(bench.path("/sync")) as answer:
        assert answer.status == 204
    async with bench.http.post(bench.path("/power"), json={"action": "start"}) as answer:
        assert answer.status == 400


async def test_a_new_server_is_fetched_installed_reported_and_started(bench: Bench) -> None:
    uuid = str(uuid4())
    bench.panel.servers[uuid] = settings(uuid)
    for _ in range(2):  # asked twice, it is made once
        async with bench.http.post("/api/servers", json={"uuid": uuid, "start_on_completion": True}) as answer:
            assert (answer.status, await answer.read()) == (202, b"")
    async with asyncio.timeout(15):
        while bench.agent.manager.get(uuid).state is not ServerState.RUNNING:
            await asyncio.sleep(0.02)
    assert bench.panel.installs[uuid].successful
    assert len(bench.agent.manager.all()) == 2


async def test_an_egg_with_a_script_is_reported_as_not_installed(bench: Bench) -> None:
    uuid = str(uuid4())
    bench.panel.servers[uuid] = settings(uuid)
    bench.panel.servers[uuid].settings.skip_egg_scripts = False
    bench.panel.scripts[uuid] = "#!/bin/bash\necho hello"
    async with bench.http.post("/api/servers", json={"uuid": uuid}) as answer:
        assert answer.status == 202
    async with asyncio.timeout(5):
        while uuid not in bench.panel.installs:
            await asyncio.sleep(0.02)
    assert not bench.panel.installs[uuid].successful


async def test_creating_asks_for_a_version_4_uuid_that_the_panel_knows(bench: Bench) -> None:
    async with bench.http.post("/api/servers", json={"uuid": "../../etc"}) as answer:
        assert answer.status == 422
    async with bench.http.post("/api/servers", json={"uuid": str(uuid4())}) as answer:
        assert answer.status == 404


async def test_a_deleted_server_is_gone_with_its_files(bench: Bench) -> None:
    folder = bench.agent.manager.get(bench.uuid).folder
    folder.mkdir(parents=True)
    async with bench.http.delete(bench.path()) as answer:
        assert answer.status == 204
    async with bench.http.get(bench.path()) as answer:
        assert answer.status == 404
    async with asyncio.timeout(5):
        while folder.exists():
            await asyncio.sleep(0.02)


async def test_a_huge_body_is_refused(bench: Bench) -> None:
    async with bench.http.post(bench.path("/commands"), data=io.BytesIO(b"x" * (2 * 1024 * 1024))) as answer:
        assert answer.status == 413
