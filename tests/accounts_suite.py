"""Tests of accounts, sign-ins and the activity log that every database must pass. Modules that run them give a fixture `database_url`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select, update

from core.actor import Actor
from core.clock import ManualClock
from core.errors import AerieError, BadRequest, Conflict, Forbidden, Invalid, LimitReached, MissingPermission, NodeUnreachable, NotFound
from core.events import Event, SignInsRefused
from core.models.activity import Activity
from core.models.node import Node
from core.models.server import Server
from core.models.user import Farewell, User
from core.protocol.remote import ActivityEntry, SftpAuth, SftpGrant
from core.services.members import Described
from core.services.people import Person
from core.tokens import socket_jti
from core.vocabulary import ActorKind, Outcome, ServerStatus
from tests.control_plane import GUILD, MODERATOR_ROLE, OWNER, SYSTEM, Stage, member, owner, staged


class Roles:
    """A Discord that says of members what the test says, or nothing at all."""

    def __init__(self) -> None:
        self.people: dict[int, Described] = {}
        self.down = False
        self.asked = 0

    async def describe(self, guild_id: int, discord_id: int) -> Described | None:
        self.asked += 1
        if self.down:
            raise NodeUnreachable("Discord does not answer.")
        return self.people.get(discord_id)


class World(Stage):
    """The stage with hands on its clock and on what Discord says."""

    clock: ManualClock
    roles: Roles

    async def sign_in(self, username: str, secret: str, *, ip: str = "203.0.113.9:51812", kind: Any = "password") -> SftpGrant:
        asked = SftpAuth(type=kind, username=username, password=secret, ip=ip)
        return await self.services.sign_ins.sftp(self.node, asked)

    async def rows(self, event: str = "") -> list[Activity]:
        async with self.services.database.session() as session:
            found = list(await session.scalars(select(Activity).order_by(Activity.id)))
        return [row for row in found if not event or row.event == event]

    async def set_status(self, server: Server, status: ServerStatus | None) -> None:
        async with self.services.database.begin() as session:
            await session.execute(update(Server).where(Server.id == server.id).values(status=status))


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    clock = ManualClock()
    async with staged(database_url, clock=clock) as stage:
        world = World(stage.services, stage.fake, stage.node, stage.egg)
        world.clock, world.roles = clock, Roles()
        world.roles.people[OWNER] = Described("Ada", frozenset(), False)
        stage.services.members.discord = world.roles
        yield world


def a_key(comment: str = "mia@laptop") -> str:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return f"{public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}".strip()


async def with_password(world: World, actor: Actor | None = None) -> tuple[User, str]:
    actor = actor or owner()
    return await world.services.credentials.new_password(actor, await world.services.users.of(actor))


@pytest.mark.parametrize(
    ("name", "username"),
    [("Ada", "ada"), ("Jörg Müller", "jorg-muller"), ("a.b.c", "a-b-c"), ("🐦🐦", "user"), ("-_x_-", "x"), ("x" * 90, "x" * 32)],
)
async def test_a_username_is_safe_to_sign_in_with(world: World, name: str, username: str) -> None:
    assert (await world.services.users.create(name=name, discord_id=1)).username == username


async def test_usernames_are_unique_and_stay_when_people_rename_themselves(world: World) -> None:
    users = world.services.users
    first = await users.of(member(discord_id=1))
    second = await users.of(member(discord_id=2))
    assert (first.username, second.username) == ("mia", "mia-2")
    renamed = Actor(member().kind, "Maria", discord_id=1, guild_id=GUILD)
    again = await users.of(renamed)
    assert (again.uuid, again.username, again.name) == (first.uuid, "mia", "Maria")
    with pytest.raises(Conflict):
        await users.create(name="x", username="mia")
    with pytest.raises(Invalid):
        await users.create(name="x", username="Mia Ö")
    with pytest.raises(Forbidden):
        await users.of(Actor.system("tests"))


async def test_a_member_who_comes_twice_at_once_gets_one_account(world: World) -> None:
    made = await asyncio.gather(*(world.services.users.of(member(discord_id=n % 3 + 1)) for n in range(9)))
    assert len({user.uuid for user in made}) == 3
    assert {user.username for user in made} == {"mia", "mia-2", "mia-3"} or len({user.username for user in made}) == 3


async def test_a_user_holds_what_their_roles_are_granted_without_any_interaction(world: World) -> None:
    made, other = await world.a_server("One"), await world.a_server("Other", 30001)
    services = world.services
    mia = await services.users.of(member())
    await services.guilds.grant(owner(), preset="manager", role_id=MODERATOR_ROLE, server_ref="One")
    world.roles.people[33] = Described("Mia", frozenset({MODERATOR_ROLE}), False)
    assert await services.access.permissions_of(mia, made) == {"*"}
    assert await services.access.permissions_of(mia, other) == frozenset()
    assert [server.name for server in await services.access.servers_of(mia)] == ["One"]
    ada = await services.users.of(owner())
    assert [server.name for server in await services.access.servers_of(ada)] == ["One", "Other"]
    stranger = await services.users.create(name="api only")
    assert await services.access.permissions_of(stranger, made) == frozenset()
    root = await services.users.create(name="root", root_admin=True)
    assert "*" in await services.access.permissions_of(root, made)


async def test_roles_last_seen_count_while_discord_is_down_but_not_for_ever(world: World, caplog: pytest.LogCaptureFixture) -> None:
    made = await world.a_server()
    services, mia = world.services, await world.services.users.of(member())
    await services.guilds.grant(owner(), preset="operator", role_id=MODERATOR_ROLE)
    await services.members.seen(member(MODERATOR_ROLE))
    world.roles.down = True
    assert "control.start" in await services.access.permissions_of(mia, made)
    assert world.roles.asked == 0
    await world.clock.advance(3600)
    assert "control.start" in await services.access.permissions_of(mia, made)
    assert "Discord cannot be asked" in caplog.text
    await world.clock.advance(24 * 3600)
    assert await services.access.permissions_of(mia, made) == frozenset()
    world.roles.down = False
    assert await services.access.permissions_of(mia, made) == frozenset()  # no longer a member at all
    assert await services.members.holders(GUILD, MODERATOR_ROLE) == []


async def test_that_discord_cannot_be_asked_is_said_once_until_it_can(world: World, caplog: pytest.LogCaptureFixture) -> None:
    made = await world.a_server()
    users = [await world.services.users.of(member(discord_id=number)) for number in (33, 34, 35)]

    def warned() -> int:
        return sum(record.levelname == "WARNING" and "Discord cannot be asked" in record.message for record in caplog.records)

    for times in (1, 2):
        world.roles.down = True
        for user in users * 2:
            assert await world.services.access.permissions_of(user, made) == frozenset()
        assert warned() == times
        world.roles.down = False
        await world.services.access.permissions_of(users[0], made)
        await world.clock.advance(3600)  # what was learned is fresh no longer


async def test_who_holds_what_is_found_with_one_session_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else many who ask at once would hold all connections there are, each waiting for a second one."""
    made = await world.a_server()
    await world.services.guilds.grant(owner(), preset="operator", role_id=MODERATOR_ROLE)
    world.roles.people[33] = Described("Mia", frozenset({MODERATOR_ROLE}), False)
    await world.services.members.seen(member(MODERATOR_ROLE))
    await world.clock.advance(3600)  # so that Discord is asked, and what it says written down
    mia = await world.services.users.of(member())
    database, depths = world.services.database, [0]

    def counted(real: Any) -> Any:
        @asynccontextmanager
        async def one() -> AsyncIterator[Any]:
            depths.append(depths[-1] + 1)
            try:
                async with real() as session:
                    yield session
            finally:
                depths.append(depths[-1] - 1)

        return one

    monkeypatch.setattr(database, "session", counted(database.session))
    monkeypatch.setattr(database, "begin", counted(database.begin))
    actor = Actor(ActorKind.API_KEY, "Mia", discord_id=33, user_id=mia.id)
    access = world.services.access
    assert "control.start" in (await access.seen(actor, made.uuid))[1]
    await world.clock.advance(3600)
    assert [server.uuid for server, _ in await access.reachable(actor)] == [made.uuid]
    assert [server.uuid for server in await access.visible(member(MODERATOR_ROLE))] == [made.uuid]
    assert "control.start" in await access.permissions(member(MODERATOR_ROLE), made)
    assert max(depths) == 1


