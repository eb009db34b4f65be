"""Wrong passwords counted by two bot processes together, through a real Redis."""

import asyncio
import secrets
from pathlib import Path

import pytest

from core.addresses import household
from core.errors import AerieError, Forbidden, LimitReached
from core.events import EVENT, Event, SignInsRefused
from core.protocol.remote import SftpAuth
from core.seal import new_key
from core.services.build import opened

pytestmark = pytest.mark.real


async def test_two_processes_refuse_a_household_together(tmp_path: Path, redis_url: str) -> None:
    key, url = new_key(), f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3"
    home = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
    told: list[Event] = []
    async with (
        opened(url, backplane_url=redis_url, key=key) as one,
        opened(url, backplane_url=redis_url, key=key) as other,
        one.backplane.subscribe("servers") as heard,
    ):
        node, _ = await one.nodes.create("local", "http://127.0.0.1:1")
        answers: list[str] = []
        for n in range(30):
            asked = SftpAuth(username=f"nobody.{secrets.token_hex(4)}", password="x", ip=f"[{home}::{n + 1:x}]:22")
            try:
                await (one, other)[n % 2].sign_ins.sftp(node, asked)
            except AerieError as error:
                answers.append(type(error).__name__)
        assert answers == [Forbidden.__name__] * 10 + [LimitReached.__name__] * 20
        async with asyncio.timeout(30):
            while not told:
                told = [event for body in await heard.drain() if isinstance(event := EVENT.validate_json(body), SignInsRefused)]
    (event,) = told
    assert isinstance(event, SignInsRefused)
    assert event.household == household(f"{home}::1")
