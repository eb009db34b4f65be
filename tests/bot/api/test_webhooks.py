"""POST /webhooks/{token} over real HTTP: what is taken is committed, what is not is told why."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select, text

from bot.api import webhooks
from bot.api.app import make_app
from core.clock import ManualClock
from core.models.alert import Alert
from core.protocol.alerts import MOST_BYTES
from core.protocol.remote import RemoteError
from core.services.alert_sources import NewSource
from tests.control_plane import Stage, owner, staged
from tests.core.protocol.test_alerts import ALERTMANAGER, GENERIC, GRAFANA, KUMA

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3") as ready:
        yield ready


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def client(stage: Stage, clock: ManualClock) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(stage.services, clock=clock))) as client:
        yield client


@pytest.fixture
async def source(stage: Stage) -> NewSource:
    return await stage.services.alert_sources.create(owner(), "prometheus", 77)


async def kept(stage: Stage) -> list[Alert]:
    async with stage.services.database.session() as session:
        return list(await session.scalars(select(Alert).order_by(Alert.id)))


async def error_of(response: Any) -> str:
    entry = RemoteError.model_validate(await response.json()).errors[0]
    assert entry.status == str(response.status)
    return entry.detail


@pytest.mark.parametrize(
    ("body", "sender"), [(ALERTMANAGER, "alertmanager"), (GRAFANA, "grafana"), (KUMA, "uptime_kuma"), (GENERIC, "generic")]
)
async def test_each_sender_is_taken_and_committed(stage: Stage, client: Client, source: NewSource, body: Any, sender: str) -> None:
    answer = await client.post(f"/webhooks/{source.token}", json=body)
    assert answer.status == 202
    assert await answer.json() == {"sender": sender, "accepted": 1, "left_out": 0}
    assert len(await kept(stage)) == 1


async def test_a_wrong_token_is_not_found_and_guessing_is_slowed(
    stage: Stage, client: Client, source: NewSource, clock: ManualClock
) -> None:
    for number in range(webhooks.GUESS_BURST):
        wrong = ("x" * 43, "short", source.token[:-1] + "!")[number % 3]
        answer = await client.post(f"/webhooks/{wrong}", json=GENERIC)
        assert answer.status == 404
        assert source.token not in await error_of(answer)
    refused = await client.post(f"/webhooks/{'y' * 43}", json=GENERIC)
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert "wrong webhook addresses" in await error_of(refused)
    assert (await client.post(f"/webhooks/{source.token}", json=GENERIC)).status == 202
    await clock.advance(40)
    assert (await client.post(f"/webhooks/{'y' * 43}", json=GENERIC)).status == 404


async def test_a_source_far_over_its_rate_is_told_when_to_come_again(
    stage: Stage, source: NewSource, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "SOURCE_BURST", 3)
    statuses = []
    async with TestClient(TestServer(make_app(stage.services, clock=clock))) as narrow:
        for _ in range(5):
            answer = await narrow.post(f"/webhooks/{source.token}", json=GENERIC)
            statuses.append(answer.status)
        assert statuses == [202, 202, 202, 429, 429]
        assert answer.headers["Retry-After"] == "1"
        await clock.advance(1)
        assert (await narrow.post(f"/webhooks/{source.token}", json=GENERIC)).status == 202


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"title=x&status=firing", 400, "JSON"),
        (b"[]", 422, "body"),
        (b'{"title": "x"}', 422, "status"),
        (json.dumps({**ALERTMANAGER, "version": "2"}).encode(), 422, "version"),
        (b" " * (MOST_BYTES + 1), 413, "256 KiB"),
    ],
)
async def test_a_bad_body_is_told_and_keeps_nothing(
    stage: Stage, client: Client, source: NewSource, body: bytes, status: int, word: str
) -> None:
    answer = await client.post(f"/webhooks/{source.token}", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == status
    assert word in await error_of(answer)
    assert await kept(stage) == []


async def test_a_body_without_a_length_is_read_no_further_than_allowed(client: Client, source: NewSource) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 64 * 1024
            yield b" " * (64 * 1024)

    try:
        answer = await client.post(f"/webhooks/{source.token}", data=endless())
        assert answer.status == 413
    except (ConnectionError, OSError):
        pass  # it hung up on us, which is as well
    assert sent < 64_000_000


async def test_a_body_that_never_ends_is_given_up(client: Client, source: NewSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.2)
    held = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"title": "x"'
        await held.wait()

    request = asyncio.ensure_future(client.post(f"/webhooks/{source.token}", data=slow()))
    try:
        async with asyncio.timeout(20):
            answer = await asyncio.shield(request)
        assert answer.status == 400
        assert "did not arrive" in await error_of(answer)
    finally:
        held.set()
        await asyncio.wait({request})


async def test_a_form_is_told_what_to_send_instead(client: Client, source: NewSource) -> None:
    answer = await client.post(f"/webhooks/{source.token}", data=b"--x--", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status == 422
    assert "application/json" in await error_of(answer)


async def test_a_signed_source_takes_signed_bodies_alone(stage: Stage, client: Client) -> None:
    made = await stage.services.alert_sources.create(owner(), "signed", 77, signed=True)
    body = json.dumps(GENERIC).encode()
    good = "sha256=" + hmac.new(made.signing_key.encode(), body, hashlib.sha256).hexdigest()
    for signature, status in ((None, 403), ("sha256=00", 403), (good[7:], 403), (good, 202)):
        headers = {"X-Aerie-Signature": signature} if signature else {}
        assert (await client.post(f"/webhooks/{made.token}", data=body, headers=headers)).status == status
    assert (await client.post(f"/webhooks/{made.token}", data=body + b" ", headers={"X-Aerie-Signature": good})).status == 403
    assert len(await kept(stage)) == 1


async def test_a_database_that_is_away_is_no_acceptance(
    stage: Stage, client: Client, source: NewSource, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.services.alert_sources.by_token(source.token)
    async with stage.services.database.begin() as session:
        await session.execute(text("ALTER TABLE alerts RENAME TO elsewhere"))
    answer = await client.post(f"/webhooks/{source.token}", json=GENERIC)
    assert answer.status == 503
    assert "database" in await error_of(answer)
    async with stage.services.database.begin() as session:
        await session.execute(text("ALTER TABLE elsewhere RENAME TO alerts"))
    assert (await client.post(f"/webhooks/{source.token}", json=GENERIC)).status == 202
    assert source.token not in caplog.text


async def test_a_burst_is_answered_whole_and_counted_once_each(stage: Stage, client: Client, source: NewSource) -> None:
    async def send(number: int) -> int:
        body = {"title": f"alert {number % 10}", "status": "firing"}
        return (await client.post(f"/webhooks/{source.token}", json=body)).status

    assert set(await asyncio.gather(*(send(number) for number in range(100)))) == {202}
    rows = await kept(stage)
    assert (len(rows), sum(row.count for row in rows)) == (10, 100)


async def test_other_methods_are_refused(client: Client, source: NewSource) -> None:
    assert (await client.get(f"/webhooks/{source.token}")).status == 405