async def test_a_password_lets_its_owner_in_and_is_kept_as_a_hash(world: World) -> None:
    made = await world.a_server()
    user, password = await with_password(world)
    assert len(password) == 24
    assert user.password_hash is not None
    assert user.password_hash.startswith("$argon2id$")
    assert password not in user.password_hash
    granted = await world.sign_in(f"{user.username}.{made.short}", password)
    assert granted == SftpGrant(user=user.uuid, server=made.uuid, permissions=["*"])
    assert (await world.sign_in(f"{user.username.upper()}.{made.uuid.upper()}", password)).server == made.uuid
    (first, _) = await world.rows("auth:sftp.sign-in")
    assert (first.outcome, first.origin, first.discord_id, first.server_id) == (Outcome.OK, "203.0.113.9", OWNER, made.id)


async def test_a_new_password_ends_the_old_one_and_its_sessions(world: World) -> None:
    made = await world.a_server()
    user, old = await with_password(world)
    user, new = await with_password(world)
    with pytest.raises(Forbidden):
        await world.sign_in(f"ada.{made.short}", old)
    await world.sign_in(f"ada.{made.short}", new)
    assert await world.services.sessions.deliver() == 0
    assert world.fake.farewells == [(user.uuid, [made.uuid])]
    user = await world.services.credentials.revoke_password(owner(), user)
    with pytest.raises(Forbidden):
        await world.sign_in(f"ada.{made.short}", new)
    with pytest.raises(NotFound):
        await world.services.credentials.revoke_password(owner(), user)


