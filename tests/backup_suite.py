"""Tests of backups that every database must pass. Modules that run them import everything and give a fixture `database_url`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import select

from core.clock import SystemClock
from core.errors import AerieError, Conflict, LimitReached, MissingPermission, NodeError, NotFound, ServerBusy
from core.events import ServerBackupEnded, ServerRestoreEnded
from core.models.backup import Backup
from core.models.server import Server
from core.protocol.backups import BackupStatus
from core.protocol.signed import Purpose
from core.services import backups as backups_module
from core.services.servers import Extras
from core.tokens import read_url_token
from core.vocabulary import ServerStatus
from tests.control_plane import GUILD, SYSTEM, Stage, member, owner, staged

WHOLE = BackupStatus(checksum="ab" * 20, checksum_type="sha1", size=5_000_000_000, successful=True)
FAILED = BackupStatus(successful=False)


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with staged(database_url) as ready:
        yield ready


@pytest.fixture
async def server(stage: Stage) -> Server:
    return await stage.a_server(extras=Extras(backups=2))


async def made(stage: Stage, server: Server, name: str = "before the update") -> Backup:
    """A whole backup."""
    row = await stage.services.backups.create(owner(), server.uuid, name=name)
    await stage.services.backups.report(stage.node, row.uuid, WHOLE)
    return await stage.services.backups.one(owner(), server.uuid, row.uuid)


async def status_of(stage: Stage, server: Server) -> str | None:
    async with stage.services.database.session() as session:
        return await session.scalar(select(Server.status).where(Server.id == server.id))


async def test_a_backup_is_begun_reported_and_listed(stage: Stage, server: Server) -> None:
    async with stage.services.live.watching(server.uuid) as events:
        row = await stage.services.backups.create(owner(), server.uuid, name="first", ignored="*.log\ncache")
        assert stage.fake.backups == [("POST", row.uuid, {"adapter": "wings", "uuid": row.uuid, "ignore": "*.log\ncache"})]
        assert row.pending
        await stage.services.backups.report(stage.node, row.uuid, WHOLE)
        (event,) = await events.drain()
    assert isinstance(event, ServerBackupEnded)
    assert (event.backup_uuid, event.successful, event.bytes) == (row.uuid, True, 5_000_000_000)
    _, (one,) = await stage.services.backups.of(owner(), server.uuid)
    assert (one.name, one.successful, one.bytes, one.checksum, one.made_by, one.pending) == (
        "first", True, 5_000_000_000, "sha1:" + "ab" * 20, "Ada", False,
    )  # fmt: skip


async def test_a_report_that_comes_twice_counts_once_and_a_late_success_beats_a_failure(stage: Stage, server: Server) -> None:
    row = await stage.services.backups.create(owner(), server.uuid)
    await stage.services.backups.report(stage.node, row.uuid, FAILED)
    assert not (await stage.services.backups.one(owner(), server.uuid, row.uuid)).successful
    await stage.services.backups.report(stage.node, row.uuid, WHOLE)
    await stage.services.backups.report(stage.node, row.uuid, FAILED)
    assert (await stage.services.backups.one(owner(), server.uuid, row.uuid)).successful


async def test_bak_7_a_node_speaks_for_its_own_servers_alone(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    await stage.services.backups.restore(owner(), server.uuid, row.uuid, truncate=True)
    other, _ = await stage.services.nodes.create("other", "http://127.0.0.1:9")
    for call in (
        stage.services.backups.report(other, row.uuid, FAILED),
        stage.services.backups.report_restore(other, row.uuid, successful=True),
        stage.services.backups.report(stage.node, str(uuid4()), WHOLE),
    ):
        with pytest.raises(NotFound):
            await call
    assert await status_of(stage, server) == ServerStatus.RESTORING_BACKUP


async def test_quo_7_the_limit_holds_however_many_ask_at_once(stage: Stage, server: Server) -> None:
    results = await asyncio.gather(
        *(stage.services.backups.create(owner(), server.uuid, name=str(number)) for number in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, Backup) for result in results) == 2
    assert all(isinstance(result, Backup | LimitReached) for result in results), results


async def test_failed_ones_do_not_count_against_the_limit(stage: Stage, server: Server) -> None:
    for _ in range(4):
        row = await stage.services.backups.create(owner(), server.uuid)
        await stage.services.backups.report(stage.node, row.uuid, FAILED)
    _, rows = await stage.services.backups.of(owner(), server.uuid)
    assert len(rows) == 4


async def test_what_the_node_refuses_leaves_no_row(stage: Stage, server: Server) -> None:
    stage.fake.backup_status = 500
    with pytest.raises(NodeError):
        await stage.services.backups.create(owner(), server.uuid)
    assert (await stage.services.backups.of(owner(), server.uuid))[1] == []


async def test_a_restore_holds_the_server_until_its_end_is_told(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    async with stage.services.live.watching(server.uuid) as events:
        await stage.services.backups.restore(owner(), server.uuid, row.uuid, truncate=True)
        assert stage.fake.backups[-1] == (
            "POST", row.uuid, {"adapter": "wings", "truncate_directory": True, "download_url": ""},
        )  # fmt: skip
        assert await status_of(stage, server) == ServerStatus.RESTORING_BACKUP
        with pytest.raises(ServerBusy):
            await stage.services.backups.restore(owner(), server.uuid, row.uuid, truncate=True)
        await stage.services.backups.report_restore(stage.node, row.uuid, successful=True)
        await stage.services.backups.report_restore(stage.node, row.uuid, successful=False)  # late and wrong: nothing is restored any more
        told = [event for event in await events.drain() if isinstance(event, ServerRestoreEnded)]
    assert [event.successful for event in told] == [True]
    assert await status_of(stage, server) is None


async def test_a_restore_that_the_node_refuses_frees_the_server(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    stage.fake.backup_status = 409
    with pytest.raises(AerieError):
        await stage.services.backups.restore(owner(), server.uuid, row.uuid, truncate=False)
    assert await status_of(stage, server) is None


async def test_bak_6_a_suspension_outlives_a_restore(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    await stage.services.administration.suspend(SYSTEM, server.id, suspended=True)
    with pytest.raises(ServerBusy):
        await stage.services.backups.restore(owner(), server.uuid, row.uuid, truncate=True)
    await stage.services.backups.report_restore(stage.node, row.uuid, successful=True)
    assert await status_of(stage, server) == ServerStatus.SUSPENDED


async def test_only_whole_backups_are_restored_and_downloaded(stage: Stage, server: Server) -> None:
    row = await stage.services.backups.create(owner(), server.uuid)
    for call in (
        stage.services.backups.restore(owner(), server.uuid, row.uuid, truncate=True),
        stage.services.backups.download(owner(), server.uuid, row.uuid),
        stage.services.backups.delete(owner(), server.uuid, row.uuid),
    ):
        with pytest.raises(Conflict):
            await call


async def test_a_locked_one_is_not_deleted(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    assert (await stage.services.backups.lock(owner(), server.uuid, row.uuid)).locked
    with pytest.raises(Conflict, match="locked"):
        await stage.services.backups.delete(owner(), server.uuid, row.uuid)
    await stage.services.backups.lock(owner(), server.uuid, row.uuid, locked=False)
    await stage.services.backups.delete(owner(), server.uuid, row.uuid)
    assert stage.fake.backups[-1][:2] == ("DELETE", row.uuid)
    with pytest.raises(NotFound):
        await stage.services.backups.one(owner(), server.uuid, row.uuid)


async def test_one_that_its_node_has_lost_can_be_deleted_and_one_whose_node_fails_stays(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    stage.fake.backup_status = 500
    with pytest.raises(NodeError):
        await stage.services.backups.delete(owner(), server.uuid, row.uuid)
    assert (await stage.services.backups.one(owner(), server.uuid, row.uuid)).successful
    stage.fake.backup_status = 404
    await stage.services.backups.delete(owner(), server.uuid, row.uuid)


async def test_a_download_is_signed_for_that_backup_of_that_server(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    url = await stage.services.backups.download(owner(), server.uuid, row.uuid)
    token = parse_qs(urlsplit(url).query)["token"][0]
    claims = read_url_token(stage.fake.token.secret, token, Purpose.BACKUP_DOWNLOAD, now=SystemClock().now())
    assert url.startswith(f"{stage.fake.url}/download/backup?token=")
    assert (claims.server_uuid, claims.backup_uuid) == (server.uuid, row.uuid)


async def test_another_servers_backup_is_not_there(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    other = await stage.a_server("other", 30001, extras=Extras(backups=1))
    for call in (
        stage.services.backups.one(owner(), other.uuid, row.uuid),
        stage.services.backups.restore(owner(), other.uuid, row.uuid, truncate=True),
        stage.services.backups.delete(owner(), other.uuid, row.uuid),
        stage.services.backups.download(owner(), other.uuid, row.uuid),
        stage.services.backups.lock(owner(), other.uuid, row.uuid),
    ):
        with pytest.raises(NotFound):
            await call


async def test_each_deed_needs_its_own_right(stage: Stage, server: Server) -> None:
    row = await made(stage, server)
    somebody = member(guild=GUILD)
    services = stage.services.backups
    for call, right in (
        (services.of(somebody, server.uuid), "backup.read"),
        (services.create(somebody, server.uuid), "backup.create"),
        (services.restore(somebody, server.uuid, row.uuid, truncate=True), "backup.restore"),
        (services.delete(somebody, server.uuid, row.uuid), "backup.delete"),
        (services.lock(somebody, server.uuid, row.uuid), "backup.delete"),
        (services.download(somebody, server.uuid, row.uuid), "backup.download"),
    ):
        with pytest.raises(MissingPermission) as caught:
            await call
        assert caught.value.permission == right


async def test_one_that_nobody_reports_has_failed_in_the_end(stage: Stage, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.services.backups.create(owner(), server.uuid)
    monkeypatch.setattr(backups_module, "FORGOTTEN_AFTER", timedelta(seconds=-5))
    _, (one,) = await stage.services.backups.of(owner(), server.uuid)
    assert not one.pending
    assert not one.successful
