"""Signed URLs at the agent's door: one use each, remembered to their end, refused after a sign-out and after a restart."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.api import signed_urls
from agent.api.denials import Denials
from agent.api.signed_urls import SignedUrls
from agent.credentials import Credentials
from core.agent_settings import ApiSection, RemoteSection
from core.clock import ManualClock
from core.errors import Forbidden, LimitReached, NotFound, Unauthenticated
from core.protocol.agent import DenyRequest
from core.protocol.signed import Purpose, SignedClaims
from core.tokens import sign_url_token, socket_jti

SECRET = "k" * 64
SERVER = "8d3f01ab-0000-4000-8000-000000000001"


class Door:
    """What a route has in hand, without the HTTP around it."""

    def __init__(self, folder: Path, clock: ManualClock, shared_key: bool = True) -> None:
        credentials = Credentials(RemoteSection(token_id="id", token=SecretStr(SECRET)), folder / "credentials.json")
        self.clock = clock
        self.denials = Denials(clock)
        self.urls = SignedUrls(ApiSection(shared_key=shared_key), credentials, self.denials, clock)

    def url(self, server: str = SERVER, purpose: Purpose = Purpose.FILE_UPLOAD, *, derived: bool = False) -> str:
        return sign_url_token(SECRET, purpose, server_uuid=server, now=self.clock.now(), user_uuid="u", derived=derived)

    def enter(self, token: str, purpose: Purpose = Purpose.FILE_UPLOAD) -> SignedClaims:
        claims = self.urls.check(token, purpose)
        self.urls.use(claims)
        return claims


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path, ManualClock())


async def test_tok_2_a_url_opens_once_until_its_end(door: Door) -> None:
    token = door.url()
    assert door.enter(token).user_uuid == "u"
    for _ in range(14):  # Wings forgets after an hour; ours is held for as long as the token could live
        with pytest.raises(NotFound, match="used already"):
            door.enter(token)
        await door.clock.advance(60)
    await door.clock.advance(60)
    with pytest.raises(Unauthenticated):
        door.enter(token)


async def test_tok_2_of_many_at_once_one_wins(door: Door) -> None:
    token = door.url()
    claims = [door.urls.check(token, Purpose.FILE_UPLOAD) for _ in range(50)]  # all of them have passed the check

    async def use(one: SignedClaims) -> bool:
        await asyncio.sleep(0)
        try:
            door.urls.use(one)
        except NotFound:
            return False
        return True

    assert sum(await asyncio.gather(*(use(one) for one in claims))) == 1


async def test_tok_2_a_restart_opens_no_used_url_again(door: Door, tmp_path: Path) -> None:
    token = door.url()
    door.enter(token)
    await door.clock.advance(2)
    after = Door(tmp_path, door.clock)
    with pytest.raises(Forbidden, match="before the node started"):
        after.enter(token)
    after.enter(after.url())


async def test_tok_2_what_has_ended_is_not_remembered_for_ever(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_urls, "MOST_USED", 3)
    for _ in range(3):
        door.enter(door.url())
    with pytest.raises(LimitReached):
        door.enter(door.url())
    await door.clock.advance(901)
    door.enter(door.url())


async def test_tok_6_sign_outs_and_denied_ids_end_urls_made_up_to_that_second(door: Door) -> None:
    before, other = door.url(), door.url(server="11111111-0000-4000-8000-000000000001")
    door.denials.deny_user("u", [SERVER])
    for token in (before, door.url()):  # the second was made within the same second
        with pytest.raises(Forbidden):
            door.enter(token)
    door.enter(other)
    await door.clock.advance(1)
    door.enter(door.url())
    denied = door.url()
    door.denials.deny(DenyRequest(jtis=[socket_jti("u", SERVER)]))
    with pytest.raises(Forbidden):
        door.enter(denied)
    await door.clock.advance(1)
    door.denials.deny_user("u", [])
    with pytest.raises(Forbidden):
        door.enter(door.url(server="11111111-0000-4000-8000-000000000001"))


async def test_tok_6_what_was_refused_is_not_used_up(door: Door) -> None:
    token = door.url()
    with pytest.raises(Unauthenticated):
        door.enter(token, Purpose.FILE_DOWNLOAD)
    door.enter(token)


def test_tok_11_a_node_may_take_the_derived_form_alone(tmp_path: Path) -> None:
    strict = Door(tmp_path, ManualClock(), shared_key=False)
    with pytest.raises(Unauthenticated):
        strict.enter(strict.url())
    strict.enter(strict.url(derived=True))
