"""The Application API in its details: bodies field for field, validation, what is refused and what is not done by halves."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.services.api_keys import READ
from core.tokens import NodeToken
from core.vocabulary import KeyKind
from tests.bot.api.keyring import Ring, keyring
from tests.control_plane import SYSTEM

SERVERS = "/api/application/servers"


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    async with keyring(tmp_path) as ready:
        yield ready


def order(ring: Ring, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Made",
        "user": ring.users["viewer"].id,
        "egg": ring.stage.egg.id,
        "docker_image": "example/image:1",
        "startup": "run {{WORLD}}",
        "environment": {"WORLD": "isle", "STARTUP": "passed over"},
        "limits": {"memory": 1024, "swap": 0, "disk": 2048, "io": 500, "cpu": "100"},
        "feature_limits": {"databases": 1, "allocations": 2, "backups": None},
        "external_id": "shop-1",
        **changes,
    }


async def addresses(ring: Ring, *ports: str) -> list[int]:
    path = f"/api/application/nodes/{ring.stage.node.id}/allocations"
    assert (await ring.call("admin", "POST", path, json={"ip": "127.0.0.1", "ports": list(ports)}))[0] == 204
    _, body = await ring.call("admin", "GET", f"{path}?filter[server_id]=&per_page=300")
    return [one["attributes"]["id"] for one in body["data"]]


async def test_users_have_the_panels_fields_and_rules(ring: Ring) -> None:
    good = {"email": "eve@example.org", "username": "Eve.1", "first_name": "Eve", "last_name": "Adams", "external_id": "x-1"}
    status, body = await ring.call("admin", "POST", "/api/application/users", json=good)
    assert status == 201
    user = body["attributes"]
    assert body["meta"]["resource"].endswith(f"/api/application/users/{user['id']}")
    for moment in ("created_at", "updated_at"):
        assert user.pop(moment).endswith("+00:00")
    assert user == {
        "id": user["id"],
        "external_id": "x-1",
        "uuid": user["uuid"],
        "username": "eve.1",
        "email": "eve@example.org",
        "first_name": "Eve",
        "last_name": "Adams",
        "language": "en",
        "root_admin": False,
        "2fa": False,
    }
    status, body = await ring.call("admin", "POST", "/api/application/users", json={**good, "username": "-x", "language": "tlh"})
    assert status == 422
    assert {(one["meta"]["source_field"], one["meta"]["rule"]) for one in body["errors"]} == {
        ("email", "unique"),
        ("username", "p_username"),
        ("external_id", "unique"),
        ("language", "in"),
    }
    path = f"/api/application/users/{user['id']}"
    status, body = await ring.call("admin", "PATCH", path, json={**good, "first_name": "Eva"})
    assert (status, body["attributes"]["first_name"]) == (200, "Eva")
    assert (await ring.call("admin", "PATCH", path, json={"first_name": "Eva"}))[0] == 422
    assert (await ring.call("admin", "GET", "/api/application/users/external/x-1"))[1]["attributes"]["id"] == user["id"]
    _, body = await ring.call("admin", "GET", "/api/application/users?filter[username]=EVE&sort=-id&per_page=1")
    assert [one["attributes"]["username"] for one in body["data"]] == ["eve.1"]
    assert (await ring.call("admin", "DELETE", path))[0] == 204
    assert (await ring.call("admin", "GET", path))[0] == 404


async def test_a_node_has_the_panels_fields(ring: Ring) -> None:
    node = ring.stage.node
    _, body = await ring.call("admin", "GET", f"/api/application/nodes/{node.id}?include=location,servers,allocations")
    included = body["attributes"].pop("relationships")
    assert body["attributes"].keys() == {
        *("id", "uuid", "public", "name", "description", "location_id", "fqdn", "scheme", "behind_proxy", "maintenance_mode"),
        *("memory", "memory_overallocate", "disk", "disk_overallocate", "upload_size", "daemon_listen", "daemon_sftp", "daemon_base"),
        *("created_at", "updated_at", "allocated_resources"),
    }
    assert body["attributes"]["allocated_resources"] == {"memory": 512, "disk": 0}
    assert included["location"]["attributes"]["short"] == "local"
    assert [one["attributes"]["name"] for one in included["servers"]["data"]] == ["Luanti"]
    assert included["allocations"]["data"][0]["attributes"]["assigned"] is True
    assert node.token_sealed not in str(body)
    ring.keys["nodes"] = await ring.key("root", KeyKind.APPLICATION, rights={"nodes": READ})
    _, body = await ring.call("nodes", "GET", f"/api/application/nodes/{node.id}?include=location,servers")
    assert set(map(str, body["attributes"]["relationships"].values())) == {"{'object': 'null_resource', 'attributes': None}"}


async def test_a_nodes_configuration_is_what_its_daemon_needs(ring: Ring) -> None:
    node = ring.stage.node
    _, body = await ring.call("admin", "GET", f"/api/application/nodes/{node.id}/configuration")
    assert (body["uuid"], body["token_id"], body["token"]) == (node.uuid, node.token_id, ring.stage.fake.token.secret)
    assert (body["remote"], body["api"]["port"], body["api"]["ssl"]["enabled"]) == ("http://127.0.0.1:8400", node.port, False)
    status, body = await ring.call("admin", "PATCH", f"/api/application/nodes/{node.id}", json=a_node(ring, reset_secret=True))
    assert status == 200
    _, fresh = await ring.call("admin", "GET", f"/api/application/nodes/{node.id}/configuration")
    assert fresh["token"] != ring.stage.fake.token.secret


async def test_a_changed_node_is_told_and_the_answer_says_when_it_does_not_use_it(ring: Ring, caplog: pytest.LogCaptureFixture) -> None:
    fake, path = ring.stage.fake, f"/api/application/nodes/{ring.stage.node.id}"
    fake.ours = False
    status, body = await ring.call("admin", "PATCH", path, json=a_node(ring, reset_secret=True))
    assert (status, "meta" in body) == (200, False)
    _, configuration = await ring.call("admin", "GET", f"{path}/configuration")
    assert fake.updates == [configuration]
    assert configuration["token"] != fake.token.secret
    fake.token = NodeToken(configuration["token_id"], configuration["token"])  # as Wings does
    fake.ours = True
    status, body = await ring.call("admin", "PATCH", path, json=a_node(ring, memory=4096))
    assert (status, body["attributes"]["memory"], len(fake.updates)) == (200, 4096, 2)
    assert "keeps the settings of its own file" in body["meta"]["aerie_notice"]
    await fake.down()
    status, body = await ring.call("admin", "PATCH", path, json=a_node(ring, reset_secret=True))
    assert status == 200
    assert "refused the connection" in body["meta"]["aerie_notice"]
    assert caplog.text.count("by hand") == 2
    assert fake.token.secret not in caplog.text


def a_node(ring: Ring, **changes: Any) -> dict[str, Any]:
    return {
        **{"name": "local", "location_id": 1, "fqdn": "127.0.0.1", "scheme": "http", "memory": 2048, "disk": 10_000},
        **{"memory_overallocate": 0, "disk_overallocate": 0, "daemon_sftp": 2022, "daemon_listen": ring.stage.fake.port},
        **changes,
    }


async def test_nodes_with_room_are_found(ring: Ring) -> None:
    await ring.call("admin", "PATCH", f"/api/application/nodes/{ring.stage.node.id}", json=a_node(ring))
    deployable = "/api/application/nodes/deployable"
    status, body = await ring.call("admin", "GET", f"{deployable}?memory=1536&disk=10000")
    assert (status, "meta" in body) == (200, False)
    assert (body["data"][0]["attributes"]["sum_memory"], body["data"][0]["attributes"]["sum_disk"]) == ("512", "0")
    for query in ("memory=1537&disk=0", "memory=0&disk=10001", "memory=1&disk=1&location_ids[]=99"):
        status, body = await ring.call("admin", "GET", f"{deployable}?{query}")
        assert (status, body["errors"][0]["code"]) == (400, "NoViableNodeException"), query
    assert (await ring.call("admin", "GET", deployable))[0] == 422


async def test_a_server_goes_where_it_would_go_from_discord(ring: Ring) -> None:
    """To the node with the most room that answers and has a free address; never to one that is away."""
    stage = ring.stage
    await addresses(ring, "25565")
    silent, _ = await stage.services.nodes.create("silent", "http://127.0.0.1:9", None, memory=10**6)
    await stage.services.allocations.add(SYSTEM, "silent", "25565", ip="127.0.0.1")
    deployable = await ring.call("admin", "GET", "/api/application/nodes/deployable?memory=1024&disk=0")
    assert {one["attributes"]["id"] for one in deployable[1]["data"]} == {silent.id, stage.node.id}
    deploy = {"locations": [], "port_range": [], "dedicated_ip": False}
    status, body = await ring.call("admin", "POST", SERVERS, json=order(ring, deploy=deploy))
    assert (status, body["attributes"]["node"]) == (201, stage.node.id)
    status, body = await ring.call("admin", "POST", SERVERS, json=order(ring, name="Next", external_id="x", deploy=deploy))
    assert (status, body["errors"][0]["code"]) == (400, "NoViableAllocationException")
    await stage.fake.down()
    status, body = await ring.call("admin", "POST", SERVERS, json=order(ring, name="Next", external_id="x", deploy=deploy))
    assert (status, body["errors"][0]["code"]) == (400, "NoViableNodeException")


async def test_ports_are_given_to_a_node_by_ranges(ring: Ring) -> None:
    path = f"/api/application/nodes/{ring.stage.node.id}/allocations"
    assert len(await addresses(ring, "25565", "25570-25572", "25571")) == 4
    assert len(await addresses(ring, "25565")) == 4
    for given, code in (
        ({"ip": "127.0.0.1", "ports": ["80"]}, "PortOutOfRangeException"),
        ({"ip": "127.0.0.1", "ports": ["30000-70000"]}, "PortOutOfRangeException"),
        ({"ip": "127.0.0.1", "ports": ["x"]}, "PortOutOfRangeException"),
        ({"ip": "10.0.0.0/8", "ports": ["25565"]}, "CidrOutOfRangeException"),
        ({"ip": "10.0.0.1"}, "ValidationException"),
    ):
        status, body = await ring.call("admin", "POST", path, json=given)
        assert body["errors"][0]["code"] == code, (given, status)
    _, body = await ring.call("admin", "GET", f"{path}?filter[port]=30000&include=server,node")
    (taken,) = body["data"]
    assert taken["attributes"]["relationships"]["server"]["attributes"]["name"] == "Luanti"
    status, body = await ring.call("admin", "DELETE", f"{path}/{taken['attributes']['id']}")
    assert (status, body["errors"][0]["code"]) == (400, "ServerUsingAllocationException")


async def test_nests_and_eggs(ring: Ring) -> None:
    _, body = await ring.call("admin", "GET", "/api/application/nests?include=eggs,servers")
    (nest,) = body["data"]
    assert nest["attributes"]["relationships"]["eggs"]["data"][0]["attributes"]["name"] == "Luanti"
    _, body = await ring.call("admin", "GET", f"/api/application/nests/1/eggs/{ring.stage.egg.id}?include=variables,nest,config,script")
    egg = body["attributes"]
    assert (egg["docker_image"], egg["docker_images"]) == ("~aerie/luanti:latest", {"Luanti": "~aerie/luanti:latest"})
    assert egg["config"] == {
        **{"files": {}, "startup": {"done": "listening on"}, "stop": "^C", "logs": egg["config"]["logs"]},
        **{"file_denylist": [], "extends": None},
    }
    variable = egg["relationships"]["variables"]["data"][0]["attributes"]
    assert (variable["env_variable"], variable["rules"], variable["created_at"][-1]) == ("WORLD", "required|string", "Z")
    assert (await ring.call("admin", "GET", "/api/application/nests/99/eggs/1"))[0] == 404


async def test_a_server_is_made_where_it_was_told(ring: Ring) -> None:
    first, second, third = await addresses(ring, "25565", "25566", "25567")
    status, body = await ring.call("admin", "POST", SERVERS, json=order(ring, allocation={"default": first, "additional": [second]}))
    assert status == 201, body
    made = body["attributes"]
    environment = made["container"].pop("environment")
    for moment in ("created_at", "updated_at"):
        assert made.pop(moment)
    assert made == {
        "id": made["id"],
        "external_id": "shop-1",
        "uuid": made["uuid"],
        "identifier": made["uuid"][:8],
        "name": "Made",
        "description": "",
        "status": None,
        "suspended": False,
        "limits": {"memory": 1024, "swap": 0, "disk": 2048, "io": 500, "cpu": 100, "threads": None, "oom_disabled": True},
        "feature_limits": {"databases": 1, "allocations": 2, "backups": 0},
        "user": ring.users["viewer"].id,
        "node": ring.stage.node.id,
        "allocation": first,
        "nest": 1,
        "egg": ring.stage.egg.id,
        "container": {"startup_command": "run {{WORLD}}", "image": "example/image:1", "installed": 1},
    }
    assert environment == {
        **{"WORLD": "isle", "STARTUP": "run {{WORLD}}", "P_SERVER_LOCATION": "local"},
        **{"P_SERVER_UUID": made["uuid"], "P_SERVER_ALLOCATION_LIMIT": "2"},
    }
    assert made["uuid"] in ring.stage.fake.servers
    assert (await ring.call("viewer", "GET", f"/api/client/servers/{made['identifier']}"))[1]["meta"]["is_server_owner"] is True
    status, body = await ring.call("admin", "POST", SERVERS, json=order(ring, allocation={"default": first}))
    assert {one["meta"]["source_field"] for one in body["errors"]} == {"external_id", "allocation.default"}
    every = ",".join(("allocations", "user", "subusers", "nest", "egg", "variables", "location", "node", "databases", "transfer"))
    _, body = await ring.call("admin", "GET", f"{SERVERS}/external/shop-1?include={every}")
    included = body["attributes"]["relationships"]
    assert included.keys() == set(every.split(","))
    assert [one["attributes"]["id"] for one in included["allocations"]["data"]] == [first, second]
    assert included["user"]["attributes"]["username"] == "viewer"
    build = {
        "allocation": third,
        "add_allocations": [third],
        "remove_allocations": [first],
        "feature_limits": {"databases": 0, "backups": 3},
    }
    status, body = await ring.call("admin", "PATCH", f"{SERVERS}/{made['id']}/build", json=build)
    assert (status, body["attributes"]["allocation"], body["attributes"]["limits"]["memory"]) == (200, third, 1024)
    build = {
        "allocation": third,
        "feature_limits": {"databases": 0, "backups": 3},
        "memory": 2000,
        "swap": 0,
        "io": 500,
        "cpu": 0,
        "disk": 9,
    }
    _, body = await ring.call("admin", "PATCH", f"{SERVERS}/{made['id']}/build", json=build)
    assert (body["attributes"]["limits"]["memory"], body["attributes"]["feature_limits"]["backups"]) == (2000, 3)
    status, body = await ring.call("admin", "PATCH", f"{SERVERS}/{made['id']}/build", json={**build, "remove_allocations": [third]})
    assert status == 400


async def test_an_order_that_does_not_fit_says_everything_that_is_wrong(ring: Ring) -> None:
    status, body = await ring.call("admin", "POST", SERVERS, json={"limits": {"io": 5}})
    assert status == 422
    fields = {one["meta"]["source_field"] for one in body["errors"]}
    assert {"name", "user", "egg", "docker_image", "startup", "environment", "limits.memory", "limits.io", "allocation.default"} <= fields
    for deploy, code in (
        ({"locations": [99], "port_range": []}, "NoViableNodeException"),
        ({"locations": [], "port_range": ["40000"]}, "NoViableAllocationException"),
        ({"locations": [], "port_range": ["x"]}, "PortOutOfRangeException"),
    ):
        status, body = await ring.call("admin", "POST", SERVERS, json=order(ring, deploy={**deploy, "dedicated_ip": False}))
        assert (status, body["errors"][0]["code"]) == (400, code)
    (first,) = await addresses(ring, "25565")
    bad = order(ring, allocation={"default": first}, environment={"WORLD": ""})
    status, body = await ring.call("admin", "POST", SERVERS, json=bad)
    assert (status, body["errors"][0]["meta"]["source_field"]) == (422, "environment")
    assert len(await ring.stage.services.servers.all()) == 1


async def test_startup_and_details_are_replaced_whole(ring: Ring) -> None:
    server = ring.server
    startup = {"startup": "go", "environment": {"WORLD": "w2", "P_X": 1}, "egg": ring.stage.egg.id, "image": "i:1", "skip_scripts": True}
    status, body = await ring.call("admin", "PATCH", f"{SERVERS}/{server.id}/startup", json=startup)
    assert (status, body["attributes"]["container"]["environment"]["WORLD"]) == (200, "w2")
    status, _ = await ring.call("admin", "PATCH", f"{SERVERS}/{server.id}/startup", json={**startup, "environment": {"OTHER": "1"}})
    assert status == 200  # none of it is the egg's, so nothing is rewritten
    details = {"name": "Named", "user": ring.users["stranger"].id, "external_id": "e", "description": "d"}
    _, body = await ring.call("admin", "PATCH", f"{SERVERS}/{server.id}/details", json=details)
    assert (body["attributes"]["name"], body["attributes"]["user"]) == ("Named", ring.users["stranger"].id)
    _, body = await ring.call("admin", "PATCH", f"{SERVERS}/{server.id}/details", json={"name": "Named", "user": ring.users["root"].id})
    assert (body["attributes"]["external_id"], body["attributes"]["description"]) == (None, "")
    await ring.stage.services.sessions.deliver()
    assert ring.stage.fake.farewells == [(ring.users["stranger"].uuid, [server.uuid])]


async def test_a_server_is_deleted_with_its_node_or_by_force(ring: Ring) -> None:
    await ring.stage.fake.down()
    status, body = await ring.call("admin", "DELETE", f"{SERVERS}/{ring.server.id}")
    assert (status, body["errors"][0]["code"]) == (504, "DaemonConnectionException")
    assert (await ring.call("admin", "GET", f"{SERVERS}/{ring.server.id}"))[0] == 200
    assert (await ring.call("admin", "DELETE", f"{SERVERS}/{ring.server.id}/force"))[0] == 204
    assert (await ring.call("admin", "GET", f"{SERVERS}/{ring.server.id}"))[0] == 404


async def test_suspending_twice_is_suspending_once(ring: Ring) -> None:
    for verb, suspended in (("suspend", True), ("suspend", True), ("unsuspend", False), ("unsuspend", False)):
        assert (await ring.call("admin", "POST", f"{SERVERS}/{ring.server.id}/{verb}"))[0] == 204
        assert (await ring.call("admin", "GET", f"{SERVERS}/{ring.server.id}"))[1]["attributes"]["suspended"] is suspended
    rows, total = await ring.stage.services.directory.activities(server=ring.server, event="suspend")
    assert total == 2
    assert {row.actor_kind for row in rows} == {"api_key"}


async def test_a_server_suspended_while_it_is_installed_is_being_installed_still_when_that_ends(ring: Ring) -> None:
    uuid = ring.server.uuid
    ring.stage.fake.servers[uuid].installing = True
    for verb, status in (("suspend", "suspended"), ("unsuspend", "installing")):
        assert (await ring.call("admin", "POST", f"{SERVERS}/{ring.server.id}/{verb}"))[0] == 204
        assert (await ring.stage.services.servers.get(uuid)).status == status
    ring.stage.fake.servers[uuid].installing = False
    node = (await ring.stage.services.servers.get(uuid)).node
    await ring.stage.services.servers.report_install(uuid, node, successful=True, reinstall=False)
    for verb in ("suspend", "unsuspend"):
        assert (await ring.call("admin", "POST", f"{SERVERS}/{ring.server.id}/{verb}"))[0] == 204
    assert (await ring.stage.services.servers.get(uuid)).status is None
