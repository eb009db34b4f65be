"""Tests of making servers that every database must pass; imported by the modules that run tests/service_suite.py."""

import asyncio
from contextlib import suppress

import pytest

from core.errors import AerieError, Conflict, Forbidden, Invalid, MissingPermission, NodeUnreachable, NotFound, ServerBusy
from core.events import ServerInstallEnded
from core.models.server import Server
from core.services import amounts
from core.services.drafts import Drafted, Order
from core.services.servers import Extras, Limits
from core.vocabulary import PowerSignal, ServerStatus
from tests.control_plane import GUILD, SYSTEM, Stage, an_egg, member, owner
from tests.fakes.node import FakeServer

SCRIPT = {"installation": {"script": "echo hi", "container": "debian", "entrypoint": "bash"}}
ASKED = [
    {"name": "Motd", "env_variable": "MOTD", "default_value": "hi", "rules": "string|max:5", "user_viewable": True, "user_editable": True},
    {"name": "Key", "env_variable": "API_KEY", "default_value": "", "rules": "required|alpha_num"},
    {"name": "Fixed", "env_variable": "FIXED", "default_value": "1", "rules": "required|in:1", "user_viewable": True},
]


async def ready(stage: Stage, ports: str = "30000-30002", **egg: object) -> None:
    """An egg called Game and some ports."""
    await stage.services.eggs.take(SYSTEM, an_egg(name="Game", scripts=SCRIPT, **egg))
    if ports:
        await stage.services.allocations.add(SYSTEM, "local", ports, ip="127.0.0.1")


async def begun(stage: Stage, name: str = "Isle", **order: object) -> Drafted:
    return await stage.services.drafts.begin(owner(), "Game", Order(name=name, memory=512, **order))  # type: ignore[arg-type]


async def test_a_draft_becomes_a_server_on_a_free_port(stage: Stage) -> None:
    await ready(stage, variables=ASKED)
    draft = await begun(stage, cpu=200, disk=1024)
    assert draft.place == "local"
    assert [(one.env, one.must, one.secret) for one in draft.questions] == [("API_KEY", True, True), ("MOTD", False, False)]
    with pytest.raises(Invalid, match="API_KEY"):
        await stage.services.drafts.finish(owner(), draft.code)
    draft = await stage.services.drafts.answer(owner(), draft.code, {"MOTD": "too long", "API_KEY": "abc"})
    assert list(draft.wrong) == ["MOTD"]
    draft = await stage.services.drafts.answer(owner(), draft.code, {"MOTD": "yo"})
    assert draft.wrong == {}
    made = await stage.services.drafts.finish(owner(), draft.code)
    assert (made.name, made.memory, made.cpu, made.disk, made.status) == ("Isle", 512, 200, 1024, ServerStatus.INSTALLING)
    assert made.allocation is not None
    assert made.allocation.port == 30000
    settings = (await stage.services.servers.settings(made.uuid)).settings
    assert {key: settings.environment[key] for key in ("MOTD", "API_KEY", "FIXED")} == {"MOTD": "yo", "API_KEY": "abc", "FIXED": "1"}
    assert made.uuid in stage.fake.servers
    with pytest.raises(NotFound):
        await stage.services.drafts.get(owner(), draft.code)
    assert [row.server_uuid for row in await stage.services.drafts.followed()] == [made.uuid]


async def test_a_draft_finished_by_many_is_one_server(stage: Stage) -> None:
    await ready(stage)
    draft = await begun(stage)
    results = await asyncio.gather(*(stage.services.drafts.finish(owner(), draft.code) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, Server) for result in results) == 1
    assert all(isinstance(result, Server | NotFound) for result in results), results
    assert len(await stage.services.servers.all()) == 1


async def test_two_drafts_never_get_one_port(stage: Stage) -> None:
    await ready(stage, "30000-30001")
    drafts = [await begun(stage, f"Isle {number}") for number in range(3)]
    results = await asyncio.gather(*(stage.services.drafts.finish(owner(), draft.code) for draft in drafts), return_exceptions=True)
    made = [result for result in results if isinstance(result, Server)]
    assert sorted(server.allocation.port for server in made if server.allocation) == [30000, 30001]
    (refused,) = [result for result in results if not isinstance(result, Server)]
    assert isinstance(refused, Conflict)
    left = [draft.code for draft, result in zip(drafts, results, strict=True) if result is refused]
    await stage.services.allocations.add(SYSTEM, "local", "30005", ip="127.0.0.1")
    again = await stage.services.drafts.finish(owner(), left[0])
    assert again.allocation is not None
    assert again.allocation.port == 30005