async def test_of_two_renewals_at_once_one_wins_and_the_other_is_told(world: World) -> None:
    made = await world.a_server()
    user = await world.services.users.of(owner())
    told = await asyncio.gather(*(world.services.credentials.new_password(owner(), user) for _ in range(4)), return_exceptions=True)
    won = [answer[1] for answer in told if isinstance(answer, tuple)]
    assert len(won) == 1
    assert sum(isinstance(answer, Conflict) for answer in told) == 3
    await world.sign_in(f"ada.{made.short}", won[0])


async def test_keys_are_taken_listed_used_and_removed(world: World) -> None:
    made = await world.a_server()
    credentials, user, key = world.services.credentials, await world.services.users.of(owner()), a_key()
    row = await credentials.add_key(owner(), user, f"  {key}\n")
    assert (row.name, row.public_key) == ("mia@laptop", key.rsplit(" ", 1)[0])
    with pytest.raises(Conflict):
        await credentials.add_key(owner(), user, key, "again")
    granted = await world.sign_in(f"ada.{made.short}", f"{row.public_key}\n", kind="public_key")
    assert granted.user == user.uuid
    for wrong in (a_key(), "", "ssh-ed25519 AAAA", "x" * 50_000):
        with pytest.raises(Forbidden):
            await world.sign_in(f"ada.{made.short}", wrong, kind="public_key")
    assert [known.id for known in await credentials.keys(user)] == [row.id]
    await credentials.remove_key(owner(), user, f"SHA256:{row.fingerprint}")
    with pytest.raises(NotFound):
        await credentials.remove_key(owner(), user, "mia@laptop")
    with pytest.raises(Forbidden):
        await world.sign_in(f"ada.{made.short}", row.public_key, kind="public_key")
    await world.services.sessions.deliver()
    assert world.fake.farewells == [(user.uuid, [made.uuid])]


@pytest.mark.parametrize(
    "username",
    ["ada", ".", "ada.", ".12345678", "ada.x", "a.b.c.{0}", "nobody.{0}", "ädä.{0}", "ada .{0}", "x" * 5000 + ".{0}", "ada.{0}.", "%.{0}"],
)
async def test_a_forged_name_gets_nowhere(world: World, username: str) -> None:
    made = await world.a_server()
    _, password = await with_password(world)
    with pytest.raises((Forbidden, BadRequest)) as caught:
        await world.sign_in(username.format(made.short), password)
    assert "ada" not in caught.value.message.lower()
    assert await world.rows("auth:sftp.sign-in") == []


async def test_a_node_says_where_its_sftp_is(world: World) -> None:
    nodes = world.services.nodes
    assert nodes.sftp(world.node) == ("127.0.0.1", 2022)
    assert nodes.sftp(await nodes.sftp_at(world.node.id, 2023)) == ("127.0.0.1", 2023)
    nodes.sftp_host = "files.example.net"
    assert nodes.sftp(world.node) == ("files.example.net", 2022)
    assert nodes.sftp(await nodes.sftp_at(world.node.id, 22, "n1.example.net")) == ("n1.example.net", 22)
    with pytest.raises(Invalid):
        await nodes.sftp_at(world.node.id, 0)
    with pytest.raises(NotFound):
        await nodes.sftp_at(99, 22)


