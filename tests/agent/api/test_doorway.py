"""Who is let in to the agent's HTTP API, what browsers are told, and what a control plane may change: Wings' rules and their abuse."""

import asyncio
import io
import json
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from agent.api import listening, system
from agent.app import running
from agent.credentials import Credentials
from core.clock import SystemClock
from core.errors import NotConfigured
from core.tokens import NodeToken, new_node_token, sign_socket_token
from core.vocabulary import PowerSignal
from tests.agent.api.conftest import Bench, config, settings
from tests.fakes.panel import Panel, standing


@pytest.fixture
async def stranger(bench: Bench) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(bench.agent.url) as http:
        yield http


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("token", ["x y", "é" * 64, "0" * 64, "a.b", "x" * 5000])
async def test_tok_10_no_odd_bearer_opens_anything_or_breaks_anything(bench: Bench, stranger: aiohttp.ClientSession, token: str) -> None:
    async with stranger.get("/api/system", headers=bearer(token)) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("query", ["token={}", "access_token={}"])
async def test_tok_9_the_nodes_token_counts_in_its_header_alone(bench: Bench, stranger: aiohttp.ClientSession, query: str) -> None:
    async with stranger.get("/api/system?" + query.format(bench.panel.token.secret)) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("secret", ["short", "x" * 31, "with a blank " * 4, "line\n" * 10])
def test_tok_10_a_token_that_is_no_secret_is_refused_at_start(tmp_path: Path, secret: str) -> None:
    settings = config_of(NodeToken("id", secret), tmp_path)
    with pytest.raises(NotConfigured, match="no secret"):
        Credentials(settings, tmp_path / "credentials.json")


def config_of(token: NodeToken, folder: Path) -> Any:

    return config(Panel(token, "http://127.0.0.1:1"), folder).remote


async def test_a_path_that_only_ends_like_a_socket_is_not_open(bench: Bench, stranger: aiohttp.ClientSession) -> None:
    for path in ("/ws", "/api/ws", f"/api/servers/{bench.uuid}/files/ws"):
        async with stranger.get(path) as answer:
            assert answer.status == 401
    async with stranger.post(bench.path("/ws")) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("route", ["power", "commands", "sync", "install", "reinstall", "ws/deny"])
async def test_a_server_that_is_not_here_is_404_whatever_is_asked_of_it(bench: Bench, route: str) -> None:
    for body in (b"", b"{}", b'{"action": "start", "commands": [], "jtis": []}'):
        async with bench.http.post(f"/api/servers/{uuid4()}/{route}", data=body) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]


async def test_browsers_are_told_what_wings_tells_them(bench: Bench, stranger: aiohttp.ClientSession) -> None:
    for method, path, status in (("OPTIONS", "/api/system", 204), ("OPTIONS", "/anything", 204), ("GET", "/api/system", 401)):
        async with stranger.request(method, path, headers={"Origin": "https://evil.example"}) as answer:
            assert answer.status == status
            said = {name: answer.headers[f"Access-Control-{name}"] for name in ("Allow-Origin", "Allow-Methods", "Max-Age")}
            assert said == {
                "Allow-Origin": bench.panel.url,
                "Allow-Methods": "GET, POST, PATCH, PUT, DELETE, OPTIONS",
                "Max-Age": "7200",
            }
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert "X-CSRF-Token" in answer.headers["Access-Control-Allow-Headers"]
            assert answer.headers["X-Request-Id"]


