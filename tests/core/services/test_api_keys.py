"""API keys: their form, what is kept of them, who may have which, from where they may be used."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import Forbidden, Invalid, LimitReached, NotFound, Unauthenticated
from core.models.api_key import ApiKey
from core.models.user import User
from core.seal import new_key
from core.services.api_keys import MOST_KEYS, READ, WRITE
from core.services.build import Services, opened
from core.services.people import Person
from core.vocabulary import KeyKind, Resource
from tests.control_plane import SYSTEM


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def services(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Services]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3", key=new_key(), clock=clock) as ready:
        yield ready


async def a_user(services: Services, name: str = "ada", *, root: bool = False) -> User:
    return await services.people.create(SYSTEM, Person(f"{name}@example.org", name, "A", "B", root_admin=root))


async def test_keys_have_the_panels_form_and_only_a_hash_is_kept(services: Services) -> None:
    user = await a_user(services, root=True)
    for kind, prefix in ((KeyKind.CLIENT, "ptlc_"), (KeyKind.APPLICATION, "ptla_")):
        row, secret = await services.api_keys.create(SYSTEM, user, kind, memo="ci")
        assert row.identifier.startswith(prefix)
        assert (len(row.identifier), len(secret)) == (16, 32)
        assert (row.identifier[5:] + secret).isalnum()
        kept = await services.directory.one(ApiKey, "id", row.id)
        assert secret not in str(vars(kept))
        caller = await services.api_keys.authenticate(row.identifier + secret, "203.0.113.7")
        assert (caller.user.uuid, caller.actor.origin, caller.actor.label) == (user.uuid, "203.0.113.7", f"api_key:{user.id}")


@pytest.mark.parametrize("wrong", ["", "ptlc_", "x" * 47, "x" * 48, "ptlc_ä" + "x" * 42, "x" * 5000])
async def test_what_is_no_key_opens_nothing(services: Services, wrong: str) -> None:
    with pytest.raises(Unauthenticated):
        await services.api_keys.authenticate(wrong, "203.0.113.7")


async def test_half_a_key_opens_nothing(services: Services) -> None:
    user = await a_user(services)
    row, secret = await services.api_keys.create(SYSTEM, user)
    other, _ = await services.api_keys.create(SYSTEM, user)
    for token in (other.identifier + secret, row.identifier + secret[:-1] + "!", row.identifier.upper() + secret):
        with pytest.raises(Unauthenticated):
            await services.api_keys.authenticate(token, "203.0.113.7")


async def test_a_key_is_bound_to_its_addresses_and_a_refusal_is_written_down(services: Services) -> None:
    user = await a_user(services)
    row, secret = await services.api_keys.create(SYSTEM, user, allowed_ips=["203.0.113.0/24", "2001:db8::1"])
    for address in ("203.0.113.9", "::ffff:203.0.113.9", "2001:db8::1"):
        await services.api_keys.authenticate(row.identifier + secret, address)
    for address in ("203.0.114.9", "2001:db8::2", "", "nonsense"):
        with pytest.raises(Forbidden):
            await services.api_keys.authenticate(row.identifier + secret, address)
    rows, total = await services.directory.activities(user=user, event="auth:ip-blocked")
    assert total == 4
    assert rows[0].outcome == "refused"


@pytest.mark.parametrize("addresses", [["nonsense"], ["203.0.113.0/99"], ["203.0.113.7"] * 51])
async def test_addresses_that_are_none_are_refused(services: Services, addresses: list[str]) -> None:
    with pytest.raises(Invalid):
        await services.api_keys.create(SYSTEM, await a_user(services), allowed_ips=addresses)


async def test_the_last_use_is_written_once_a_minute(services: Services, clock: ManualClock) -> None:
    row, secret = await services.api_keys.create(SYSTEM, await a_user(services))

    async def used_at() -> object:
        await services.api_keys.authenticate(row.identifier + secret, "203.0.113.7")
        return (await services.directory.one(ApiKey, "id", row.id)).last_used_at

    first = await used_at()
    assert first == clock.now()
    await clock.advance(30)
    assert await used_at() == first
    await clock.advance(31)
    assert await used_at() == clock.now()


async def test_nobody_has_more_keys_than_the_limit(services: Services) -> None:
    user = await a_user(services)
    for _ in range(MOST_KEYS):
        await services.api_keys.create(SYSTEM, user)
    with pytest.raises(LimitReached):
        await services.api_keys.create(SYSTEM, user)
    rows = await services.api_keys.of(user)
    await services.api_keys.remove(SYSTEM, user, rows[0].identifier)
    await services.api_keys.create(SYSTEM, user)


async def test_application_keys_need_an_administrator_by_row_or_by_setting(services: Services) -> None:
    user = await a_user(services)
    with pytest.raises(Forbidden):
        await services.api_keys.create(SYSTEM, user, KeyKind.APPLICATION)
    async with services.database.begin() as session:
        row = await session.get_one(User, user.id)
        row.discord_id = 77
    services.api_keys.owners.add(77)
    made, secret = await services.api_keys.create(SYSTEM, row, KeyKind.APPLICATION, rights={"users": READ})
    caller = await services.api_keys.authenticate(made.identifier + secret, "")
    assert caller.user.root_admin
    assert caller.may(Resource.USERS, READ)
    assert not caller.may(Resource.USERS, WRITE)
    assert not caller.may(Resource.SERVERS, READ)
    services.api_keys.owners.clear()
    assert not (await services.api_keys.authenticate(made.identifier + secret, "")).user.root_admin


async def test_a_removed_key_opens_nothing_and_nobody_removes_anothers(services: Services) -> None:
    ada, bea = await a_user(services), await a_user(services, "bea")
    row, secret = await services.api_keys.create(SYSTEM, ada)
    with pytest.raises(NotFound):
        await services.api_keys.remove(SYSTEM, bea, row.identifier)
    await services.api_keys.remove(SYSTEM, ada, row.identifier)
    with pytest.raises(Unauthenticated):
        await services.api_keys.authenticate(row.identifier + secret, "203.0.113.7")


async def test_keys_go_with_their_user(services: Services) -> None:
    user = await a_user(services)
    row, _ = await services.api_keys.create(SYSTEM, user)
    await services.people.delete(SYSTEM, user.id)
    assert await services.directory.find(ApiKey, "id", row.id) is None
