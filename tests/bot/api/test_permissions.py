"""Every route of the REST APIs: who is let in, who is told that there is nothing, who is told that they may not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.api.auth import Limits
from core.services.api_keys import READ, WRITE
from core.vocabulary import KeyKind, Resource
from tests.bot.api.keyring import Ring, keyring

LET_IN = {
    ("GET", "", "any"),
    ("GET", "/websocket", "any"),
    ("GET", "/resources", "any"),
    ("GET", "/activity", "any"),
    ("POST", "/command", "control.console"),
    ("POST", "/power", "control.start"),
    ("GET", "/startup", "startup.read"),
    ("PUT", "/startup/variable", "startup.update"),
    ("POST", "/settings/rename", "settings.rename"),
    ("POST", "/settings/reinstall", "settings.reinstall"),
    ("PUT", "/settings/docker-image", "startup.docker-image"),
    ("GET", "/network/allocations", "allocation.read"),
    ("POST", "/network/allocations", "allocation.create"),
    ("POST", "/network/allocations/{allocation}", "allocation.update"),
    ("POST", "/network/allocations/{allocation}/primary", "allocation.update"),
    ("DELETE", "/network/allocations/{allocation}", "allocation.delete"),
    ("GET", "/backups", "backup.read"),
    ("POST", "/backups", "backup.create"),
    ("GET", "/backups/{backup}", "backup.read"),
    ("GET", "/backups/{backup}/download", "backup.download"),
    ("POST", "/backups/{backup}/lock", "backup.delete"),
    ("POST", "/backups/{backup}/restore", "backup.restore"),
    ("DELETE", "/backups/{backup}", "backup.delete"),
    ("GET", "/users", "user.read"),
    ("GET", "/users/{user}", "user.read"),
}
"""Routes of one server, and what a viewer lacks for them; `any` is open to viewers."""


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    async with keyring(tmp_path, Limits(client=10_000, application=10_000)) as ready:
        yield ready


def routes(ring: Ring, prefix: str) -> list[tuple[str, str]]:
    app = ring.client.app
    assert app is not None
    return [
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith(prefix) and route.method != "HEAD"
    ]


def filled(path: str, ring: Ring) -> str:
    for name, value in (
        ("{server}", ring.server.short),
        ("{identifier}", "ptlc_unknown1234"),
        ("{user}", ring.users["stranger"].uuid),
        ("{external_id}", "nothing"),
        ("{id}", "1"),
        ("{egg}", "1"),
        ("{allocation}", "1"),
        ("{backup}", "00000000-0000-4000-8000-000000000001"),
    ):
        path = path.replace(name, value)
    assert "{" not in path
    return path


async def test_every_route_wants_a_key(ring: Ring) -> None:
    table = [*routes(ring, "/api/client"), *routes(ring, "/api/application")]
    assert len(table) > 50
    for method, path in table:
        for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer ptlc_x"}, {"Authorization": f"Bearer {'x' * 48}"}):
            status, body = await ring.call(None, method, filled(path, ring), headers=headers)
            assert (status, body["errors"][0]["code"], body["errors"][0]["status"]) == (401, "AuthenticationException", "401"), (
                method,
                path,
            )


async def test_every_route_of_a_server_hides_it_from_strangers(ring: Ring) -> None:
    table = routes(ring, "/api/client/servers/")
    assert {(method, path.removeprefix("/api/client/servers/{server}")) for method, path in table} <= {row[:2] for row in LET_IN}
    for method, path in table:
        for who, ref in (("stranger", ring.server.short), ("owner", "00000000"), ("owner", "Luanti"), ("owner", str(ring.server.id))):
            status, body = await ring.call(who, method, filled(path.replace("{server}", ref), ring))
            assert (status, body["errors"][0]["code"]) == (404, "NotFoundHttpException"), (who, ref, method, path)


async def test_every_route_of_a_server_wants_its_permission(ring: Ring) -> None:
    needs = {row[:2]: row[2] for row in LET_IN}
    for method, path in routes(ring, "/api/client/servers/"):
        need = needs[method, path.removeprefix("/api/client/servers/{server}")]
        status, body = await ring.call("viewer", method, filled(path, ring), json={"signal": "start"} if path.endswith("/power") else None)
        if need == "any":
            assert status == 200, (method, path, body)
        else:
            assert (status, body["errors"][0]["code"]) == (403, "AccessDeniedHttpException"), (method, path)
            assert need in body["errors"][0]["detail"]


async def test_the_client_api_refuses_application_keys(ring: Ring) -> None:
    for method, path in routes(ring, "/api/client"):
        status, body = await ring.call("admin", method, filled(path, ring))
        assert (status, body["errors"][0]["code"]) == (403, "AccessDeniedHttpException"), (method, path)


async def test_the_application_api_wants_an_administrator_and_the_right(ring: Ring) -> None:
    ring.keys["nothing"] = await ring.key("root", KeyKind.APPLICATION, rights={})
    for method, path in routes(ring, "/api/application"):
        for who in ("owner", "nothing"):
            status, body = await ring.call(who, method, filled(path, ring))
            assert (status, body["errors"][0]["code"]) == (403, "AccessDeniedHttpException"), (who, method, path)


@pytest.mark.parametrize("resource", [Resource.USERS, Resource.LOCATIONS, Resource.NODES, Resource.SERVERS])
async def test_reading_and_writing_are_two_rights(ring: Ring, resource: Resource) -> None:
    ring.keys["reader"] = await ring.key("root", KeyKind.APPLICATION, rights={resource.value: READ})
    ring.keys["writer"] = await ring.key("root", KeyKind.APPLICATION, rights={resource.value: WRITE})
    path = f"/api/application/{resource.value}"
    assert (await ring.call("reader", "GET", path))[0] == 200
    assert (await ring.call("writer", "GET", path))[0] == 403
    assert (await ring.call("reader", "POST", path, json={}))[0] == 403
    assert (await ring.call("writer", "POST", path, json={}))[0] == 422


async def test_a_root_admins_client_key_opens_the_application_api(ring: Ring) -> None:
    assert (await ring.call("root", "GET", "/api/application/users"))[0] == 200
    status, body = await ring.call("root", "GET", f"/api/client/servers/{ring.server.short}")
    assert status == 200
    assert body["meta"]["is_server_owner"] is False
    assert body["meta"]["user_permissions"][0] == "*"