async def test_a_node_lets_nobody_in_to_another_nodes_server(world: World) -> None:
    made = await world.a_server()
    _, password = await with_password(world)
    other, _ = await world.services.nodes.create("other", "http://127.0.0.1:1")
    with pytest.raises(Forbidden):
        await world.services.sign_ins.sftp(other, SftpAuth(username=f"ada.{made.short}", password=password))


async def test_rights_are_needed_and_refusals_are_written_down(world: World) -> None:
    made = await world.a_server()
    await world.services.guilds.grant(owner(), preset="moderator", user_id=33)
    world.roles.people[33] = Described("Mia", frozenset(), False)
    _, password = await with_password(world, member())
    with pytest.raises(MissingPermission) as caught:
        await world.sign_in(f"mia.{made.short}", password)
    assert caught.value.permission == "file.sftp"
    (row,) = await world.rows("auth:sftp.sign-in")
    assert (row.outcome, row.discord_id) == (Outcome.REFUSED, 33)


@pytest.mark.parametrize("status", list(ServerStatus))
async def test_a_server_in_no_state_for_it_is_closed(world: World, status: ServerStatus) -> None:
    made = await world.a_server()
    _, password = await with_password(world)
    await world.set_status(made, status)
    with pytest.raises(Conflict):
        await world.sign_in(f"ada.{made.short}", password)
    await world.set_status(made, None)
    await world.sign_in(f"ada.{made.short}", password)


async def test_a_server_on_a_node_in_maintenance_is_closed_and_an_owner_needs_no_guild(world: World) -> None:
    made = await world.a_server()
    user, password = await with_password(world, member())
    with pytest.raises(Forbidden):
        await world.sign_in(f"mia.{made.short}", password)
    async with world.services.database.begin() as session:
        await session.execute(update(Server).where(Server.id == made.id).values(owner_id=user.id))
    assert (await world.sign_in(f"mia.{made.short}", password)).permissions == ["*"]
    async with world.services.database.begin() as session:
        await session.execute(update(Node).where(Node.id == world.node.id).values(maintenance=True))
    with pytest.raises(Conflict):
        await world.sign_in(f"mia.{made.short}", password)


async def test_whoever_is_in_no_guild_is_not_asked_after_again_and_again(world: World) -> None:
    made = await world.a_server()
    mia = await world.services.users.of(member())
    for _ in range(5):
        assert await world.services.access.permissions_of(mia, made) == frozenset()
    assert world.roles.asked == 1
    await world.services.members.seen(member())  # and is one now
    await world.services.guilds.grant(owner(), preset="viewer", user_id=33)
    assert await world.services.access.permissions_of(mia, made) != frozenset()


async def test_a_hundred_wrong_passwords_are_slowed_and_told_once(world: World) -> None:
    made = await world.a_server()
    _, password = await with_password(world)
    name, told = f"ada.{made.short}", heard(world)
    tries = await asyncio.gather(*(world.sign_in(name, f"wrong {n}", ip=f"203.0.113.9:{n}") for n in range(30)), return_exceptions=True)
    tries += [await _outcome(world.sign_in(name, f"wrong {n}")) for n in range(70)]
    assert sum(isinstance(one, Forbidden) for one in tries) == 10
    assert sum(isinstance(one, LimitReached) for one in tries) == 90
    (event,) = [event for event in told if isinstance(event, SignInsRefused)]
    assert (event.household, event.tries, event.username, event.node_name) == ("203.0.113.9", 10, name, "local")
    assert len(await world.rows("auth:sftp.fail")) == 10
    with pytest.raises(LimitReached):
        await world.sign_in(name, password)
    await world.sign_in(name, password, ip="[2001:db8::1]:22")  # the owner, elsewhere, is not locked out
    await world.clock.advance(601)
    await world.sign_in(name, password)


def heard(world: World) -> list[Event]:
    """Events as they come."""
    told: list[Event] = []
    world.services.live.apply = told.append  # type: ignore[assignment,method-assign]
    return told


async def _outcome(trying: Any) -> Any:
    try:
        return await trying
    except AerieError as error:
        return error


