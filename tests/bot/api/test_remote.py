"""/api/remote over real HTTP, as a node calls it."""

import json
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from bot.api.app import make_app
from core.models.server import Server
from core.protocol.remote import RemoteError, ServerPage
from core.protocol.settings import ServerConfiguration
from core.vocabulary import ServerStatus
from tests.control_plane import OWNER, Stage, an_egg, owner, staged

GOLDEN = Path(__file__).parents[2] / "golden"

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3") as ready:
        yield ready


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(stage.services))) as client:
        yield client


def bearer(stage: Stage) -> dict[str, str]:
    return {"Authorization": f"Bearer {stage.fake.token.id}.{stage.fake.token.secret}"}


async def error_of(response: Any) -> str:
    entry = RemoteError.model_validate(await response.json()).errors[0]
    assert entry.status == str(response.status)
    assert response.headers["X-Request-Id"]
    return entry.detail


async def test_a_node_must_say_who_it_is(stage: Stage, client: Client) -> None:
    good = bearer(stage)["Authorization"]
    for header, status in [
        (None, 401),
        ("Basic abc", 401),
        ("Bearer", 401),
        ("Bearer nodot", 400),
        ("Bearer a.b.c", 400),
        ("Bearer .b", 400),
        ("Bearer x.y", 403),
        (good + "x", 403),
        (good.replace("Bearer", "bearer"), 401),
    ]:
        answer = await client.get("/api/remote/servers", headers={"Authorization": header} if header else {})
        assert answer.status == status, header
        assert await error_of(answer)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_pages_count_in_integers(stage: Stage, client: Client) -> None:
    empty = await (await client.get("/api/remote/servers?page=0&per_page=50", headers=bearer(stage))).json()
    assert (empty["meta"]["from"], empty["meta"]["to"], empty["meta"]["total"], empty["meta"]["last_page"]) == (None, None, 0, 1)
    for number in range(5):
        await stage.a_server(f"Server {number}", 30000 + number)
    seen: list[str] = []
    for page in (0, 2, 3):
        body = await (await client.get(f"/api/remote/servers?page={page}&per_page=2", headers=bearer(stage))).json()
        assert all(isinstance(body["meta"][key], int) for key in ("current_page", "from", "last_page", "per_page", "to", "total"))
        assert (body["meta"]["last_page"], body["meta"]["total"], body["meta"]["current_page"]) == (3, 5, max(page, 1))
        seen += [entry.settings.meta.name for entry in ServerPage.model_validate(body).data]
    assert seen == [f"Server {number}" for number in range(5)]
    assert (await client.get("/api/remote/servers?page=x", headers=bearer(stage))).status == 400
    assert (await client.get("/api/remote/servers?per_page=-1", headers=bearer(stage))).status == 400


async def test_a_node_sees_its_own_servers_alone(stage: Stage, client: Client) -> None:
    made = await stage.a_server()
    _, token = await stage.services.nodes.create("other", "http://127.0.0.1:1")
    foreign = {"Authorization": f"Bearer {token.id}.{token.secret}"}
    path = f"/api/remote/servers/{made.uuid}"
    for answer in (
        await client.get(path, headers=foreign),
        await client.get(f"{path}/install", headers=foreign),
        await client.post(f"{path}/install", headers=foreign, json={"successful": False}),
        await client.get("/api/remote/servers/not-a-uuid", headers=bearer(stage)),
    ):
        assert answer.status == 404
        await error_of(answer)
    answer = await client.get(path, headers=bearer(stage))
    body = await answer.text()
    settings = ServerConfiguration.model_validate_json(body)
    assert settings.settings.invocation == "luanti --port {{SERVER_PORT}}"
    assert json.loads(body)["process_configuration"]["stop"] == {"type": "signal", "value": "C"}
    assert answer.content_type == "application/json"


async def test_an_installation_is_fetched_and_reported(stage: Stage, client: Client) -> None:
    stage.egg = await stage.services.eggs.import_ptdl(
        an_egg(scripts={"installation": {"script": "echo\r\nhi", "container": "debian:12", "entrypoint": "/bin/bash"}})
    )
    made = await stage.a_server()
    path = f"/api/remote/servers/{made.uuid}/install"
    assert await (await client.get(path, headers=bearer(stage))).json() == {
        "container_image": "debian:12",
        "entrypoint": "/bin/bash",
        "script": "echo\nhi",
    }
    assert (await client.post(path, headers=bearer(stage), json={"successful": True, "reinstall": False})).status == 204
    assert (await stage.services.servers.get(made.uuid)).status is None


