"""Tests of the eggs' and nodes' services that every database must pass; imported by the modules that run tests/service_suite.py."""

import json

import pytest

from core.actor import Actor
from core.errors import Conflict, Forbidden, Invalid, LimitReached, MissingPermission, NotFound
from core.models.server import Allocation
from core.services import allocations
from core.services.access import Access
from core.vocabulary import ActorKind
from tests.control_plane import GUILD, SYSTEM, Stage, an_egg, member, owner

UUID = "5da37ef6-58da-4169-90a6-e683e1721247"


def variable(env: str, **more: object) -> dict[str, object]:
    return {"name": env.title(), "env_variable": env, "default_value": "a", "user_viewable": True, "user_editable": True, **more}


async def test_an_egg_imported_again_is_the_same_egg_with_what_is_new(stage: Stage) -> None:
    made = await stage.services.eggs.take(owner(), an_egg(name="Game", variables=[variable("ONE"), variable("TWO")]))
    assert made.created
    stage.egg = made.egg
    server = await stage.a_server(variables={"ONE": "x", "TWO": "y"})
    again = await stage.services.eggs.take(owner(), an_egg(name="Game", startup="other", variables=[variable("THREE"), variable("ONE")]))
    assert (again.created, again.egg.id, again.servers, again.egg.startup) == (False, made.egg.id, 1, "other")
    assert [one.env_variable for one in again.egg.variables] == ["THREE", "ONE"]
    kept = await stage.services.servers.get(server.uuid)
    assert {value.variable.env_variable: value.value for value in kept.variables} == {"ONE": "x"}


async def test_a_uuid_counts_before_a_name_and_two_eggs_may_share_one(stage: Stage) -> None:
    eggs = stage.services.eggs
    first = await eggs.take(SYSTEM, an_egg(name="A", uuid=UUID))
    assert not (await eggs.take(SYSTEM, an_egg(name="A", uuid=UUID, author="x@y.invalid"))).created
    other = await eggs.take(SYSTEM, an_egg(name="B", uuid=UUID))
    assert other.created
    assert any("same uuid" in note for note in other.notes)
    replaced = await eggs.take(SYSTEM, an_egg(name="C", uuid=UUID), replace=first.egg.id)
    assert (replaced.created, replaced.egg.id, replaced.egg.name) == (False, first.egg.id, "C")
    with pytest.raises(NotFound):
        await eggs.take(SYSTEM, an_egg(), replace="nothing like it")


async def test_an_egg_in_use_stays_and_says_why(stage: Stage) -> None:
    await stage.a_server()
    eggs = stage.services.eggs
    with pytest.raises(Conflict, match="1 server still use"):
        await eggs.delete(owner(), "luanti")
    await stage.services.servers.delete(SYSTEM, "Luanti")
    await eggs.delete(owner(), "Luanti")
    with pytest.raises(NotFound):
        await eggs.find("Luanti")


async def test_an_egg_comes_out_as_it_went_in(stage: Stage) -> None:
    body = json.loads(an_egg(name="Out", meta={"version": "PLCN_v3"}, uuid=UUID, tags=["x"], icon="data:image/png;base64,AA=="))
    body["startup_commands"] = {"One": "a", "Two": "b"}
    body["config"]["logs"] = {"custom": True}
    await stage.services.eggs.take(SYSTEM, json.dumps(body).encode())
    _, written, lost = await stage.services.eggs.export("Out", "PLCN_v3")
    out = json.loads(written)
    assert lost == []
    for key in ("name", "uuid", "tags", "icon", "startup_commands", "docker_images"):
        assert out[key] == body[key], key
    assert json.loads(out["config"]["logs"]) == {"custom": True}
    _, _, lost = await stage.services.eggs.export("Out", "PTDL_v2")
    assert len(lost) == 3
    with pytest.raises(Invalid):
        await stage.services.eggs.export("Out", "PTDL_v1")