async def test_a_name_that_many_households_try_is_slowed_for_all_but_never_closed(world: World) -> None:
    made = await world.a_server()
    _, password = await with_password(world)
    name, told = f"ada.{made.short}", heard(world)
    for n in range(20):
        with pytest.raises(Forbidden):
            await world.sign_in(name, "wrong", ip=f"203.0.113.{n}:1")
    assert [event.tries for event in told if isinstance(event, SignInsRefused)] == [20]
    slow = asyncio.create_task(world.sign_in(name, password, ip="198.51.100.7:1"))
    for _ in range(1500):
        if world.clock.sleeping or slow.done():
            break
        await asyncio.sleep(0.01)
    assert not slow.done()
    await world.clock.advance(3)
    assert (await asyncio.wait_for(slow, 15)).server == made.uuid


async def test_unknown_names_are_counted_too_and_cost_a_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.a_server()
    looked: list[str | None] = []

    def look(hashed: str | None, password: str) -> bool:
        looked.append(hashed)
        return False

    monkeypatch.setattr("core.services.credentials.password_fits", look)
    for n in range(12):
        assert isinstance(await _outcome(world.sign_in(f"nobody{n}.12345678", "x")), (Forbidden if n < 10 else LimitReached))
    assert looked == [None] * 10


async def test_a_node_that_is_away_is_told_later(world: World) -> None:
    made = await world.a_server()
    services, mia = world.services, await world.services.users.of(member())
    await services.guilds.grant(owner(), preset="manager", user_id=33)
    await world.fake.down()
    await services.guilds.revoke(owner(), user_id=33)
    assert await services.sessions.deliver() == 1
    assert world.fake.farewells == []
    await world.fake.up()
    await world.clock.advance(120)  # the circuit tries again
    assert await services.sessions.deliver() == 0
    assert world.fake.farewells == [(mia.uuid, [made.uuid])]
    async with services.database.session() as session:
        assert list(await session.scalars(select(Farewell))) == []


async def test_whoever_loses_a_role_or_a_grant_is_sent_away(world: World) -> None:
    made, other = await world.a_server("One"), await world.a_server("Other", 30001)
    services, mia = world.services, await world.services.users.of(member())
    await services.guilds.grant(owner(), preset="manager", role_id=MODERATOR_ROLE, server_ref="One")
    await services.members.seen(member(MODERATOR_ROLE))
    await services.guilds.grant(owner(), preset="viewer", role_id=MODERATOR_ROLE, server_ref="One")
    await services.sessions.deliver()
    assert world.fake.farewells == [(mia.uuid, [made.uuid])]
    await services.members.seen(member())
    await services.sessions.deliver()
    assert world.fake.farewells[1:] == [(mia.uuid, [made.uuid, other.uuid])]


async def test_a_report_that_comes_twice_is_kept_once(world: World) -> None:
    made = await world.a_server()
    mia = await world.services.users.of(member())
    moment = datetime(2026, 3, 17, 20, 58, 30, 123456, tzinfo=UTC)
    entries = [
        ActivityEntry(
            server=made.uuid, user=mia.uuid, event="server:sftp.write", metadata={"files": [f"/{n}" for n in range(150)]}, timestamp=moment
        ),
        ActivityEntry(server=made.uuid, user=mia.uuid, event="server:sftp.delete", metadata={"files": ["/a"]}, timestamp=moment),
        ActivityEntry(server=made.uuid, event="server:power.kill", ip="203.0.113.9", timestamp=moment),
    ]
    activity = world.services.activity
    assert await activity.ingest(world.node, entries[:2]) == 2
    assert await activity.ingest(world.node, [*entries, entries[2]]) == 1
    kept = await asyncio.gather(*(activity.ingest(world.node, entries) for _ in range(3)))
    assert kept == [0, 0, 0]
    row, *_ = await world.rows("server:sftp.write")
    assert (row.discord_id, row.actor_name) == (33, "Mia")
    assert (len(row.details["files"]), row.details["files_more"]) == (100, 50)


async def test_the_same_report_from_two_sides_at_once_is_kept_once(world: World) -> None:
    made = await world.a_server()
    moment = datetime(2026, 3, 17, tzinfo=UTC)
    entries = [ActivityEntry(server=made.uuid, event="server:power.kill", metadata={"n": n}, timestamp=moment) for n in range(20)]
    kept = await asyncio.gather(*(world.services.activity.ingest(world.node, entries) for _ in range(4)))
    assert sum(kept) == 20
    assert len(await world.rows("server:power.kill")) == 20