async def test_what_cannot_work_is_refused_at_once(stage: Stage) -> None:
    await ready(stage, "")
    drafts = stage.services.drafts
    with pytest.raises(Conflict, match="it has no ports") as bare:
        await begun(stage)
    assert bare.value.hint == "Give it ports: `/node ports node:local do:Add ports:25565-25580`."
    await stage.services.allocations.add(SYSTEM, "local", "30001", ip="127.0.0.1")
    for order, error in (
        (Order(name=""), Invalid),
        (Order(name="a\nb"), Invalid),
        (Order(name="x", image="other:1"), Invalid),
        (Order(name="x", memory=9_000), Conflict),
    ):
        with pytest.raises(error) as refused:
            await drafts.begin(owner(), "Game", order)
    assert refused.value.hint.startswith("Give it less memory")
    with pytest.raises(NotFound):
        await drafts.begin(owner(), "No such game", Order(name="x"))
    with pytest.raises(NotFound):
        await drafts.begin(owner(), "Game", Order(name="x"), node_ref="nowhere")
    with pytest.raises(MissingPermission):
        await drafts.begin(member(), "Game", Order(name="x"))
    await stage.a_server("Taken", 30009)
    with pytest.raises(Conflict, match="already a server called"):
        await drafts.begin(owner(), "Game", Order(name="taken"))


async def test_a_draft_is_its_guilds_and_can_be_cancelled(stage: Stage) -> None:
    await ready(stage)
    await stage.services.guilds.bind(2002, 12, "Elsewhere")
    draft = await begun(stage)
    with pytest.raises(NotFound):
        await stage.services.drafts.get(owner(2002), draft.code)
    with pytest.raises(MissingPermission):
        await stage.services.drafts.answer(member(), draft.code, {})
    with pytest.raises(Invalid):
        await stage.services.drafts.answer(owner(), draft.code, {"NOPE": "1"})
    await stage.services.drafts.cancel(owner(), draft.code)
    with pytest.raises(NotFound):
        await stage.services.drafts.finish(owner(), draft.code)


async def test_the_emptiest_node_that_answers_is_chosen(stage: Stage) -> None:
    await ready(stage)
    placement = stage.services.placement
    await stage.a_server(port=30000)
    room = await placement.room(stage.node)
    assert (room.memory, room.memory_given, room.memory_left, room.servers) == (8000, 512, 7488, 1)
    other, _ = await stage.services.nodes.create("other", stage.fake.url, None, memory=7_900)
    assert (await placement.choose(100, 0)).node.name == "local"
    await stage.services.allocations.add(SYSTEM, "other", "31000", ip="127.0.0.1")
    assert "no port" not in (await placement.room(other)).obstacle(0, 0)
    assert (await placement.choose(100, 0)).node.name == "local"  # the other does not take our token
    await stage.fake.down()
    with pytest.raises(Conflict, match="local: refused the connection"):
        await placement.choose(100, 0)


async def test_members_make_no_servers_and_managers_only_at_home(stage: Stage) -> None:
    await ready(stage)
    egg = await stage.services.eggs.find("Game")
    create = stage.services.servers.create
    with pytest.raises(MissingPermission):
        await create(member(), name="x", egg_id=egg.id, node_id=stage.node.id, guild_id=GUILD)
    with pytest.raises(Forbidden):
        await create(owner(), name="x", egg_id=egg.id, node_id=stage.node.id, guild_id=GUILD, ip="127.0.0.1", port=22)
    with pytest.raises(Conflict, match="does not have the port 22"):
        await create(owner(), name="x", egg_id=egg.id, node_id=stage.node.id, guild_id=GUILD, port=22)
    with pytest.raises(Invalid):
        await create(owner(), name="x", egg_id=egg.id, node_id=stage.node.id, guild_id=GUILD, image="evil:1")
    made = await create(
        owner(), name="x", egg_id=egg.id, node_id=stage.node.id, guild_id=GUILD, limits=Limits(memory=1), extras=Extras(skip_scripts=True)
    )
    assert (made.skip_scripts, made.status) == (True, None)


