"""Backups over the agent's API: made, told, looked into, put back whole or not at all, after a crash too; and sent to S3."""

import asyncio
import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from agent.app import running
from agent.backups import restore, s3
from agent.backups.restore import Note
from core.agent_settings import PullSection
from core.clock import SystemClock
from core.protocol.backups import BackupStatus
from core.protocol.signed import Purpose
from core.tokens import new_node_token, sign_url_token
from core.vocabulary import ServerState
from tests.agent.api.conftest import Bench, config, settings
from tests.agent.archives_made import special, tar_of
from tests.fakes.panel import standing


@dataclass
class Shop:
    """An S3 that takes parts by PUT, with moods: `rude` holds the statuses of the next answers."""

    url: str = ""
    parts: dict[str, bytes] = field(default_factory=dict)
    rude: list[int] = field(default_factory=list)
    tries: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.tries += 1
        body = await request.read()
        if self.rude and (status := self.rude.pop(0)) != 200:
            return web.Response(status=status)
        assert request.headers["Content-Type"] == "application/x-gzip"
        self.parts[request.path] = body
        return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    async def give(self, request: web.Request) -> web.Response:
        return web.Response(body=b"".join(self.parts[path] for path in sorted(self.parts)), content_type="application/x-gzip")


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    made = Shop()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_put("/{rest:.*}", made.take)
    app.router.add_get("/{rest:.*}", made.give)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def agent_in(place: Path, uuid: str = "", shop: Shop | None = None) -> AsyncIterator[Bench]:
    async with standing(new_node_token()) as panel:
        uuid = uuid or str(uuid4())
        panel.servers[uuid] = settings(uuid)
        pulls = PullSection(allowed_networks=["127.0.0.1"], ports=[int(shop.url.rpartition(":")[2])] if shop else [80])
        async with running(config(panel, place).model_copy(update={"pull": pulls})) as agent:
            agent.manager.get(uuid).folder.mkdir(parents=True, exist_ok=True)
            headers = {"Authorization": f"Bearer {panel.token.secret}"}
            async with aiohttp.ClientSession(agent.url, headers=headers) as http:
                yield Bench(agent, panel, http, uuid)


@pytest.fixture
async def bench(tmp_path: Path, shop: Shop) -> AsyncIterator[Bench]:
    async with agent_in(tmp_path, shop=shop) as made:
        yield made


def folder(bench: Bench) -> Path:
    return bench.agent.manager.get(bench.uuid).folder


def fill(bench: Bench) -> dict[str, bytes]:
    """Some files; answers them."""
    files = {"world/level.dat": os.urandom(50_000), "world/region/r.0.0.mca": os.urandom(400_000), "server.properties": b"motd=hello\n"}
    for name, data in files.items():
        (folder(bench) / name).parent.mkdir(parents=True, exist_ok=True)
        (folder(bench) / name).write_bytes(data)
    (folder(bench) / "latest").symlink_to("world/level.dat")
    return files


def there(bench: Bench) -> dict[str, bytes]:
    top = folder(bench)
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file() and not path.is_symlink()}


async def told(bench: Bench, path: str) -> dict[str, Any]:
    """The last report for a path, awaited; taken out."""
    async with asyncio.timeout(30):
        while not (found := [body for posted, body in bench.panel.posts if posted == path]):
            await asyncio.sleep(0.02)
    bench.panel.posts[:] = [one for one in bench.panel.posts if one[0] != path]
    return dict(found[-1])


async def backed_up(bench: Bench, adapter: str = "wings", **more: str) -> tuple[str, BackupStatus]:
    backup = str(uuid4())
    async with bench.http.post(bench.path("/backup"), json={"adapter": adapter, "uuid": backup, **more}) as answer:
        assert (answer.status, await answer.read()) == (202, b"")
    return backup, BackupStatus.model_validate(await told(bench, f"/backups/{backup}"))


async def put_back(bench: Bench, backup: str, status: int = 202, **more: object) -> bool:
    body = {"adapter": "wings", "truncate_directory": True, **more}
    async with bench.http.post(bench.path(f"/backup/{backup}/restore"), json=body) as answer:
        assert answer.status == status, await answer.text()
    return bool((await told(bench, f"/backups/{backup}/restore"))["successful"]) if status == 202 else False


