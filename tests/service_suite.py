"""Tests of the services that every database must pass. Modules that run them import everything and give a fixture `database_url`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    MissingPermission,
    NodeUnreachable,
    NotConfigured,
    NotFound,
    ServerSuspended,
    Unauthenticated,
)
from core.models.activity import Activity
from core.models.server import Server
from core.protocol.remote import ActivityEntry
from core.vocabulary import Outcome, PowerSignal, ServerStatus
from tests.control_plane import GUILD, MODERATOR_ROLE, OWNER, SYSTEM, Stage, an_egg, member, owner, staged


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with staged(database_url) as ready:
        yield ready


async def rows(stage: Stage) -> list[Activity]:
    async with stage.services.database.session() as session:
        return list(await session.scalars(select(Activity).order_by(Activity.id)))


async def test_a_server_is_found_by_each_of_its_names(stage: Stage) -> None:
    made = await stage.a_server("Sky Isle")
    for ref in (made.id, str(made.id), made.uuid, made.uuid.upper(), made.short, "Sky Isle", "sky isle"):
        found = await stage.services.access.server(owner(), ref, "control.start")
        assert found.uuid == made.uuid
    assert found.egg.name == "Luanti"
    assert found.node.name == "local"
    assert found.allocation is not None
    assert found.allocation.address == "127.0.0.1:30000"


async def test_an_unknown_server_is_answered_with_the_nearest_names(stage: Stage) -> None:
    await stage.a_server("Luanti")
    await stage.a_server("Freeciv", 5556)
    with pytest.raises(NotFound) as caught:
        await stage.services.access.server(owner(), "luantj @everyone", "control.start")
    assert "Luanti" in caught.value.hint
    assert "@" not in caught.value.message


async def test_nobody_sees_into_another_guild(stage: Stage) -> None:
    made = await stage.a_server()
    await stage.services.guilds.bind(2002, 12, "Elsewhere")
    for ref in (made.id, made.uuid, made.name):
        with pytest.raises(NotFound) as caught:
            await stage.services.access.server(owner(2002), ref, "control.start")
        assert "Luanti" not in caught.value.hint
    assert await stage.services.access.visible(owner(2002)) == []
    assert await stage.services.access.permissions(owner(2002), made) == frozenset()


async def test_a_refusal_names_permission_and_grantor_and_is_written_down(stage: Stage) -> None:
    made = await stage.a_server()
    with pytest.raises(MissingPermission) as caught:
        await stage.services.power.send(member(), made.name, PowerSignal.STOP)
    assert "`control.stop`" in str(caught.value)
    assert f"<@{OWNER}>" in caught.value.hint
    last = (await rows(stage))[-1]
    assert (last.event, last.outcome, last.discord_id) == ("server:power.stop", Outcome.REFUSED, 33)
    assert last.details["permission"] == "control.stop"
    assert stage.fake.servers[made.uuid].signals == []


async def test_grants_by_role_and_user_on_one_server_or_all(stage: Stage) -> None:
    one, other = await stage.a_server("One"), await stage.a_server("Other", 30001)
    guilds, access = stage.services.guilds, stage.services.access
    await guilds.grant(owner(), preset="operator", role_id=MODERATOR_ROLE, server_ref="One")
    await guilds.grant(owner(), preset="viewer", user_id=33)
    mia = member(MODERATOR_ROLE)
    assert [s.name for s in await access.visible(mia)] == ["One", "Other"]
    assert [s.name for s in await access.visible(mia, "control.start")] == ["One"]
    assert "control.start" in await access.permissions(mia, one)
    assert "control.start" not in await access.permissions(mia, other)
    await guilds.grant(owner(), preset="viewer", role_id=MODERATOR_ROLE, server_ref="One")
    assert len(await guilds.grants(owner())) == 2
    assert await guilds.revoke(owner(), user_id=33) == 1
    assert [s.name for s in await access.visible(mia)] == ["One"]


async def test_nobody_grants_what_they_do_not_hold(stage: Stage) -> None:
    await stage.a_server()
    guilds = stage.services.guilds
    await guilds.grant(owner(), preset="moderator", role_id=MODERATOR_ROLE)
    with pytest.raises(MissingPermission):
        await guilds.grant(member(MODERATOR_ROLE), preset="manager", user_id=33)
    with pytest.raises(Invalid):
        await guilds.grant(owner(), preset="king", role_id=1)
    with pytest.raises(Invalid):
        await guilds.grant(owner(), preset="viewer")


async def test_a_signal_is_written_down_and_handed_over(stage: Stage) -> None:
    made = await stage.a_server()
    sent = await stage.services.power.send(owner(), "luanti", PowerSignal.START)
    assert sent.server.uuid == made.uuid
    assert len(sent.signal_id) == 32
    last = (await rows(stage))[-1]
    assert (last.event, last.outcome, last.server_id) == ("server:power.start", Outcome.OK, made.id)


async def test_a_node_that_is_down_is_told_and_the_row_says_so(stage: Stage) -> None:
    await stage.a_server()
    await stage.fake.down()
    with pytest.raises(NodeUnreachable):
        await stage.services.power.send(owner(), "Luanti", PowerSignal.START)
    last = (await rows(stage))[-1]
    assert last.outcome == Outcome.FAILED
    assert "local" in last.reason


async def test_a_suspended_server_is_not_started_but_can_be_stopped(stage: Stage) -> None:
    made = await stage.a_server()
    async with stage.services.database.begin() as session:
        row = await session.get(Server, made.id)
        assert row is not None
        row.status = ServerStatus.SUSPENDED
    with pytest.raises(ServerSuspended):
        await stage.services.power.send(owner(), "Luanti", PowerSignal.RESTART)
    await stage.services.power.send(owner(), "Luanti", PowerSignal.KILL)


@pytest.mark.parametrize("line", ["", "  ", "a\nb", "a\x1b[2J", "x" * 513, "say \x00"])
async def test_a_line_that_must_not_be_typed_is_refused(stage: Stage, line: str) -> None:
    await stage.a_server()
    with pytest.raises(Invalid):
        await stage.services.console.send(owner(), "Luanti", line)


async def test_names_are_unique_in_a_guild_and_addresses_on_a_node(stage: Stage) -> None:
    await stage.a_server("Luanti", 30000)
    with pytest.raises(Conflict):
        await stage.a_server("luanti", 30001)
    with pytest.raises(Conflict):
        await stage.a_server("Another", 30000)
    with pytest.raises(Invalid):
        await stage.a_server("Third", 30002, variables={"NOPE": "1"})
    with pytest.raises(Forbidden):
        await stage.services.servers.create(owner(), name="x", egg_id=1, node_id=1, ip="127.0.0.1", port=1)


async def test_a_given_uuid_is_kept_and_must_be_of_version_4(stage: Stage) -> None:
    given = "8d3f01ab-0000-4000-8000-000000000000"
    assert (await stage.a_server("Luanti", 30000, uuid=given)).uuid == given
    with pytest.raises(Conflict):
        await stage.a_server("Other", 30001, uuid=given)
    for wrong in ("nonsense", "8d3f01ab-0000-1000-8000-000000000000"):
        with pytest.raises(Invalid):
            await stage.a_server("Third", 30002, uuid=wrong)


async def test_two_makers_of_one_name_leave_one_server(stage: Stage) -> None:
    results = await asyncio.gather(*(stage.a_server("Luanti", port) for port in (30000, 30001, 30002)), return_exceptions=True)
    assert sum(isinstance(result, Server) for result in results) == 1
    assert all(isinstance(result, Server | Conflict) for result in results)


async def test_a_deleted_server_leaves_its_address_and_its_history(stage: Stage) -> None:
    made = await stage.a_server()
    await stage.services.guilds.grant(owner(), preset="viewer", user_id=33, server_ref="Luanti")
    await stage.fake.down()
    with pytest.raises(NodeUnreachable):
        await stage.services.servers.delete(SYSTEM, made.uuid)
    await stage.services.servers.delete(SYSTEM, made.uuid, force=True)
    with pytest.raises(NotFound):
        await stage.services.servers.get(made.uuid)
    assert any(row.server_uuid == made.uuid and row.server_id is None for row in await rows(stage))
    await stage.fake.up()
    assert (await stage.a_server()).id != made.id


async def test_consoles_are_attached_once_and_detached(stage: Stage) -> None:
    made = await stage.a_server()
    guilds = stage.services.guilds
    bridge = await guilds.attach_console(owner(), "Luanti", 77)
    assert bridge.server.node.name == "local"
    with pytest.raises(Conflict):
        await guilds.attach_console(owner(), "Luanti", 77)
    await guilds.remember_message(bridge.id, 2**62)
    (again,) = await guilds.consoles()
    assert (again.message_id, again.server.uuid) == (2**62, made.uuid)
    assert [row.channel_id for row in await guilds.detach_console(owner(), "Luanti")] == [77]
    with pytest.raises(NotFound):
        await guilds.detach_console(owner(), "Luanti", 77)


async def test_cards_and_hashes_are_remembered(stage: Stage) -> None:
    made = await stage.a_server()
    guilds = stage.services.guilds
    await guilds.remember_card(made, GUILD, 5, 6)
    await guilds.remember_card(made, GUILD, 5, 6)
    assert [card.message_id for card in await guilds.cards(made.uuid)] == [6]
    await guilds.forget_card(6)
    assert await guilds.cards() == []
    assert await guilds.command_hash("global") is None
    await guilds.set_command_hash("global", "a")
    await guilds.set_command_hash("global", "b")
    assert await guilds.command_hash("global") == "b"
    await guilds.bind(GUILD, 99, "Renamed")
    known = await guilds.get(GUILD)
    assert known is not None
    assert (known.owner_id, known.name) == (99, "Renamed")


async def test_instants_and_json_come_back_as_they_went_in(stage: Stage) -> None:
    moment = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
    text = "ü 🐦 " + "x" * 70_000
    made = await stage.a_server()
    await stage.services.activity.ingest(
        stage.node,
        [
            ActivityEntry(
                server=made.uuid, event="server:console.command", metadata={"b": [1, None, {"ä": "🐦"}], "a": text}, timestamp=moment
            ),
            ActivityEntry(server=made.uuid, event="other:thing", timestamp=moment),
            ActivityEntry(server="0" * 36, event="server:power.kill", timestamp=moment),
        ],
    )
    kept = [row for row in await rows(stage) if row.actor_kind == "node"]
    assert len(kept) == 1
    assert kept[0].at == moment
    assert kept[0].at.tzinfo is UTC
    assert list(kept[0].details) == ["b", "a"]
    assert kept[0].details["b"] == [1, None, {"ä": "🐦"}]
    assert await stage.services.activity.prune(timedelta(days=1)) >= 1


async def test_settings_stay_on_their_node(stage: Stage) -> None:
    made = await stage.a_server(variables={"WORLD": "isle"})
    other, token = await stage.services.nodes.create("other", "http://127.0.0.1:1")
    assert (await stage.services.servers.settings(made.uuid, stage.node)).settings.environment["WORLD"] == "isle"
    with pytest.raises(NotFound):
        await stage.services.servers.settings(made.uuid, other)
    assert (await stage.services.nodes.authenticate(f"{token.id}.{token.secret}")).id == other.id
    with pytest.raises(Forbidden):
        await stage.services.nodes.authenticate(f"{token.id}.{stage.fake.token.secret}")
    with pytest.raises(Forbidden):
        await stage.services.nodes.authenticate(f"nobody.{token.secret}")
    with pytest.raises(Invalid):
        await stage.services.nodes.authenticate("a.b.c")
    with pytest.raises(Unauthenticated):
        await stage.services.nodes.authenticate("")


async def test_install_reports_count_once_and_never_lift_a_suspension(stage: Stage) -> None:
    installer = {"installation": {"script": "echo hi\r\n", "container": "debian", "entrypoint": "bash"}}
    stage.egg = await stage.services.eggs.import_ptdl(an_egg(scripts=installer))
    made = await stage.a_server()
    servers = stage.services.servers
    assert made.status == ServerStatus.INSTALLING
    assert (await servers.install_script(made.uuid, stage.node)).script == "echo hi\n"
    for _ in range(2):
        await servers.report_install(made.uuid, stage.node, successful=False, reinstall=False)
    assert (await servers.get(made.uuid)).status == ServerStatus.INSTALL_FAILED
    async with stage.services.database.begin() as session:
        row = await session.get(Server, made.id)
        assert row is not None
        row.status = ServerStatus.SUSPENDED
    await servers.report_install(made.uuid, stage.node, successful=True, reinstall=False)
    assert await servers.reset(stage.node) == 0
    assert (await servers.get(made.uuid)).status == ServerStatus.SUSPENDED


async def test_secrets_lie_sealed_in_the_database(stage: Stage) -> None:
    (row,) = await stage.services.nodes.all()
    assert stage.fake.token.secret not in row.token_sealed
    (address,) = await stage.services.nodes.addresses()
    assert address.token == stage.fake.token
    row.token_sealed = row.token_sealed[:-4] + "AAA="
    with pytest.raises(NotConfigured):
        stage.services.nodes.address(row)


async def test_many_at_once_lose_nothing(stage: Stage) -> None:
    made = await stage.a_server()
    before = len(await rows(stage))
    await asyncio.gather(*(stage.services.activity.write(owner(), "server:console.command", made, metadata={"n": n}) for n in range(200)))
    kept = (await rows(stage))[before:]
    assert sorted(row.details["n"] for row in kept) == list(range(200))