async def test_a_reinstallation_is_asked_for_once_and_reported(stage: Stage) -> None:
    await ready(stage)
    made = await stage.services.drafts.finish(owner(), (await begun(stage)).code)
    servers = stage.services.servers
    with pytest.raises(ServerBusy):
        await servers.reinstall(owner(), made.uuid)
    async with stage.services.live.watching(made.uuid) as events:
        await servers.report_install(made.uuid, stage.node, successful=False, reinstall=False, reason="The disk is full.")
        (heard,) = await events.drain()
    assert isinstance(heard, ServerInstallEnded)
    assert (heard.successful, heard.reason) == (False, "The disk is full.")
    assert (await servers.reinstall(owner(), made.uuid)).status == ServerStatus.INSTALLING
    assert stage.fake.servers[made.uuid].installs == ["install"]
    await servers.report_install(made.uuid, stage.node, successful=True, reinstall=False)
    await servers.reinstall(owner(), made.uuid)
    assert stage.fake.servers[made.uuid].installs == ["install", "reinstall"]
    await servers.report_install(made.uuid, stage.node, successful=False, reinstall=True)
    assert (await servers.get(made.uuid)).status == ServerStatus.REINSTALL_FAILED
    await stage.fake.down()
    with pytest.raises(NodeUnreachable):
        await servers.reinstall(owner(), made.uuid)
    assert (await servers.get(made.uuid)).status == ServerStatus.REINSTALL_FAILED
    with pytest.raises(MissingPermission):
        await servers.reinstall(member(), made.uuid)


async def test_a_node_that_was_away_is_reminded(stage: Stage) -> None:
    await ready(stage)
    draft = await begun(stage)
    real, stage.services.placement.choose = stage.services.placement.choose, _somewhere(stage)  # type: ignore[method-assign]
    await stage.fake.down()
    made = await stage.services.drafts.finish(owner(), draft.code)
    stage.services.placement.choose = real  # type: ignore[method-assign]
    assert made.status == ServerStatus.INSTALLING
    with pytest.raises(NodeUnreachable):
        await stage.services.servers.remind(made.uuid)
    await stage.fake.up()
    for _ in range(100):
        try:
            await stage.services.servers.remind(made.uuid)
        except AerieError:
            await asyncio.sleep(0.2)
        else:
            break
    assert made.uuid in stage.fake.servers


def _somewhere(stage: Stage):  # type: ignore[no-untyped-def]
    async def choose(memory: int, disk: int, node_ref: object = None):  # type: ignore[no-untyped-def]
        return await stage.services.placement.room(stage.node)

    return choose


async def test_what_a_node_never_took_outlives_its_boot_and_is_sent_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await ready(stage)
    scripted, plain = await stage.services.eggs.find("Game"), stage.egg
    servers = stage.services.servers
    await stage.fake.down()
    made = [
        await servers.create(SYSTEM, name=egg.name, egg_id=egg.id, node_id=stage.node.id, guild_id=GUILD, start=True)
        for egg in (scripted, plain)
    ]
    assert [(server.status, server.waits_for_node) for server in made] == [(ServerStatus.INSTALLING, True), (None, True)]
    assert await servers.waiting(stage.node.id) == []  # whoever makes them may be telling the node
    monkeypatch.setattr("core.services.servers.TOLD_WITHIN", -5.0)
    assert await servers.waiting(stage.node.id) == [server.uuid for server in made]
    assert await servers.waiting(stage.node.id + 1) == []
    assert await servers.reset(stage.node) == 0
    assert (await servers.get(made[0].uuid)).status == ServerStatus.INSTALLING
    for server in made:
        with pytest.raises(ServerBusy, match="is not on its node yet"):
            await stage.services.power.send(owner(), server.uuid, PowerSignal.START)
    await stage.fake.up()
    for server in made:
        await reminded(stage, server.uuid)
    assert [body["start_on_completion"] for body in stage.fake.created] == [True, True]
    assert await servers.waiting(stage.node.id) == []
    await servers.remind(made[1].uuid)
    assert len(stage.fake.created) == 2
    assert await servers.reset(stage.node) == 1


