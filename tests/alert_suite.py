"""Tests of alerts that every database must pass. Modules that run them import everything and give a fixture `database_url`."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from core.actor import Actor
from core.clock import SystemClock
from core.errors import Conflict, Invalid, LimitReached, MissingPermission, NotFound
from core.models.alert import Alert, AlertSource
from core.protocol.alerts import AlertBatch, AlertItem, fingerprint
from core.services import alerts as alerts_module
from core.services.alert_sources import AlertSources
from core.services.alerts import SAME_MESSAGE, Alerts
from core.vocabulary import AlertSender, AlertSeverity, AlertStatus
from tests.control_plane import GUILD, MODERATOR_ROLE, Stage, member, owner, staged

CHANNEL = 77


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with staged(database_url) as ready:
        yield ready


def item(name: str = "load", status: AlertStatus = AlertStatus.FIRING, **more: object) -> AlertItem:
    return AlertItem(fingerprint(name), f"{name} is bad", status, **more)  # type: ignore[arg-type]


def batch(*items: AlertItem) -> AlertBatch:
    return AlertBatch(AlertSender.GENERIC, items)


async def a_source(stage: Stage, name: str = "prometheus") -> AlertSource:
    return (await stage.services.alert_sources.create(owner(), name, CHANNEL)).source


async def rows(stage: Stage) -> list[Alert]:
    async with stage.services.database.session() as session:
        return list(await session.scalars(select(Alert).order_by(Alert.id)))


async def test_a_token_is_shown_once_and_kept_as_its_hash(stage: Stage) -> None:
    sources = stage.services.alert_sources
    made = await sources.create(owner(), "prometheus", CHANNEL)
    assert len(made.token) == 43 and made.token not in (made.source.token_hash or "")
    assert (await sources.by_token(made.token)).id == made.source.id
    for wrong in ("", "x" * 43, made.token[:-1], made.token + "=", "../../etc/passwd"):
        with pytest.raises(NotFound):
            await sources.by_token(wrong)
    fresh = await sources.rotate(owner(), "Prometheus")
    with pytest.raises(NotFound):
        await sources.by_token(made.token)
    assert (await sources.by_token(fresh.token)).id == made.source.id
    await sources.remove(owner(), "prometheus")
    with pytest.raises(NotFound):
        await sources.by_token(fresh.token)


async def test_sources_have_names_of_their_own_and_belong_to_managers(stage: Stage) -> None:
    sources = stage.services.alert_sources
    await a_source(stage)
    with pytest.raises(Conflict):
        await a_source(stage)
    for wrong in ("", " ", "x" * 61, "a\nb", "Aerie"):
        with pytest.raises(Invalid):
            await sources.create(owner(), wrong, CHANNEL)
    await stage.services.guilds.grant(owner(), preset="moderator", role_id=MODERATOR_ROLE)
    mia = member(MODERATOR_ROLE)
    for refused in (
        sources.create(mia, "x", CHANNEL),
        sources.rotate(mia, "prometheus"),
        sources.remove(mia, "prometheus"),
        sources.move(mia, "prometheus", 1),
        sources.set_own_channel(mia, 1),
        sources.mention(mia, AlertSeverity.CRITICAL, 1),
        stage.services.alerts.silence(mia, timedelta(hours=1)),
    ):
        with pytest.raises(MissingPermission):
            await refused
    assert await sources.names(mia) == []
    assert [line.source.name for line in await sources.lines(mia)] == ["prometheus"]
    await stage.services.guilds.bind(2002, 12, "Elsewhere")
    assert await sources.lines(owner(2002)) == []
    with pytest.raises(NotFound):
        await sources.remove(owner(2002), "prometheus")


async def test_reports_of_one_trouble_are_one_row(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    assert (await alerts.receive(source, batch(item(), item("disk"), item()))).opened == 2
    await alerts.receive(source, batch(item(severity=AlertSeverity.CRITICAL, value="97")))
    load, disk = await rows(stage)
    assert (load.count, load.episodes, load.severity, load.value) == (3, 1, "critical", "97")
    assert (disk.count, disk.status) == (1, "firing")
    other = await a_source(stage, "grafana")
    await alerts.receive(other, batch(item()))
    assert len(await rows(stage)) == 3


async def test_a_resolved_alert_that_nobody_knows_is_passed_over(stage: Stage) -> None:
    source = await a_source(stage)
    received = await stage.services.alerts.receive(source, batch(item(status=AlertStatus.RESOLVED)))
    assert (received.accepted, received.opened) == (1, 0)
    assert await rows(stage) == []


async def test_resolving_and_firing_again_counts_an_episode(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    await alerts.receive(source, batch(item()))
    (row,) = await rows(stage)
    await alerts.posted([row], CHANNEL, 900)
    await alerts.receive(source, batch(item(status=AlertStatus.RESOLVED)))
    await alerts.receive(source, batch(item(status=AlertStatus.RESOLVED)))
    (row,) = await rows(stage)
    assert (row.status, row.behind, row.resolved_at is not None) == ("resolved", True, True)
    await alerts.receive(source, batch(item()))
    (row,) = await rows(stage)
    assert (row.status, row.episodes, row.count, row.message_id, row.resolved_at) == ("firing", 2, 2, 900, None)
    async with stage.services.database.begin() as session:
        await session.execute(update(Alert).values(message_at=row.started_at - SAME_MESSAGE * 2))
    await alerts.receive(source, batch(item(status=AlertStatus.RESOLVED)))
    await alerts.receive(source, batch(item()))
    (row,) = await rows(stage)
    assert (row.episodes, row.message_id) == (3, None)


async def test_what_changes_while_a_message_is_written_stays_outstanding(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    await alerts.receive(source, batch(item()))
    (row,) = await alerts.outstanding()
    assert row.source.channel_id == CHANNEL
    await alerts.receive(source, batch(item(status=AlertStatus.RESOLVED)))
    await alerts.posted([row], CHANNEL, 900)
    (row,) = await alerts.outstanding()
    assert (row.status, row.message_id) == ("resolved", 900)
    await alerts.shown([row])
    assert await alerts.outstanding() == []


async def test_many_at_once_lose_nothing_and_share_transactions(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    written: list[int] = []
    merge = alerts._merge

    async def counting(session: object, requests: list[object]) -> object:
        written.append(len(requests))
        return await merge(session, requests)  # type: ignore[arg-type]

    alerts._merge = counting  # type: ignore[method-assign,assignment]
    await asyncio.gather(*(alerts.receive(source, batch(item(f"alert {n % 50}"))) for n in range(500)))
    kept = await rows(stage)
    assert (len(kept), sum(row.count for row in kept)) == (50, 500)
    assert sum(written) == 500 and len(written) < 50


async def test_two_processes_write_the_same_alert_once(stage: Stage) -> None:
    source = await a_source(stage)
    services = stage.services
    others = [Alerts(services.database, services.access, services.activity, SystemClock()) for _ in range(3)]
    await asyncio.gather(*(one.receive(source, batch(item(f"alert {n}"))) for one in others for n in range(10)))
    kept = await rows(stage)
    assert (len(kept), sum(row.episodes for row in kept)) == (10, 10)


async def test_a_cancelled_writer_leaves_the_others_their_turn(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    first = asyncio.ensure_future(alerts.receive(source, batch(item("first"))))
    rest = [asyncio.ensure_future(alerts.receive(source, batch(item(f"rest {n}")))) for n in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(*rest)
    assert {row.title for row in await rows(stage)} >= {f"rest {n} is bad" for n in range(5)}


async def test_a_source_keeps_so_many_and_its_neighbours_do_not_suffer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_module, "MOST_PER_SOURCE", 3)
    source, other, alerts = await a_source(stage), await a_source(stage, "other"), stage.services.alerts
    results = await asyncio.gather(
        alerts.receive(source, batch(*(item(f"a{n}") for n in range(4)))), alerts.receive(other, batch(item())), return_exceptions=True
    )
    assert isinstance(results[0], LimitReached)
    assert not isinstance(results[1], BaseException)
    assert [row.source_id for row in await rows(stage)] == [other.id]


async def test_the_first_who_looks_after_it_stays(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    await alerts.receive(source, batch(item()))
    (row,) = await rows(stage)
    await stage.services.guilds.grant(owner(), preset="moderator", role_id=MODERATOR_ROLE)
    with pytest.raises(MissingPermission):
        await alerts.acknowledge(member(), row.id)
    assert (await alerts.acknowledge(member(MODERATOR_ROLE), row.id)).acknowledged_by == 33
    assert (await alerts.acknowledge(owner(), row.id)).acknowledged_by == 33
    with pytest.raises(NotFound):
        await alerts.acknowledge(owner(), row.id + 99)
    await stage.services.guilds.bind(2002, 12, "Elsewhere")
    with pytest.raises(NotFound):
        await alerts.acknowledge(owner(2002), row.id)
    await alerts.receive(source, batch(item(status=AlertStatus.RESOLVED)))
    await alerts.receive(source, batch(item()))
    assert (await rows(stage))[0].acknowledged_by is None


async def test_a_silence_opens_no_message_until_it_ends(stage: Stage) -> None:
    source, other, alerts = await a_source(stage), await a_source(stage, "other"), stage.services.alerts
    await alerts.silence(owner(), timedelta(hours=1), source_name="prometheus")
    await alerts.receive(source, batch(item(), item("brief")))
    await alerts.receive(other, batch(item()))
    await alerts.receive(source, batch(item("brief", AlertStatus.RESOLVED)))
    assert [row.source_id for row in await alerts.outstanding()] == [other.id]
    assert len(await alerts.recent(owner())) == 3
    await alerts.silence(owner(), timedelta(0), source_name="prometheus")
    assert sorted((row.source_id, row.title) for row in await alerts.outstanding()) == [
        (source.id, "load is bad"),
        (other.id, "load is bad"),
    ]
    row = (await alerts.outstanding())[0]
    until = await alerts.silence(owner(), timedelta(hours=1), alert_id=row.id)
    assert (await alerts.silences([row.id])) == {row.id: until}
    assert len(await alerts.outstanding()) == 1
    with pytest.raises(Invalid):
        await alerts.silence(owner(), timedelta(days=31))
    with pytest.raises(NotFound):
        await alerts.silence(owner(), timedelta(hours=1), source_name="nobody")


async def test_a_closed_channel_is_news_once_and_holds_its_alerts(stage: Stage) -> None:
    source, sources, alerts = await a_source(stage), stage.services.alert_sources, stage.services.alerts
    await alerts.receive(source, batch(item()))
    assert await sources.broke(source.id, "its channel was deleted")
    assert not await sources.broke(source.id, "its channel was deleted")
    assert await alerts.outstanding() == []
    assert (await sources.lines(owner()))[0].source.broken == "its channel was deleted"
    await sources.move(owner(), "prometheus", 78)
    (row,) = await alerts.outstanding()
    assert (row.source.channel_id, row.source.broken) == (78, "")


async def test_aeries_own_source_is_made_once_and_finds_a_channel(stage: Stage) -> None:
    made, sources = await stage.a_server(), stage.services.alert_sources
    own = await asyncio.gather(*(sources.own(GUILD) for _ in range(5)))
    assert len({one.id for one in own}) == 1
    assert await sources.fallback_channel(GUILD, made.id) is None
    await stage.services.guilds.remember_card(made, GUILD, 5, 6)
    assert await sources.fallback_channel(GUILD, made.id) == 5
    await stage.services.guilds.attach_console(owner(), made.uuid, 55)
    assert await sources.fallback_channel(GUILD, made.id) == await sources.fallback_channel(GUILD, None) == 55
    await sources.set_own_channel(owner(), 99)
    assert (await sources.own(GUILD)).channel_id == 99
    assert await sources.names(owner()) == []


async def test_one_happening_counts_once_whoever_tells_it(stage: Stage) -> None:
    own, alerts = await stage.services.alert_sources.own(GUILD), stage.services.alerts
    crash = item("crash", occurrence="crash 1")
    for _ in range(3):
        await alerts.receive(own, batch(crash), channel_id=5)
    (row,) = await alerts.outstanding()
    assert (row.count, row.channel_id) == (1, 5)
    await alerts.receive(own, batch(item("crash", occurrence="crash 2")), channel_id=5)
    assert (await rows(stage))[0].count == 2
    assert [row.title for row in await alerts.firing_own()] == ["crash is bad"]
    late = item("crash", occurrence="crash 2", starts_at=datetime(2026, 1, 1, tzinfo=UTC))
    await alerts.receive(own, batch(item("crash", AlertStatus.RESOLVED)))
    await alerts.receive(own, batch(late), channel_id=5)
    assert [(row.status, row.episodes) for row in await rows(stage)] == [("resolved", 1)]


async def test_a_deleted_message_is_posted_anew_only_while_it_fires(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    await alerts.receive(source, batch(item("a"), item("b")))
    await alerts.posted(await rows(stage), CHANNEL, 900)
    await alerts.receive(source, batch(item("a"), item("b", AlertStatus.RESOLVED)))
    await alerts.message_gone(await rows(stage))
    assert [(row.title, row.message_id) for row in await alerts.outstanding()] == [("a is bad", None)]


async def test_what_was_resolved_long_ago_is_forgotten(stage: Stage) -> None:
    source, alerts = await a_source(stage), stage.services.alerts
    await alerts.receive(source, batch(item("a"), item("b")))
    await alerts.receive(source, batch(item("a", AlertStatus.RESOLVED)))
    async with stage.services.database.begin() as session:
        await session.execute(update(Alert).values(resolved_at=datetime(2020, 1, 1, tzinfo=UTC)))
    await alerts.prune()
    assert [row.title for row in await rows(stage)] == ["b is bad"]


async def test_a_role_is_called_by_severity(stage: Stage) -> None:
    sources = stage.services.alert_sources
    await sources.mention(owner(), AlertSeverity.CRITICAL, 501)
    await sources.mention(owner(), AlertSeverity.CRITICAL, 502)
    await sources.mention(owner(), AlertSeverity.INFO, 503)
    assert await sources.roles({GUILD}) == {(GUILD, "critical"): 502, (GUILD, "info"): 503}
    await sources.mention(owner(), AlertSeverity.INFO, None)
    assert await sources.roles({GUILD}) == {(GUILD, "critical"): 502}


async def test_a_signature_is_checked_with_a_key_that_lies_sealed(stage: Stage) -> None:
    sources: AlertSources = stage.services.alert_sources
    made = await sources.create(owner(), "signed", CHANNEL, signed=True)
    assert made.signing_key and made.signing_key not in (made.source.signing_sealed or "")
    good = "sha256=" + hmac.new(made.signing_key.encode(), b"body", hashlib.sha256).hexdigest()
    assert sources.signed_well(made.source, b"body", good)
    for wrong in ("", good[7:], good[:-1], "sha256=ü"):
        assert not sources.signed_well(made.source, b"body", wrong)
    assert not sources.signed_well(made.source, b"other", good)


async def test_removing_a_source_takes_its_alerts_along(stage: Stage) -> None:
    source = await a_source(stage)
    await stage.services.alerts.receive(source, batch(item()))
    await stage.services.alerts.silence(owner(), timedelta(hours=1), source_name="prometheus")
    await stage.services.alert_sources.remove(owner(), "prometheus")
    async with stage.services.database.session() as session:
        assert await session.scalar(select(func.count()).select_from(Alert)) == 0
    with pytest.raises(MissingPermission):
        await stage.services.alerts.recent(Actor(owner().kind, "Mia", discord_id=1, guild_id=GUILD))


async def test_a_report_is_behind_though_its_row_was_marked_as_shown_while_it_was_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite nothing locks the row between the two; on MariaDB the marking waits."""
    source = await a_source(stage)
    await stage.services.alerts.receive(source, batch(item()))
    before = await rows(stage)
    marking: list[asyncio.Task[None]] = []
    known = Alerts._known

    async def read(self: Alerts, session: Any, requests: Any) -> Any:
        found = await known(self, session, requests)
        marking.append(asyncio.ensure_future(stage.services.alerts.posted(before, CHANNEL, 5)))
        await asyncio.wait(marking, timeout=0.5)
        return found

    monkeypatch.setattr(Alerts, "_known", read)
    await stage.services.alerts.receive(source, batch(item(status=AlertStatus.RESOLVED)))
    await asyncio.gather(*marking)
    (row,) = await rows(stage)
    assert (row.status, row.message_id, row.behind) == ("resolved", 5, True)
