"""The Client API in its details: bodies field for field, states that keep people out, limits, faults."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from bot.api.auth import Limits
from core.services.servers import Extras
from core.tokens import read_socket_token
from tests.bot.api.keyring import Ring, keyring
from tests.control_plane import SYSTEM


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    async with keyring(tmp_path, Limits(client=10_000, application=10_000)) as ready:
        yield ready


async def test_a_server_has_the_panels_fields(ring: Ring) -> None:
    server = ring.server
    status, body = await ring.call("owner", "GET", f"/api/client/servers/{server.uuid}?include=egg,subusers,nonsense")
    assert status == 200
    relationships = body["attributes"].pop("relationships")
    assert server.allocation is not None
    assert body == {
        "object": "server",
        "attributes": {
            "server_owner": True,
            "identifier": server.short,
            "internal_id": server.id,
            "uuid": server.uuid,
            "name": "Luanti",
            "node": "local",
            "is_node_under_maintenance": False,
            "sftp_details": {"ip": "127.0.0.1", "port": 2022},
            "description": "",
            "limits": {"memory": 512, "swap": 0, "disk": 0, "io": 500, "cpu": 0, "threads": None, "oom_disabled": False},
            "invocation": "luanti --port 30000",
            "docker_image": "~aerie/luanti:latest",
            "egg_features": None,
            "feature_limits": {"databases": 0, "allocations": 0, "backups": 0},
            "status": None,
            "is_suspended": False,
            "is_installing": False,
            "is_transferring": False,
        },
        "meta": {"is_server_owner": True, "user_permissions": ["*"]},
    }
    assert relationships.keys() == {"allocations", "variables", "egg", "subusers"}
    assert relationships["allocations"]["data"] == [
        {
            "object": "allocation",
            "attributes": {
                "id": server.allocation.id,
                "ip": "127.0.0.1",
                "ip_alias": None,
                "port": 30000,
                "notes": None,
                "is_default": True,
            },
        }
    ]
    assert relationships["egg"] == {"object": "egg", "attributes": {"uuid": server.egg.uuid, "name": "Luanti"}}
    assert [one["attributes"]["username"] for one in relationships["subusers"]["data"]] == ["viewer"]


async def test_a_viewer_is_shown_less(ring: Ring) -> None:
    _, body = await ring.call("viewer", "GET", f"/api/client/servers/{ring.server.short}?include=subusers")
    assert body["attributes"]["server_owner"] is False
    assert body["attributes"]["relationships"]["variables"] == {"object": "null_resource", "attributes": None}
    assert body["attributes"]["relationships"]["subusers"] == {"object": "null_resource", "attributes": None}
    assert sorted(body["meta"]["user_permissions"]) == ["activity.read", "websocket.connect"]


async def test_the_list_is_by_standing(ring: Ring) -> None:
    own = await ring.stage.a_server("Rooted", 30001, guild_id=None, extras=Extras(owner_id=ring.users["root"].id))

    async def names(who: str, query: str = "") -> list[str]:
        status, body = await ring.call(who, "GET", f"/api/client{query}")
        assert status == 200
        assert body["meta"]["pagination"]["total"] == len(body["data"])
        assert body["meta"]["pagination"]["links"] == {}
        return [one["attributes"]["name"] for one in body["data"]]

    assert await names("root") == ["Rooted"]
    assert await names("root", "?type=admin") == ["Luanti"]
    assert await names("root", "?type=admin-all") == ["Luanti", "Rooted"]
    assert await names("root", "?type=owner") == ["Rooted"]
    assert await names("owner") == ["Luanti"]
    assert await names("viewer", "?type=owner") == []
    assert await names("viewer", "?type=admin") == []
    assert await names("stranger") == []
    assert await names("root", f"?type=admin-all&filter[*]={own.short}") == ["Rooted"]
    assert await names("root", "?type=admin-all&filter[*]=:30000") == ["Luanti"]
    assert await names("root", "?type=admin-all&filter[name]=LUAN,xyz") == ["Luanti"]


async def test_pages_link_to_each_other_and_keep_the_query(ring: Ring) -> None:
    for number in range(3):
        await ring.stage.a_server(f"More {number}", 30010 + number)
    _, body = await ring.call("owner", "GET", "/api/client?per_page=2&page=1&filter[name]=more")
    assert [one["attributes"]["name"] for one in body["data"]] == ["More 0", "More 1"]
    pagination = body["meta"]["pagination"]
    assert (pagination["total"], pagination["count"], pagination["total_pages"], pagination["current_page"]) == (3, 2, 2, 1)
    assert pagination["links"].keys() == {"next"}
    assert pagination["links"]["next"].startswith("http://127.0.0.1:8400/api/client?")
    path = pagination["links"]["next"].removeprefix("http://127.0.0.1:8400")
    _, body = await ring.call("owner", "GET", path)
    assert [one["attributes"]["name"] for one in body["data"]] == ["More 2"]
    _, body = await ring.call("owner", "GET", "/api/client?page=99")
    assert (body["data"], body["meta"]["pagination"]["total"]) == ([], 4)


async def test_a_suspended_server_keeps_everybody_out_but_can_be_looked_at(ring: Ring) -> None:
    await ring.stage.services.administration.suspend(SYSTEM, ring.server.id, suspended=True)
    path = f"/api/client/servers/{ring.server.short}"
    status, body = await ring.call("owner", "GET", path)
    assert (status, body["attributes"]["is_suspended"], body["attributes"]["status"]) == (200, True, "suspended")
    for who in ("owner", "root", "viewer"):
        for method, rest in (("GET", "/websocket"), ("GET", "/resources"), ("POST", "/power"), ("POST", "/command")):
            status, body = await ring.call(who, method, path + rest, json={"signal": "stop", "command": "x"})
            assert (status, body["errors"][0]["code"]) == (409, "ServerStateConflictException"), (who, rest)


async def test_the_consoles_token_is_one_the_node_takes(ring: Ring) -> None:
    _, body = await ring.call("owner", "GET", f"/api/client/servers/{ring.server.short}/websocket")
    fake = ring.stage.fake
    claims = read_socket_token(fake.token.secret, body["data"]["token"], now=datetime.now(UTC))
    assert (claims.server_uuid, claims.user_uuid, claims.permissions) == (ring.server.uuid, ring.users["owner"].uuid, ["*"])
    assert body["data"]["socket"] == f"ws://127.0.0.1:{fake.port}/api/servers/{ring.server.uuid}/ws"


async def test_what_goes_wrong_is_told_in_the_panels_words(ring: Ring) -> None:
    path = f"/api/client/servers/{ring.server.short}"
    for method, rest, more, status, code in (
        ("POST", "/command", {"json": {"command": "say hi"}}, 502, "HttpException"),
        ("POST", "/command", {"json": {}}, 422, "ValidationException"),
        ("POST", "/command", {"json": {"command": "two\nlines"}}, 422, "ValidationException"),
        ("POST", "/command", {"data": b"{"}, 400, "BadRequestHttpException"),
        ("POST", "/command", {"data": b"[" * 100_000}, 400, "BadRequestHttpException"),
        ("POST", "/command", {"data": BytesIO(b"x" * 5_000_000)}, 413, "HttpException"),
        ("POST", "/power", {"json": {"signal": "explode"}}, 403, "AccessDeniedHttpException"),
        ("POST", "/power", {"json": {"signal": ["start"]}}, 403, "AccessDeniedHttpException"),
        ("POST", "/power", {}, 422, "ValidationException"),
        ("DELETE", "/power", {}, 405, "MethodNotAllowedHttpException"),
        ("GET", "/files/list", {}, 404, "NotFoundHttpException"),
        ("GET", "/activity?filter[nonsense]=1", {}, 400, "InvalidFilterQuery"),
        ("GET", "/activity?sort=nonsense", {}, 400, "InvalidSortQuery"),
        ("PUT", "/startup/variable", {"json": {"key": "NOPE", "value": "1"}}, 400, "BadRequestHttpException"),
    ):
        answered, body = await ring.call("owner", method, path + rest, **more)
        assert (answered, body["errors"][0]["code"]) == (status, code), (rest, body)
        assert body["errors"][0]["detail"]
    _, body = await ring.call("owner", "POST", path + "/command", json={})
    assert body["errors"][0]["meta"] == {"source_field": "command", "rule": "required"}


async def test_a_node_that_is_away_is_a_gateway_that_times_out(ring: Ring) -> None:
    await ring.stage.fake.down()
    status, body = await ring.call("owner", "POST", f"/api/client/servers/{ring.server.short}/power", json={"signal": "start"})
    assert (status, body["errors"][0]["code"]) == (504, "DaemonConnectionException")


async def test_what_is_done_is_written_down_with_the_callers_address(ring: Ring) -> None:
    path = f"/api/client/servers/{ring.server.short}"
    await ring.call("owner", "POST", path + "/power", json={"signal": "start"})
    _, body = await ring.call("owner", "GET", path + "/activity?filter[event]=power&include=actor")
    entry = body["data"][0]["attributes"]
    assert (entry["event"], entry["is_api"], entry["ip"]) == ("server:power.start", True, "127.0.0.1")
    assert entry["relationships"]["actor"]["attributes"]["username"] == "owner"
    _, body = await ring.call("viewer", "GET", path + "/activity?filter[event]=power")
    assert body["data"][0]["attributes"]["ip"] is None
    _, body = await ring.call("owner", "GET", "/api/client/account/activity")
    assert "server:power.start" in {row["attributes"]["event"] for row in body["data"]}


async def test_api_keys_by_rest(ring: Ring) -> None:
    path = "/api/client/account/api-keys"
    status, body = await ring.call("viewer", "POST", path, json={"description": " ci ", "allowed_ips": ["127.0.0.1"]})
    assert (status, body["attributes"]["description"], body["attributes"]["allowed_ips"]) == (200, "ci", ["127.0.0.1"])
    ring.keys["fresh"] = body["attributes"]["identifier"] + body["meta"]["secret_token"]
    assert (await ring.call("fresh", "GET", "/api/client/account"))[1]["attributes"]["username"] == "viewer"
    status, body = await ring.call("viewer", "POST", path, json={"description": "", "allowed_ips": ["127.0.0.1", "nope"]})
    assert status == 422
    assert {entry["meta"]["source_field"] for entry in body["errors"]} == {"description", "allowed_ips.1"}
    assert (await ring.call("viewer", "DELETE", f"{path}/{ring.keys['fresh'][:16]}"))[0] == 204
    assert (await ring.call("fresh", "GET", "/api/client/account"))[0] == 401


async def test_too_many_requests_are_counted_per_user_whatever_key_they_use(tmp_path: Path) -> None:
    async with keyring(tmp_path, Limits(client=5, application=5)) as ring:
        ring.keys["second"] = await ring.key("viewer")
        seen = [(await ring.call(who, "GET", "/api/client/account"))[0] for who in ("viewer", "second") * 6]
        assert 200 in seen
        assert 429 in seen
        async with ring.client.get("/api/client/account", headers={"Authorization": f"Bearer {ring.keys['stranger']}"}) as answer:
            assert answer.status == 200
            assert answer.headers["X-RateLimit-Limit"] == "5"
            assert int(answer.headers["X-RateLimit-Remaining"]) <= 4


async def test_metrics_are_shown_and_may_be_kept_by_a_token(ring: Ring) -> None:
    await ring.call("owner", "GET", "/api/client")
    async with ring.client.get("/metrics") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'aerie_servers{state="running"} 1.0' in text
    assert 'aerie_nodes{state="up"} 1.0' in text
    assert 'aerie_http_request_seconds_count{api="client",method="GET",status="200"} 1.0' in text
    assert "Luanti" not in text
