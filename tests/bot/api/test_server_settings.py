"""The Client API's settings of one server: name, image, variables, addresses, reinstallation."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.services.servers import Extras
from tests.bot.api.keyring import Ring, keyring
from tests.control_plane import SYSTEM, an_egg

VARIABLES = [
    {"name": "World", "env_variable": "WORLD", "default_value": "world", "rules": "required|string|max:10", "user_viewable": True}
    | {"user_editable": True},
    {"name": "Seed", "env_variable": "SEED", "default_value": "7", "rules": "integer", "user_viewable": True},
    {"name": "Hidden", "env_variable": "HIDDEN", "default_value": "x", "rules": "string"},
]


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    async with keyring(tmp_path) as ready:
        ready.stage.egg = await ready.stage.services.eggs.import_ptdl(
            an_egg(
                name="Luanti 2",
                variables=VARIABLES,
                startup="luanti --world {{WORLD}} --seed {{SEED}} --key {{HIDDEN}} --port {{SERVER_PORT}}",
                docker_images={"one": "example/one:1", "two": "example/two:2"},
            )
        )
        ready.server = await ready.stage.a_server("Isle", 30005, extras=Extras(allocations=2))
        yield ready


def path(ring: Ring, rest: str) -> str:
    return f"/api/client/servers/{ring.server.short}{rest}"


async def test_variables_are_shown_and_changed_by_their_rules(ring: Ring) -> None:
    status, body = await ring.call("owner", "GET", path(ring, "/startup"))
    assert status == 200
    assert [one["attributes"]["env_variable"] for one in body["data"]] == ["WORLD", "SEED"]
    assert body["data"][0]["attributes"] == {
        "name": "World",
        "description": "",
        "env_variable": "WORLD",
        "default_value": "world",
        "server_value": "world",
        "is_editable": True,
        "rules": "required|string|max:10",
    }
    assert body["meta"]["docker_images"] == {"one": "example/one:1", "two": "example/two:2"}
    assert body["meta"]["startup_command"] == "luanti --world world --seed 7 --key [hidden] --port 30005"
    status, body = await ring.call("owner", "PUT", path(ring, "/startup/variable"), json={"key": "WORLD", "value": "isle"})
    assert (status, body["attributes"]["server_value"]) == (200, "isle")
    assert "--world isle" in body["meta"]["startup_command"]
    for given, answered in (
        ({"key": "WORLD", "value": "x" * 11}, 422),
        ({"key": "WORLD", "value": ""}, 422),
        ({"key": "WORLD"}, 422),
        ({"key": "SEED", "value": "8"}, 400),
        ({"key": "HIDDEN", "value": "8"}, 400),
        ({"key": "NOPE", "value": "8"}, 400),
    ):
        status, body = await ring.call("owner", "PUT", path(ring, "/startup/variable"), json=given)
        assert status == answered, (given, body)
    kept = await ring.stage.services.servers.get(ring.server.uuid)
    assert [value.value for value in kept.variables if value.variable.env_variable == "WORLD"] == ["isle"]


async def test_name_description_and_image(ring: Ring) -> None:
    assert (await ring.call("owner", "POST", path(ring, "/settings/rename"), json={"name": "Isle two", "description": "a"}))[0] == 204
    assert (await ring.call("owner", "POST", path(ring, "/settings/rename"), json={"name": "Isle 3"}))[0] == 204
    status, body = await ring.call("owner", "POST", path(ring, "/settings/rename"), json={"name": ""})
    assert (status, body["errors"][0]["meta"]["source_field"]) == (422, "name")
    assert (await ring.call("owner", "PUT", path(ring, "/settings/docker-image"), json={"docker_image": "example/two:2"}))[0] == 204
    assert (await ring.call("owner", "PUT", path(ring, "/settings/docker-image"), json={"docker_image": "evil/image"}))[0] == 422
    kept = await ring.stage.services.servers.get(ring.server.uuid)
    assert (kept.name, kept.description, kept.image) == ("Isle 3", "a", "example/two:2")
    _, body = await ring.call("owner", "GET", path(ring, "/activity?per_page=100"))
    events = {row["attributes"]["event"] for row in body["data"]}
    assert {"server:settings.rename", "server:settings.description", "server:startup.image"} <= events


async def test_addresses_are_taken_noted_made_primary_and_given_back(ring: Ring) -> None:
    fleet, node = ring.stage.services.fleet, ring.stage.node
    await fleet.add_allocations(SYSTEM, node.id, ["127.0.0.1"], [30100, 30101], None)
    where = path(ring, "/network/allocations")
    status, body = await ring.call("owner", "POST", where, headers={"Content-Type": "application/json"})
    assert (status, body["attributes"]["port"], body["attributes"]["is_default"]) == (200, 30100, False)
    number = body["attributes"]["id"]
    assert (await ring.call("owner", "POST", where))[0] == 400  # two are the limit
    status, body = await ring.call("owner", "POST", f"{where}/{number}", json={"notes": "query"})
    assert (status, body["attributes"]["notes"]) == (200, "query")
    assert (await ring.call("owner", "POST", f"{where}/{number}", json={}))[0] == 422
    assert (await ring.call("owner", "POST", f"{where}/{number}/primary"))[1]["attributes"]["is_default"] is True
    assert (await ring.call("owner", "DELETE", f"{where}/{number}"))[0] == 400
    _, body = await ring.call("owner", "GET", where)
    main = {one["attributes"]["port"]: one["attributes"] for one in body["data"]}
    assert (main[30100]["is_default"], main[30005]["is_default"]) == (True, False)
    assert (await ring.call("owner", "DELETE", f"{where}/{main[30005]['id']}"))[0] == 204
    other = ring.stage.services.servers
    first = next(server for server in await other.all() if server.name == "Luanti")
    assert first.allocation is not None
    for method, rest in (("POST", "/primary"), ("DELETE", "")):
        assert (await ring.call("owner", method, f"{where}/{first.allocation.id}{rest}"))[0] == 404


async def test_a_reinstallation_is_asked_of_the_node_and_keeps_people_out(ring: Ring) -> None:
    status, _ = await ring.call("owner", "POST", path(ring, "/settings/reinstall"))
    assert status == 202
    status, body = await ring.call("owner", "POST", path(ring, "/settings/reinstall"))
    assert (status, body["errors"][0]["code"]) == (409, "ServerStateConflictException")
    _, shown = await ring.call("owner", "GET", path(ring, ""))
    assert shown["attributes"]["is_installing"] is True


async def test_people_who_were_granted_something(ring: Ring) -> None:
    ring.server = next(server for server in await ring.stage.services.servers.all() if server.name == "Luanti")
    _, body = await ring.call("owner", "GET", path(ring, "/users"))
    (shown,) = body["data"]
    assert shown["object"] == "server_subuser"
    attributes: dict[str, Any] = shown["attributes"]
    assert attributes.keys() == {"uuid", "username", "email", "image", "2fa_enabled", "created_at", "permissions"}
    assert attributes["permissions"] == ["activity.read", "websocket.connect"]
    assert (await ring.call("owner", "GET", path(ring, f"/users/{attributes['uuid']}")))[1] == shown
    assert (await ring.call("owner", "GET", path(ring, f"/users/{ring.users['stranger'].uuid}")))[0] == 404
    assert (await ring.call("owner", "GET", path(ring, f"/users/{ring.users['owner'].uuid}")))[0] == 403