async def reminded(stage: Stage, uuid: str) -> None:
    """Until the node listens again and its circuit is closed."""
    async with asyncio.timeout(30):
        while True:
            with suppress(NodeUnreachable):
                return await stage.services.servers.remind(uuid)
            await asyncio.sleep(0.1)


async def test_a_boot_of_the_node_ends_an_installation_in_words(stage: Stage) -> None:
    await ready(stage)
    made = await stage.services.drafts.finish(owner(), (await begun(stage)).code)
    async with stage.services.live.watching(made.uuid) as events:
        assert await stage.services.servers.reset(stage.node) == 1
        (heard,) = await events.drain()
    assert isinstance(heard, ServerInstallEnded)
    assert not heard.successful
    assert "started anew" in heard.reason


async def test_a_server_gets_another_name(stage: Stage) -> None:
    made = await stage.a_server("One", 30000)
    await stage.a_server("Two", 30001)
    servers = stage.services.servers
    assert (await servers.rename(owner(), "One", " Uno ")).name == "Uno"
    assert (await servers.rename(owner(), "Uno", "uno")).name == "uno"
    for name, error in (("two", Conflict), ("", Invalid), ("x" * 101, Invalid)):
        with pytest.raises(error):
            await servers.rename(owner(), made.uuid, name)
    with pytest.raises(MissingPermission):
        await servers.rename(member(), made.uuid, "x")


async def test_managers_delete_servers_and_others_do_not(stage: Stage) -> None:
    made = await stage.a_server()
    with pytest.raises(MissingPermission):
        await stage.services.servers.delete(member(), made.uuid)
    await stage.services.servers.delete(owner(), made.uuid)
    assert made.uuid not in stage.fake.servers
    stage.fake.servers[made.uuid] = FakeServer()
    with pytest.raises(NotFound):
        await stage.services.servers.delete(owner(), made.uuid)


async def test_values_that_break_the_eggs_rules_are_refused(stage: Stage) -> None:
    await ready(stage, variables=ASKED)
    stage.egg = await stage.services.eggs.find("Game")
    with pytest.raises(Invalid, match=r"Key \(API_KEY\) must not be empty"):
        await stage.a_server()
    with pytest.raises(Invalid, match="at most 5 characters"):
        await stage.a_server(variables={"API_KEY": "x", "MOTD": "abcdef"})
    await stage.a_server(variables={"API_KEY": "x"})


@pytest.mark.parametrize(
    ("read", "text", "amount"),
    [
        (amounts.memory, "512", 512),
        (amounts.memory, "4 GiB", 4295),
        (amounts.memory, "1.5gb", 1500),
        (amounts.memory, "1,5 GB", 1500),
        (amounts.memory, "unlimited", 0),
        (amounts.memory, " 0 ", 0),
        (amounts.disk, "10GiB", 10240),
        (amounts.disk, "100 MB", 96),
        (amounts.cpu, "2 cores", 200),
        (amounts.cpu, "150 %", 150),
        (amounts.cpu, "0.5 cores", 50),
    ],
)
def test_amounts_are_read_with_their_units(read, text: str, amount: int) -> None:  # type: ignore[no-untyped-def]
    assert read(text) == amount


@pytest.mark.parametrize("text", ["x", "-1", "4 apples", "1e9", "99999999 TiB", "1..2 GB", "½"])
def test_amounts_that_are_none(text: str) -> None:
    for read in (amounts.memory, amounts.disk, amounts.cpu):
        with pytest.raises(Invalid):
            read(text)


def test_amounts_are_shown_as_people_say_them() -> None:
    assert [amounts.shown(4295, "MB"), amounts.shown(512, "MB"), amounts.shown(10240, "MiB")] == ["4 GiB", "488 MiB", "10 GiB"]
    assert [amounts.shown(0, "MB"), amounts.shown(200, "%")] == ["unlimited", "200 %"]
