"""py-dactyl, as people's programs use it, against the endpoint over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydactyl import PterodactylClient
from pydactyl.exceptions import PterodactylApiError
from requests import HTTPError

from core.tokens import NodeToken
from tests.bot.api.keyring import Ring, keyring


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    async with keyring(tmp_path) as ready:
        yield ready


@contextmanager
def dactyl(ring: Ring, who: str) -> Iterator[Any]:
    client = PterodactylClient(str(ring.client.make_url("/")), ring.keys[who], retries=0)
    try:
        yield client
    finally:
        client._session.close()


async def test_a_person_lists_looks_at_and_drives_their_server(ring: Ring) -> None:
    await ring.stage.fake.become(ring.server.uuid, "running")

    def use() -> None:
        with dactyl(ring, "owner") as api:
            servers = api.client.servers.list_servers()
            assert [entry["attributes"]["name"] for entry in servers.data] == ["Luanti"]
            short = servers.data[0]["attributes"]["identifier"]
            assert api.client.servers.get_server(short)["uuid"] == ring.server.uuid
            assert api.client.servers.get_server_utilization(short)["current_state"] == "running"
            assert api.client.account.get_account()["attributes"]["username"] == "owner"
            assert api.client.servers.send_console_command(short, "say hi").status_code == 204
            assert api.client.servers.send_power_action(short, "stop").status_code == 204
            assert api.client.servers.get_websocket(short)["data"]["socket"].startswith("ws://127.0.0.1:")
            made = api.client.account.api_key_create("ci", ["203.0.113.0/24"])
            assert len(made["meta"]["secret_token"]) == 32
            assert api.client.account.api_key_delete(made["attributes"]["identifier"]).status_code == 204
            assert api.client.servers.startup.list_variables(short)["data"] == []
            assert api.client.servers.network.list_allocations(short)["data"][0]["attributes"]["port"] == 30000

    await asyncio.to_thread(use)
    assert ring.stage.fake.servers[ring.server.uuid].typed == ["say hi"]
    assert ring.stage.fake.servers[ring.server.uuid].signals == ["stop"]


async def test_an_administrator_builds_from_nothing(ring: Ring) -> None:
    def use() -> str:
        with dactyl(ring, "admin") as api:
            user = api.user.create_user("Bea", "bea@example.org", "Bea", "Bell", external_id="crm-7")["attributes"]
            assert (user["username"], api.user.get_user_info(external_id="crm-7")["attributes"]["id"]) == ("bea", user["id"])
            place = api.locations.create_location("fra", "Frankfurt")["attributes"]
            assert place["short"] == "fra"
            url = ring.stage.fake.port
            node = api.nodes.create_node(
                "node two", "spare", place["id"], "127.0.0.1", 4096, 20000, use_ssl=False, daemon_listen=url, daemon_sftp=2022
            )["attributes"]
            assert (node["location_id"], node["daemon_listen"], node["memory"]) == (place["id"], url, 4096)
            config = api.nodes.get_node_config(node["id"])
            assert len(config["token"]) == 64
            ring.stage.fake.token = NodeToken(config["token_id"], config["token"])  # as its owner would configure it
            api.nodes.create_allocations(node["id"], "127.0.0.1", ["25565", "25570-25575"])
            assert len(api.nodes.list_node_allocations(node["id"])) == 7
            nest = api.nests.list_nests().data[0]["attributes"]
            egg = api.nests.get_eggs_in_nest(nest["id"])["data"][0]["attributes"]
            answer = api.servers.create_server(
                "Bea's world", user["id"], nest["id"], egg["id"], 1024, 0, 2048, location_ids=[place["id"]], port_range=["25570-25575"]
            )
            assert answer.status_code == 201
            server = answer.json()["attributes"]
            assert (server["user"], server["node"], server["limits"]["memory"]) == (user["id"], node["id"], 1024)
            assert (
                api.servers.get_server_info(server["id"], includes=["allocations"])["relationships"]["allocations"]["data"][0][
                    "attributes"
                ]["port"]
                == 25570
            )
            assert len(api.servers.list_servers()) == 2
            api.servers.update_server_details(server["id"], "Bea's isle", user["id"])
            api.servers.suspend_server(server["id"])
            assert api.servers.get_server_info(server["id"])["suspended"] is True
            api.servers.unsuspend_server(server["id"])
            with pytest.raises(PterodactylApiError):
                api.nodes.delete_node(node["id"])
            with pytest.raises(PterodactylApiError):
                api.user.delete_user(user_id=user["id"])
            api.servers.delete_server(server["id"], force=True)
            api.nodes.delete_node(node["id"])
            api.locations.delete_location(place["id"])
            api.user.delete_user(user_id=user["id"])
            with pytest.raises(HTTPError):
                api.servers.get_server_info(server["id"])
            return str(server["uuid"])

    uuid = await asyncio.to_thread(use)
    rows, _ = await ring.stage.services.directory.activities(user=ring.users["root"], count=100)
    events = {row.event for row in rows}
    assert {"admin:user.create", "admin:location.create", "admin:node.create", "server:create", "admin:server.suspend"} <= events
    assert all(row.actor_kind == "api_key" and row.origin == "127.0.0.1" for row in rows)
    assert uuid not in {server.uuid for server in await ring.stage.services.servers.all()}
