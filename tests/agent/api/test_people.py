"""Signed addresses for files: once, for one server, whole or not at all, and written down."""

import io
import json
import os
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from core.clock import SystemClock
from core.protocol.signed import Purpose
from core.tokens import sign_url_token
from tests.agent.api.conftest import Bench

USER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def folder(bench: Bench) -> Path:
    place = bench.agent.manager.get(bench.uuid).folder
    place.mkdir(parents=True, exist_ok=True)
    return place


def token(bench: Bench, purpose: Purpose, file_path: str | None = None, server: str = "") -> str:
    return sign_url_token(
        bench.panel.token.secret, purpose, server_uuid=server or bench.uuid, now=SystemClock().now(), user_uuid=USER, file_path=file_path
    )


def form(*files: tuple[str, bytes], field: str = "files") -> aiohttp.FormData:
    made = aiohttp.FormData(quote_fields=False)
    for name, data in files:
        made.add_field(field, io.BytesIO(data), filename=name)
    return made


async def test_a_download_works_once_without_the_nodes_secret(bench: Bench, folder: Path) -> None:
    body = os.urandom(300_000)
    (folder / "wörld.zip").write_bytes(body)
    url = f"/download/file?token={token(bench, Purpose.FILE_DOWNLOAD, '/wörld.zip')}"
    async with aiohttp.ClientSession(bench.agent.url) as browser:
        async with browser.get(url) as answer:
            assert answer.status == 200
            assert "filename*=UTF-8''w%C3%B6rld.zip" in answer.headers["Content-Disposition"]
            assert await answer.read() == body
        async with browser.get(url) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("path", ["/", "/folder", "/nothing", "/../../etc/passwd", "/out"])
async def test_what_is_no_file_of_the_server_is_404(bench: Bench, folder: Path, tmp_path: Path, path: str) -> None:
    (folder / "folder").mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    async with bench.http.get(f"/download/file?token={token(bench, Purpose.FILE_DOWNLOAD, path)}") as answer:
        assert answer.status == 404


async def test_uploads_are_put_in_place_and_written_down(bench: Bench, folder: Path, tmp_path: Path) -> None:
    big = os.urandom(2_500_000)
    url = f"/upload/file?token={token(bench, Purpose.FILE_UPLOAD)}&directory=/mods/new"
    async with (
        aiohttp.ClientSession(bench.agent.url) as browser,
        browser.post(url, data=form(("a.jar", big), ("../../b.txt", b"b"))) as answer,
    ):
        assert (answer.status, await answer.read()) == (200, b"")
    assert (folder / "mods/new/a.jar").read_bytes() == big
    assert (folder / "mods/new/b.txt").read_bytes() == b"b"
    assert (folder / "mods/new/b.txt").stat().st_mode & 0o777 == 0o644
    with sqlite3.connect(tmp_path / "outbox.sqlite3") as journal:  # kept until the control plane has taken them
        first, second = (json.loads(body) for (body,) in journal.execute("SELECT body FROM outbox ORDER BY id"))
    journal.close()
    assert (first["event"], first["user"], first["server"]) == ("server:file.uploaded", USER, bench.uuid)
    assert (first["metadata"], second["metadata"]["file"]) == ({"file": "a.jar", "directory": "/mods/new"}, "b.txt")


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(bench: Bench, folder: Path) -> None:
    bench.agent.manager.get(bench.uuid).configuration.settings.build.disk_space = 1
    url = f"/upload/file?token={token(bench, Purpose.FILE_UPLOAD)}"
    async with bench.http.post(url, data=form(("fine", b"1"), ("large", bytes(2_000_000)))) as answer:
        assert answer.status == 400
        assert "disk limit" in (await answer.json())["error"]
    assert os.listdir(folder) == ["fine"]


async def test_forms_without_files_are_refused(bench: Bench, folder: Path) -> None:
    for data in (form(("a", b"1"), field="other"), b"no form"):
        async with bench.http.post(f"/upload/file?token={token(bench, Purpose.FILE_UPLOAD)}", data=data) as answer:
            assert answer.status == 400
    assert os.listdir(folder) == []


async def test_tok_1_an_address_for_one_thing_opens_no_other(bench: Bench, folder: Path) -> None:
    (folder / "a").write_text("a")
    async with bench.http.post(f"/upload/file?token={token(bench, Purpose.FILE_DOWNLOAD, '/a')}", data=form(("x", b"1"))) as answer:
        assert answer.status in (401, 403)
    async with bench.http.get(f"/download/file?token={token(bench, Purpose.FILE_UPLOAD)}") as answer:
        assert answer.status in (401, 403)
    async with bench.http.get(f"/download/file?token={bench.jwt('*')}") as answer:
        assert answer.status in (401, 403)
    assert os.listdir(folder) == ["a"]


async def test_a_suspended_server_gives_and_takes_nothing(bench: Bench, folder: Path) -> None:
    (folder / "a").write_text("a")
    bench.agent.manager.get(bench.uuid).configuration.settings.suspended = True
    async with bench.http.get(f"/download/file?token={token(bench, Purpose.FILE_DOWNLOAD, '/a')}") as answer:
        assert answer.status == 409
    async with bench.http.post(f"/upload/file?token={token(bench, Purpose.FILE_UPLOAD)}", data=form(("x", b"1"))) as answer:
        assert answer.status == 409