async def test_a_booted_node_resets_what_was_under_way(stage: Stage, client: Client) -> None:
    stage.egg = await stage.services.eggs.import_ptdl(an_egg(scripts={"installation": {"script": "x"}}))
    made = await stage.a_server()
    answer = await client.post("/api/remote/servers/reset", headers={**bearer(stage), "Content-Type": "application/json"}, data="null")
    assert answer.status == 204
    assert (await stage.services.servers.get(made.uuid)).status is None


async def test_activity_is_taken_and_bad_batches_are_named(stage: Stage, client: Client) -> None:
    made = await stage.a_server()
    entry: dict[str, Any] = {
        "user": None,
        "server": made.uuid,
        "event": "server:power.kill",
        "metadata": [],
        "ip": "203.0.113.9",
        "timestamp": "2026-03-17T20:58:30.123456Z",
    }
    good = await client.post("/api/remote/activity", headers=bearer(stage), json={"data": [entry]})
    assert good.status == 204
    newest = (await stage.services.activity.recent(made))[-1]
    assert (newest.event, newest.origin) == ("server:power.kill", "203.0.113.9")
    bad = await client.post("/api/remote/activity", headers=bearer(stage), json={"data": [{**entry, "timestamp": "yesterday"}]})
    assert bad.status == 422
    assert "timestamp" in await error_of(bad)


async def test_somebody_signs_in_to_sftp_with_the_bodies_of_wings(stage: Stage, client: Client) -> None:
    made = await stage.a_server(uuid="8d3f01ab-55c1-4a37-9b53-6b1c51d9a001")
    user = await stage.services.users.create(name="Alice", discord_id=OWNER, uuid="5c0a7a52-94c4-4f0d-8a53-1b1d9cf1ab10")
    await stage.services.members.seen(owner())
    _, password = await stage.services.credentials.new_password(owner(), user)
    asked = (GOLDEN / "wings_sftp_auth.json").read_text()
    good = await client.post("/api/remote/sftp/auth", headers=bearer(stage), data=asked.replace("secret", password))
    assert good.status == 200
    assert await good.read() == (GOLDEN / "panel_sftp_auth.json").read_bytes().strip()
    wrong = await client.post("/api/remote/sftp/auth", headers=bearer(stage), data=asked)
    assert (wrong.status, (await wrong.json())["errors"][0]["code"]) == (403, "AccessDeniedHttpException")
    cases: list[tuple[dict[str, object], int]] = [
        ({"username": "alice"}, 400),
        ({"type": "host"}, 422),
        ({"type": "public_key"}, 403),
        ({"ip": None}, 403),
    ]
    for changes, status in cases:
        bad = await client.post("/api/remote/sftp/auth", headers=bearer(stage), json={**json.loads(asked), **changes})
        assert bad.status == status, changes
        await error_of(bad)
    async with stage.services.database.begin() as session:
        (await session.get_one(Server, made.id)).status = ServerStatus.SUSPENDED
    closed = await client.post("/api/remote/sftp/auth", headers=bearer(stage), data=asked.replace("secret", password))
    assert closed.status == 409
    assert (await client.post("/api/remote/sftp/auth", data=asked)).status == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"null", 422), (b"[]", 422), (b"\xff", 400), (b'{"successful": "maybe"}', 422), (b" " * 5_000_000, 413)],
)
async def test_a_broken_body_is_refused_in_words(stage: Stage, client: Client, body: bytes, status: int) -> None:
    made = await stage.a_server()
    answer = await client.post(f"/api/remote/servers/{made.uuid}/install", headers=bearer(stage), data=BytesIO(body))
    assert answer.status == status
    await error_of(answer)


async def test_what_is_not_there_is_told_in_the_panels_words(client: Client) -> None:
    for answer, status in ((await client.get("/api/remote/nothing"), 404), (await client.delete("/health"), 405)):
        assert answer.status == status
        await error_of(answer)


async def test_a_failure_nobody_foresaw_shows_an_id_and_no_trace(stage: Stage, client: Client) -> None:
    await stage.services.database.close()
    async with stage.services.database.begin() as session:
        await session.execute(__import__("sqlalchemy").text("DROP TABLE nodes"))
    answer = await client.get("/api/remote/servers", headers=bearer(stage))
    assert answer.status == 500
    detail = await error_of(answer)
    assert answer.headers["X-Request-Id"] in detail
    assert "nodes" not in detail
    assert "Traceback" not in await answer.text()


async def test_health_and_readiness(stage: Stage, client: Client) -> None:
    health = await client.get("/health")
    assert (health.status, (await health.json())["status"]) == (200, "ok")
    ready = await client.get("/ready")
    assert ready.status == 503
    assert await ready.json() == {"ready": False, "database": True, "backplane": True, "discord": False}
    async with ClientSession() as session, session.get(client.make_url("/health")) as answer:
        assert "Traceback" not in await answer.text()