async def test_a_backup_is_made_told_downloaded_and_deleted(bench: Bench) -> None:
    files = fill(bench)
    backup, status = await backed_up(bench)
    token = sign_url_token(
        bench.panel.token.secret, Purpose.BACKUP_DOWNLOAD, server_uuid=bench.uuid, now=SystemClock().now(), backup_uuid=backup
    )
    async with aiohttp.ClientSession(bench.agent.url) as browser, browser.get(f"/download/backup?token={token}") as answer:
        body = await answer.read()
    assert (status.successful, status.checksum, status.checksum_type, status.size, status.parts) == (
        True, hashlib.sha1(body).hexdigest(), "sha1", len(body), None,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert sorted(member.name for member in tar if member.isreg()) == sorted(files)
    async with bench.http.delete(bench.path(f"/backup/{backup}")) as answer:
        assert answer.status == 204
    async with bench.http.delete(bench.path(f"/backup/{backup}")) as answer:
        assert answer.status == 404


async def test_it_is_looked_into_and_one_file_taken_out(bench: Bench) -> None:
    files = fill(bench)
    backup, _ = await backed_up(bench)
    below = f"/api/aerie/servers/{bench.uuid}/backups"
    async with bench.http.get(below) as answer:
        (one,) = await answer.json()
        assert (one["uuid"], one["files"], one["torn"], one["proven_at"]) == (backup, 3, [], None)
    async with bench.http.get(f"{below}/{backup}/files?directory=/world") as answer:
        assert [(entry["name"], entry["kind"], entry["size"]) for entry in await answer.json()] == [
            ("region", "folder", 0), ("level.dat", "file", 50_000),
        ]  # fmt: skip
    async with bench.http.get(f"{below}/{backup}/contents?file=/world/region/r.0.0.mca") as answer:
        assert await answer.read() == files["world/region/r.0.0.mca"]
    async with bench.http.get(f"{below}/{backup}/contents?file=/nothing") as answer:
        assert answer.status == 404
    async with bench.http.post(f"{below}/{backup}/prove") as answer:
        assert (await answer.json())["files"] == 3
    archive = bench.agent.backups.store.archive(backup)
    body = bytearray(archive.read_bytes())
    body[len(body) // 2] ^= 1
    archive.write_bytes(body)
    async with bench.http.post(f"{below}/{backup}/prove") as answer:
        assert (answer.status, (await answer.json())["code"]) == (500, "backup_broken")


@pytest.mark.parametrize("bad", ["not-a-uuid", "..%2f..%2fetc%2fx"])
async def test_bak_1_ids_must_be_uuids_on_every_route(bench: Bench, bad: str) -> None:
    async with bench.http.post(bench.path("/backup"), json={"adapter": "wings", "uuid": "../../x"}) as answer:
        assert answer.status == 422
    for method, path in (("DELETE", f"/backup/{bad}"), ("POST", f"/backup/{bad}/restore")):
        async with bench.http.request(method, bench.path(path), json={"adapter": "wings"}) as answer:
            assert answer.status in (404, 422)


async def test_bak_2_an_address_for_one_servers_backup_opens_no_other(bench: Bench) -> None:
    fill(bench)
    backup, _ = await backed_up(bench)
    other = str(uuid4())
    bench.panel.servers[other] = settings(other)
    async with bench.http.post("/api/servers", json={"uuid": other}) as answer:
        assert answer.status == 202
    token = sign_url_token(
        bench.panel.token.secret, Purpose.BACKUP_DOWNLOAD, server_uuid=other, now=SystemClock().now(), backup_uuid=backup
    )
    async with bench.http.get(f"/download/backup?token={token}") as answer:
        assert answer.status == 404


async def test_a_restore_brings_back_what_was_and_keeps_what_is_for_an_undo(bench: Bench) -> None:
    files = fill(bench)
    backup, _ = await backed_up(bench)
    (folder(bench) / "world/level.dat").write_bytes(b"griefed")
    (folder(bench) / "new.txt").write_bytes(b"later")
    assert await put_back(bench, backup)
    assert there(bench) == files
    assert os.readlink(folder(bench) / "latest") == "world/level.dat"
    safety = next(known for known in bench.agent.backups.store.of(bench.uuid) if known.reason == "safety")
    assert await put_back(bench, safety.backup)
    assert there(bench) == {**files, "world/level.dat": b"griefed", "new.txt": b"later"}


async def test_without_truncate_newer_files_stay(bench: Bench) -> None:
    files = fill(bench)
    backup, _ = await backed_up(bench)
    (folder(bench) / "new.txt").write_bytes(b"later")
    (folder(bench) / "world/level.dat").write_bytes(b"griefed")
    assert await put_back(bench, backup, truncate_directory=False)
    assert there(bench) == {**files, "new.txt": b"later"}


async def test_bak_3_nothing_is_wiped_when_the_backup_is_missing_or_broken(bench: Bench, shop: Shop) -> None:
    files = fill(bench)
    await put_back(bench, str(uuid4()), 404)
    backup, _ = await backed_up(bench)
    archive = bench.agent.backups.store.archive(backup)
    archive.write_bytes(archive.read_bytes()[:-100])
    assert not await put_back(bench, backup)
    await put_back(bench, backup, 400, adapter="s3")
    shop.parts["/1"] = b"no archive"
    assert not await put_back(bench, backup, adapter="s3", download_url=f"{shop.url}/x")
    assert there(bench) == files
    assert list(bench.agent.backups.store.folder.glob("*.fetched")) == []


async def test_bak_4_addresses_inside_the_network_are_not_asked(bench: Bench) -> None:
    files = fill(bench)
    backup = str(uuid4())
    for url in ("http://169.254.169.254/", "file:///etc/passwd", "http://[::1]/x"):
        assert not await put_back(bench, backup, adapter="s3", download_url=url)
    assert there(bench) == files


async def test_bak_5_a_hostile_archive_stays_inside_and_the_old_files_come_back(bench: Bench, shop: Shop, tmp_path: Path) -> None:
    files = fill(bench)
    outside = tmp_path / "outside"
    outside.mkdir()
    shop.parts["/1"] = tar_of(special("d", tarfile.SYMTYPE, str(outside)), ("d/evil", b"1"), ("../evil", b"1"))
    assert not await put_back(bench, str(uuid4()), adapter="s3", download_url=f"{shop.url}/x")
    assert there(bench) == files
    assert os.listdir(outside) == []


async def test_bak_6_a_suspended_server_is_suspended_afterwards(bench: Bench) -> None:
    fill(bench)
    backup, _ = await backed_up(bench)
    bench.agent.manager.get(bench.uuid).configuration.settings.suspended = True
    assert await put_back(bench, backup)
    assert bench.agent.manager.get(bench.uuid).suspended


async def test_a_running_server_is_stopped_first_and_cannot_be_started_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench)
    backup, _ = await backed_up(bench)
    server = bench.agent.manager.get(bench.uuid)
    async with bench.http.post(bench.path("/power"), json={"action": "start"}) as answer:
        assert answer.status == 202
    async with asyncio.timeout(20):
        while server.state is not ServerState.RUNNING:
            await asyncio.sleep(0.02)
    refused: list[int] = []
    put = restore.put_back

    def watched(*args: Any, **more: Any) -> int:
        assert server.state is ServerState.OFFLINE
        refused.append(asyncio.run_coroutine_threadsafe(_start(bench), loop).result(20))
        return put(*args, **more)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(restore, "put_back", watched)
    assert await put_back(bench, backup)
    assert refused == [409]
    assert await _start(bench) == 202


async def _start(bench: Bench) -> int:
    async with bench.http.post(bench.path("/power"), json={"action": "start"}) as answer:
        return answer.status


async def test_one_thing_at_a_time_for_a_server(bench: Bench) -> None:
    fill(bench)
    backup, _ = await backed_up(bench)
    async with bench.agent.backups._turn:  # whichever comes first waits for its turn until all have asked
        answers = await asyncio.gather(
            *(bench.http.post(bench.path("/backup"), json={"adapter": "wings", "uuid": str(uuid4())}) for _ in range(4)),
            bench.http.post(bench.path(f"/backup/{backup}/restore"), json={"adapter": "wings"}),
        )
    assert sorted(answer.status for answer in answers) == [202, 409, 409, 409, 409]
    for answer in answers:
        answer.release()


async def test_unknown_kinds_are_refused_in_words(bench: Bench) -> None:
    async with bench.http.post(bench.path("/backup"), json={"adapter": "tape", "uuid": str(uuid4())}) as answer:
        assert (answer.status, "tape" in (await answer.json())["error"]) == (400, True)


async def test_a_backup_that_an_agents_end_cut_short_is_told_as_failed_by_the_next(tmp_path: Path) -> None:
    backup, uuid = str(uuid4()), str(uuid4())
    store = tmp_path / "backups"
    store.mkdir()
    (store / f"{backup}.making").write_text(uuid)
    (store / f"{backup}.part").write_bytes(b"half")
    async with agent_in(tmp_path, uuid) as bench:
        assert BackupStatus.model_validate(await told(bench, f"/backups/{backup}")).successful is False
        async with asyncio.timeout(20):
            while os.listdir(store):
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("left", ["whole", "half", "nothing"])
async def test_a_restore_that_an_agents_end_cut_short_is_done_by_the_next(tmp_path: Path, left: str) -> None:
    uuid = str(uuid4())
    async with agent_in(tmp_path, uuid) as bench:
        files = fill(bench)
        backup, _ = await backed_up(bench)
        archive = bench.agent.backups.store.archive(backup).name
        restore.write_note(bench.agent.backups.store, Note(server=uuid, backup=backup, archive=archive, truncate=True))
        if left != "whole":
            restore_root = folder(bench)
            (restore_root / "server.properties").unlink()
            (restore_root / "latest").unlink()
            (restore_root / "world/level.dat").write_bytes(b"hal")
        if left == "nothing":
            for path in sorted(folder(bench).rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
    async with agent_in(tmp_path, uuid) as bench:
        assert bench.agent.manager.get(uuid).held or not list((tmp_path / "backups").glob("*.restoring"))
        assert (await told(bench, f"/backups/{backup}/restore"))["successful"] is True
        assert there(bench) == files
        assert not bench.agent.manager.get(uuid).held
        assert not list((tmp_path / "backups").glob("*.restoring"))


async def test_a_restore_that_does_not_fit_brings_the_old_files_back(bench: Bench) -> None:
    server = bench.agent.manager.get(bench.uuid)
    (folder(bench) / "large").write_bytes(os.urandom(2_000_000))
    backup, _ = await backed_up(bench)
    (folder(bench) / "large").unlink()
    (folder(bench) / "small").write_bytes(b"small")
    server.configuration.settings.build.disk_space = 1
    assert not await put_back(bench, backup)
    assert there(bench) == {"small": b"small"}


async def test_s3_takes_the_parts_and_the_local_copy_goes(bench: Bench, shop: Shop) -> None:
    fill(bench)
    backup = str(uuid4())
    bench.panel.upload_urls[backup] = {"parts": [f"{shop.url}/{number}" for number in range(9)], "part_size": 60_000}
    async with bench.http.post(bench.path("/backup"), json={"adapter": "s3", "uuid": backup}) as answer:
        assert answer.status == 202
    status = BackupStatus.model_validate(await told(bench, f"/backups/{backup}"))
    body = b"".join(shop.parts[f"/{number}"] for number in range(len(shop.parts)))
    assert hashlib.sha1(body).hexdigest() == status.checksum
    assert status.parts is not None
    assert [part.part_number for part in status.parts] == list(range(1, len(shop.parts) + 1))
    assert status.parts[0].etag == f'"{hashlib.md5(shop.parts["/0"]).hexdigest()}"'
    assert list(bench.agent.backups.store.folder.iterdir()) == []
    files = there(bench)
    (folder(bench) / "server.properties").unlink()
    assert await put_back(bench, backup, adapter="s3", download_url=f"{shop.url}/all")
    assert there(bench) == files


async def test_a_store_that_fails_on_the_third_part_gets_that_part_again_whole(bench: Bench, shop: Shop) -> None:
    fill(bench)
    shop.rude = [200, 200, 500, 503]
    backup = str(uuid4())
    bench.panel.upload_urls[backup] = {"parts": [f"{shop.url}/{number}" for number in range(9)], "part_size": 60_000}
    async with bench.http.post(bench.path("/backup"), json={"adapter": "s3", "uuid": backup}) as answer:
        assert answer.status == 202
    status = BackupStatus.model_validate(await told(bench, f"/backups/{backup}"))
    assert status.successful
    assert hashlib.sha1(b"".join(shop.parts[f"/{number}"] for number in range(len(shop.parts)))).hexdigest() == status.checksum
    assert shop.tries == len(shop.parts) + 2


async def test_a_store_that_refuses_is_told_at_once_and_nothing_stays(bench: Bench, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench)
    shop.rude = [403]
    backup = str(uuid4())
    bench.panel.upload_urls[backup] = {"parts": [f"{shop.url}/0"], "part_size": 10_000_000}
    async with bench.http.post(bench.path("/backup"), json={"adapter": "s3", "uuid": backup}) as answer:
        assert answer.status == 202
    assert not BackupStatus.model_validate(await told(bench, f"/backups/{backup}")).successful
    assert (shop.tries, list(bench.agent.backups.store.folder.iterdir())) == (1, [])
    assert s3.RETRY_SECONDS >= 60


async def test_results_survive_a_control_plane_that_is_away(tmp_path: Path) -> None:
    uuid = str(uuid4())
    async with agent_in(tmp_path, uuid) as bench:
        fill(bench)
        bench.panel.status = 502
        backup = str(uuid4())
        async with bench.http.post(bench.path("/backup"), json={"adapter": "wings", "uuid": backup}) as answer:
            assert answer.status == 202
        async with asyncio.timeout(20):
            while bench.agent.backups.store.note(backup).exists() or not bench.agent.backups.store.manifest(backup).exists():
                await asyncio.sleep(0.02)
    with sqlite3.connect(tmp_path / "outbox.sqlite3") as journal:
        kept = [json.loads(body) for path, body in journal.execute("SELECT path, body FROM outbox") if path == f"/backups/{backup}"]
    journal.close()
    assert [body["successful"] for body in kept] == [True]