async def test_an_allowed_origin_is_named_itself(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        wanted = config(panel, tmp_path).model_copy(update={"allowed_origins": ["https://page.example"]})
        async with running(wanted) as agent, aiohttp.ClientSession(agent.url) as http:
            for origin, told in (("https://page.example", "https://page.example"), ("https://page.example.evil", panel.url)):
                async with http.options("/api/system", headers={"Origin": origin}) as answer:
                    assert answer.headers["Access-Control-Allow-Origin"] == told


async def test_a_slash_too_many_leads_to_the_route_without_it(bench: Bench) -> None:
    async with bench.http.get("/api/system/?v=2", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (301, "/api/system?v=2")
    async with bench.http.post(bench.path("/power/"), json={"action": "start"}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, bench.path("/power"))
    for path in ("/api/nonsense/", "/api/system//"):
        async with bench.http.get(path, allow_redirects=False) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("name", ["{8d3f01ab-0000-4000-8000-000000000001}", "8D3F01AB-0000-4000-8000-000000000001", "urn:uuid:x", "..", ""])
async def test_a_server_has_one_spelling_of_its_name(bench: Bench, name: str) -> None:
    async with bench.http.post("/api/servers", json={"uuid": name}) as answer:
        assert answer.status == 422


async def test_ws_8_one_command_that_is_two_lines_and_nothing_of_the_request_is_typed(bench: Bench) -> None:
    async with bench.http.post(bench.path("/commands"), json={"commands": ["say hi", "say a\nstop"]}) as answer:
        assert answer.status in (422, 502)
    server = bench.agent.manager.get(bench.uuid)
    server.power(PowerSignal.START)
    async with asyncio.timeout(30):
        while server.state.value != "running":
            await asyncio.sleep(0.02)
    for line in ("say a\nstop", "say a\rstop", "say\0a"):
        async with bench.http.post(bench.path("/commands"), json={"commands": ["say typed", line]}) as answer:
            assert answer.status == 422
            assert "one line" in (await answer.json())["error"]
    async with bench.http.post(bench.path("/commands"), json={"commands": ["help"]}) as answer:
        assert answer.status == 204
    async with asyncio.timeout(30):
        while not any("help" in line for line in server.console.history(100)):
            await asyncio.sleep(0.02)
    assert not any("typed" in line for line in server.console.history(100))


STOLEN = {
    "system": {
        "data": "/etc",
        "root_directory": "/",
        "backup_directory": "/",
        "log_directory": "/",
        "tmp_directory": "/",
        "username": "root",
    },
    "remote": "https://evil.example",
    "allowed_mounts": ["/"],
    "allowed_origins": ["*"],
    "docker": {"registries": {"a": {"username": "b", "password": "c"}}},
    "api": {"host": "0.0.0.0", "port": 1, "disable_remote_download": False, "ssl": {"cert": "/etc/shadow"}},
    "ignore_panel_config_updates": False,
    "uuid": "other",
}


async def test_cfg_1_whoever_holds_the_nodes_key_moves_no_folder_and_lets_nobody_in(bench: Bench, stranger: aiohttp.ClientSession) -> None:
    before = bench.agent.manager.get(bench.uuid).folder
    async with bench.http.post("/api/update", json=STOLEN) as answer:
        assert (answer.status, await answer.json()) == (200, {"applied": False})
    assert bench.agent.manager.get(bench.uuid).folder == before
    async with bench.http.get("/api/system", headers={"Origin": "https://evil.example"}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == bench.panel.url
    async with bench.http.post(bench.path("/sync")) as answer:  # the control plane that is asked is still the old one
        assert answer.status == 204


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b'{"token": 5}', b'{"token": ["a"]}'])
async def test_an_update_that_cannot_be_read_is_400_and_changes_nothing(bench: Bench, body: bytes) -> None:
    async with bench.http.post("/api/update", data=body) as answer:
        assert answer.status == 400
    async with bench.http.get("/api/system") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("change", [{"token": "short"}, {"token": ""}, {"token": "a.b" * 20}, {"token": "x" * 64, "token_id": "a.b"}])
async def test_a_token_that_is_no_secret_is_not_taken(bench: Bench, change: dict[str, str]) -> None:
    async with bench.http.post("/api/update", json=change) as answer:
        assert answer.status == 422
    async with bench.http.get("/api/system") as answer:
        assert answer.status == 200


async def test_tok_12_a_renewed_token_counts_at_once_in_both_directions_and_after_a_restart(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        old, new = panel.token, new_node_token()
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        path = f"/api/servers/{uuid}"
        async with running(config(panel, tmp_path)) as agent, aiohttp.ClientSession(agent.url) as http:
            signed_before = sign_socket_token(old.secret, server_uuid=uuid, permissions=["*"], now=SystemClock().now())
            async with http.ws_connect(f"{path}/ws", origin=panel.url) as socket:
                await socket.send_json({"event": "auth", "args": [signed_before]})
                assert (await socket.receive_json(timeout=15))["event"] == "auth success"
                change = {"Token_ID": new.id, "TOKEN": new.secret, "debug": False}
                async with http.post("/api/update", json=change, headers=bearer(old.secret)) as answer:
                    assert (answer.status, await answer.json()) == (200, {"applied": True})
                panel.renewed = new
                await socket.send_json({"event": "send stats"})
                while (frame := await socket.receive_json(timeout=15))["event"] in ("status", "stats"):
                    pass
                assert frame == {"event": "jwt error", "args": ["jwt: created too far in past (denylist)"]}
            for secret, status in ((old.secret, 403), (new.secret, 200)):
                async with http.get("/api/system", headers=bearer(secret)) as answer:
                    assert answer.status == status
            async with http.post(f"{path}/sync", headers=bearer(new.secret)) as answer:  # asks the control plane with the new one
                assert answer.status == 204
        kept = tmp_path / "credentials.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        async with running(config(panel, tmp_path)) as agent, aiohttp.ClientSession(agent.url) as http:
            async with http.get("/api/system", headers=bearer(new.secret)) as answer:
                assert answer.status == 200
            assert [server.uuid for server in agent.manager.all()] == [uuid]


def test_a_token_written_into_the_settings_file_later_counts(tmp_path: Path) -> None:
    first, given, written = (new_node_token() for _ in range(3))
    file = tmp_path / "credentials.json"
    asyncio.run(Credentials(config_of(first, tmp_path), file).renew(given.id, given.secret))
    assert Credentials(config_of(first, tmp_path), file).secret == given.secret
    assert Credentials(config_of(written, tmp_path), file).secret == written.secret
    file.write_text("{")
    assert Credentials(config_of(first, tmp_path), file).secret == first.secret


async def test_an_owner_may_refuse_every_update(tmp_path: Path) -> None:
    async with standing(new_node_token()) as panel:
        wanted = config(panel, tmp_path).model_copy(update={"ignore_panel_config_updates": True})
        async with running(wanted) as agent, aiohttp.ClientSession(agent.url, headers=bearer(panel.token.secret)) as http:
            async with http.post("/api/update", data=b"not even JSON") as answer:
                assert (answer.status, await answer.json()) == (200, {"applied": False})
            async with http.post("/api/update", json={"token": "x" * 64}) as answer:
                assert (answer.status, await answer.json()) == (200, {"applied": False})
            async with http.get("/api/system") as answer:
                assert answer.status == 200


async def test_cfg_2_what_the_agent_writes_about_itself_is_its_owners_alone(bench: Bench, tmp_path: Path) -> None:
    async with asyncio.timeout(30):
        while not (tmp_path / "states.json").exists():
            await asyncio.sleep(0.02)
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert {"states.json", "servers.json", "outbox.sqlite3"} <= {file.name for file in files}
    assert {file.name: oct(file.stat().st_mode & 0o077) for file in files if file.stat().st_mode & 0o077} == {}


async def test_cfg_3_environments_are_shown_to_the_control_plane_alone(bench: Bench, stranger: aiohttp.ClientSession) -> None:
    bench.panel.servers[bench.uuid].settings.environment["RCON_PASSWORD"] = "swordfish"
    async with bench.http.post(bench.path("/sync")) as answer:
        assert answer.status == 204
    for path in ("/api/servers", bench.path(), bench.path("/logs")):
        async with stranger.get(path) as answer:
            assert answer.status == 401
            assert "swordfish" not in await answer.text()
    async with bench.http.get(bench.path()) as answer:
        assert (await answer.json())["configuration"]["environment"]["RCON_PASSWORD"] == "swordfish"


async def test_tok_9_no_log_and_no_answer_holds_a_secret(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, jwt = bench.panel.token.secret, bench.jwt("*")
    seen: list[str] = []
    for method, path, body in (
        ("GET", "/api/servers", None),
        ("GET", "/api/system?v=2", None),
        ("GET", f"/api/system?token={jwt}", None),
        ("POST", "/api/update", {"token": secret, "token_id": 5}),
        ("POST", "/api/servers", {"uuid": secret}),
        ("POST", bench.path("/power"), {"action": secret}),
        ("GET", f"/{secret}", None),
    ):
        async with bench.http.request(method, path, json=body) as answer:
            seen.append(await answer.text())
    async with bench.http.ws_connect(bench.path("/ws"), origin=bench.panel.url) as socket:
        for token in (jwt[:-4], jwt):
            await socket.send_json({"event": "auth", "args": [token]})
            seen.append((await socket.receive(timeout=15)).data)
    bench.panel.mood[f"/servers/{bench.uuid}"] = 403
    async with bench.http.post(bench.path("/sync")) as answer:
        seen.append(await answer.text())
    told = "\n".join([*seen, caplog.text])
    assert jwt not in told
    assert secret not in told


async def test_res_11_a_connection_that_asks_for_nothing_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "FIRST_REQUEST_SECONDS", 0.3)
    port = bench.agent.port
    for began in (b"", b"GET /api/system HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(began)
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_res_11_a_body_that_does_not_come_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "BODY_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.agent.port)
    head = f"POST /api/update HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bench.panel.token.secret}\r\nContent-Length: 50\r\n\r\n"
    writer.write(head.encode() + b"{")
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()


async def test_res_11_deep_and_endless_bodies_and_headers_are_refused(bench: Bench) -> None:
    for body, status in ((b"[" * 500_000, 400), (b'{"action":' * 100_000, 400), (io.BytesIO(b"x" * 2_000_000), 413)):
        async with bench.http.post(bench.path("/power"), data=body) as answer:
            assert answer.status == status
    async with bench.http.get("/api/system", headers={"X-Long": "x" * 60_000}) as answer:
        assert answer.status == 400
    async with bench.http.get("/api/system") as answer:
        assert answer.status == 200


def test_credentials_are_not_shown(tmp_path: Path) -> None:
    token = new_node_token()
    assert token.secret not in repr(Credentials(config_of(token, tmp_path), tmp_path / "credentials.json"))
    assert json.dumps(token.secret) not in str(config_of(token, tmp_path))