async def test_everybody_reads_what_they_may_of_the_log(world: World) -> None:
    services = world.services
    one, other = await world.a_server("One"), await world.a_server("Other", 30001)
    await services.guilds.grant(owner(), preset="viewer", user_id=33, server_ref="One")
    await services.guilds.grant(owner(), preset="viewer", user_id=34)
    for n in range(12):
        await services.activity.write(owner(), "server:power.start", one, metadata={"n": n})
    await services.activity.write(owner(), "server:power.start", other)
    from_afar = Actor(owner().kind, "Ada", discord_id=OWNER, guild_id=GUILD, origin="203.0.113.9")
    await services.activity.write(from_afar, "server:power.stop", one)
    history, mia = services.history, member()
    first = await history.page(mia, event="server:power", most=5)
    assert {row.server_id for row in first.rows} == {one.id}
    assert (first.newer, first.older, first.rows[0].origin) == (False, True, "")
    second = await history.page(mia, event="server:power", before=first.rows[-1].id, most=5)
    assert [row.details["n"] for row in second.rows] == [7, 6, 5, 4, 3]
    back = await history.page(mia, event="server:power", after=second.rows[0].id, most=5)
    assert [row.id for row in back.rows] == [row.id for row in first.rows]
    assert (back.newer, back.older) == (False, True)
    everything = await history.page(owner(), most=100)
    assert {row.server_id for row in everything.rows} >= {one.id, other.id, None}
    assert everything.rows[0].origin == "203.0.113.9"
    with pytest.raises(MissingPermission):
        await history.page(mia, server="Other")
    assert (await history.page(member(discord_id=77), most=5)).rows == []
    assert [row.event for row in (await history.page(owner(), person=33)).rows] == ["server:activity.read"]


async def test_old_activity_is_forgotten(world: World) -> None:
    made = await world.a_server()
    old = len(await world.rows())
    await world.clock.advance(91 * 86400)
    await world.services.activity.write(owner(), "server:power.start", made)
    assert await world.services.activity.prune(timedelta(days=90)) == old
    assert [row.event for row in await world.rows()] == ["server:power.start"]


async def test_what_is_refused_before_anything_is_tried_is_written_down(world: World) -> None:
    await world.a_server()
    await world.services.guilds.grant(owner(), preset="moderator", role_id=MODERATOR_ROLE)
    with pytest.raises(Invalid):
        await world.services.console.send(owner(), "Luanti", "a\nb")
    credentials, user = world.services.credentials, await world.services.users.of(owner())
    with pytest.raises(Invalid):
        await credentials.add_key(owner(), user, "nonsense")
    refused = [(row.event, row.outcome) for row in await world.rows() if row.outcome != Outcome.OK]
    assert refused == [("server:console.command", "refused"), ("user:ssh-key.create", "refused")]


async def test_stock_wings_is_told_by_its_tokens(database_url: str) -> None:
    async with staged(database_url, ours=False) as stage:
        made = await stage.a_server()
        user = await stage.services.users.of(owner())
        await stage.services.sessions.end(user)
        assert await stage.services.sessions.deliver() == 0
        assert stage.fake.denied == [(made.uuid, [socket_jti(str(user.id), made.uuid), socket_jti(user.uuid, made.uuid)])]


async def test_whoever_ceases_to_own_or_to_administer_is_sent_away(world: World) -> None:
    made = await world.a_server()
    services, ada = world.services, await world.services.users.of(owner())
    await services.guilds.bind(GUILD, OWNER, "The Nest, renamed")
    await services.sessions.deliver()
    assert world.fake.farewells == []
    await services.guilds.bind(GUILD, 12, "The Nest")
    plain = Person("root@example.org", "root", "R", "T", root_admin=False)
    root = await services.people.create(SYSTEM, replace(plain, root_admin=True))
    await services.people.update(SYSTEM, root.id, replace(plain, root_admin=True, first_name="Ruth"))
    await services.people.update(SYSTEM, root.id, plain)
    await services.people.delete(SYSTEM, root.id)
    await services.sessions.deliver()
    assert world.fake.farewells == [(ada.uuid, [made.uuid]), (root.uuid, [made.uuid]), (root.uuid, [made.uuid])]