async def test_who_may_change_what_all_guilds_share(stage: Stage) -> None:
    services = stage.services
    for call in (
        lambda actor: services.eggs.take(actor, an_egg()),
        lambda actor: services.eggs.delete(actor, "Luanti"),
        lambda actor: services.nodes.make(actor, "x", "http://127.0.0.1:1"),
        lambda actor: services.nodes.remove(actor, "local"),
        lambda actor: services.allocations.add(actor, "local", "3000"),
        lambda actor: services.allocations.remove(actor, "local", "3000"),
    ):
        with pytest.raises(MissingPermission):
            await call(member())
    strict = Access(services.database, services.activity, services.members, managers_may_build=False)
    with pytest.raises(Forbidden, match="whoever runs Aerie"):
        await strict.require_builder(owner(), event="egg:import")
    await strict.require_builder(SYSTEM, event="egg:import")
    manager = Actor(ActorKind.DISCORD, "Max", discord_id=44, guild_id=GUILD)
    await services.guilds.grant(owner(), preset="manager", user_id=44)
    await services.access.require_builder(manager, event="egg:import")


async def test_a_broken_egg_changes_nothing(stage: Stage) -> None:
    before = [egg.name for egg in await stage.services.eggs.all()]
    for body in (b"{", an_egg(variables="x"), b"a: &a [*a]"):
        with pytest.raises(Invalid):
            await stage.services.eggs.take(owner(), body)
    assert [egg.name for egg in await stage.services.eggs.all()] == before


async def test_a_node_is_made_looked_at_and_removed(stage: Stage) -> None:
    nodes = stage.services.nodes
    made, token = await nodes.make(owner(), "second", "https://n2.example.net:8080/", memory=4000, disk=9)
    assert (made.url, made.memory, made.disk, len(token.secret)) == ("https://n2.example.net:8080", 4000, 9, 64)
    assert (await nodes.find("SECOND")).id == (await nodes.find(made.id)).id == made.id
    with pytest.raises(Conflict):
        await nodes.make(owner(), "second", "http://127.0.0.1:2")
    for name, url in (("", "http://a"), ("x", "ftp://a"), ("x", "http://u:p@a"), ("x\ny", "http://a")):
        with pytest.raises(Invalid):
            await nodes.make(owner(), name, url)
    await stage.services.allocations.add(owner(), "second", "3000-3009")
    await nodes.remove(owner(), "second")
    with pytest.raises(NotFound, match="no such node"):
        await nodes.find("second")
    await stage.a_server()
    with pytest.raises(Conflict, match="has 1 server"):
        await nodes.remove(owner(), "local")


async def test_ports_come_and_go_by_ranges(stage: Stage) -> None:
    ports = stage.services.allocations
    await stage.a_server(port=30000)
    assert (await ports.add(owner(), "local", "29999-30001, 30005", ip="127.0.0.1"))[1] == 3
    assert (await ports.add(owner(), "local", "29999-30001", ip="127.0.0.1"))[1] == 0
    counts = (await ports.counts())[stage.node.id]
    assert (counts.total, counts.free) == (4, 3)
    assert (await ports.remove(owner(), "local", "29999-30001"))[1:] == (2, 1)
    assert [one.port for one in await ports.of(stage.node)] == [30000, 30005]
    with pytest.raises(LimitReached):
        for start in range(1024, 60000, 1000):
            await ports.add(owner(), "local", f"{start}-{start + 999}")


async def test_players_are_told_the_nodes_host_where_a_port_has_none(stage: Stage) -> None:
    await stage.services.allocations.add(owner(), "local", "25565")
    await stage.services.allocations.add(owner(), "local", "25566", alias="play.example.net")
    found: list[Allocation] = await stage.services.allocations.of(stage.node)
    assert [one.address for one in found] == ["127.0.0.1:25565", "play.example.net:25566"]


@pytest.mark.parametrize("text", ["", "x", "1-2", "5000-4000", "70000", "25565-", "1024-3000", "25565 25566", "-1", "٢٥٥٦٥"])
def test_a_range_of_ports_that_is_none(text: str) -> None:
    with pytest.raises(Invalid):
        allocations.parse(text)


def test_ranges_of_ports_are_read_and_shown() -> None:
    assert allocations.parse("25565; 25570 - 25572,25571") == [25565, 25570, 25571, 25572]
    assert allocations.spans([3, 1, 2, 7]) == "1-3, 7"
    assert allocations.spans([]) == ""
