"""The file manager's routes, over real HTTP: what Wings' clients send and get, what is refused, and that nothing is ever half done."""

import asyncio
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from core.protocol.files import FileStat
from tests.agent.api.conftest import Bench


@pytest.fixture
def folder(bench: Bench) -> Path:
    place = bench.agent.manager.get(bench.uuid).folder
    place.mkdir(parents=True, exist_ok=True)
    return place


async def call(bench: Bench, method: str, route: str, status: int, **options: Any) -> Any:
    async with bench.http.request(method, bench.path(f"/files/{route}"), **options) as answer:
        assert answer.status == status, (await answer.text(), route)
        return await answer.json() if answer.content_type == "application/json" else await answer.read()


async def test_what_is_written_is_read_back_and_listed(bench: Bench, folder: Path) -> None:
    body = os.urandom(3 * 1024 * 1024 + 7)
    await call(bench, "POST", "write?file=/deep/er/world.dat", 204, data=io.BytesIO(body))
    assert await call(bench, "GET", "contents?file=deep/er/world.dat", 200) == body
    (one,) = await call(bench, "GET", "list-directory?directory=/deep/er", 200)
    shown = FileStat.model_validate(one)
    assert (shown.name, shown.size, shown.file, shown.directory, shown.mode, shown.mode_bits) == (
        "world.dat", len(body), True, False, "-rw-r--r--", "644",
    )  # fmt: skip
    assert set(one) == {"name", "created", "modified", "mode", "mode_bits", "size", "directory", "file", "symlink", "mime"}


async def test_a_download_names_the_file(bench: Bench, folder: Path) -> None:
    (folder / 'a "b" ü.txt').write_text("hello")
    async with bench.http.get(bench.path("/files/contents"), params={"file": '/a "b" ü.txt', "download": "1"}) as answer:
        assert answer.headers["X-Mime-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Content-Disposition"] == "attachment; filename=\"a _b_ _.txt\"; filename*=UTF-8''a%20%22b%22%20%C3%BC.txt"
        assert answer.content_length == 5


async def test_a_new_text_keeps_mode_and_follows_a_link_inside(bench: Bench, folder: Path) -> None:
    (folder / "run.sh").write_text("old and longer")
    (folder / "run.sh").chmod(0o750)
    (folder / "link").symlink_to("run.sh")
    await call(bench, "POST", "write?file=/link", 204, data=b"new")
    assert (folder / "run.sh").read_text() == "new"
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (folder / "link").is_symlink()


async def test_contents_that_end_early_change_nothing_and_leave_nothing(bench: Bench, folder: Path) -> None:
    (folder / "config.yml").write_text("old")
    url = bench.http._base_url
    assert url is not None
    assert url.host is not None
    assert url.port is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST {bench.path('/files/write?file=/config.yml')} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {bench.panel.token.secret}\r\nContent-Length: 1000\r\n\r\nhalf"
    )
    writer.write(head.encode())
    await writer.drain()
    connection: socket.socket = writer.get_extra_info("socket")
    connection.shutdown(socket.SHUT_WR)
    await asyncio.wait_for(reader.read(), 20)
    writer.close()
    assert (folder / "config.yml").read_text() == "old"
    assert os.listdir(folder) == ["config.yml"]


async def test_a_body_without_a_length_is_refused(bench: Bench, folder: Path) -> None:
    async def chunks() -> Any:
        yield b"text"

    body = await call(bench, "POST", "write?file=/a", 400, data=chunks())
    assert "Content-Length" in body["hint"]


async def test_over_the_limit_is_refused_before_a_byte_is_taken(bench: Bench, folder: Path) -> None:
    server = bench.agent.manager.get(bench.uuid)
    server.configuration.settings.build.disk_space = 1
    (folder / "kept").write_bytes(b"x" * 600_000)
    server.volume.count_soon()  # it came past every door
    body = await call(bench, "POST", "write?file=/more", 400, data=b"y" * 600_000)
    assert "limit of 1 MiB" in body["error"]
    await call(bench, "POST", "write?file=/kept", 204, data=b"y" * 1_000_000)  # only the growth counts
    await call(bench, "POST", "copy", 400, json={"location": "/kept"})
    await call(bench, "POST", "delete", 204, json={"root": "/", "files": ["kept"]})
    await call(bench, "POST", "write?file=/more", 204, data=b"y" * 600_000)
    assert sorted(os.listdir(folder)) == ["more"]


async def test_rename_makes_parents_skips_the_missing_and_never_overwrites(bench: Bench, folder: Path) -> None:
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")
    pairs = [{"from": "nothing", "to": "x"}, {"from": "a", "to": "new/place/a"}]
    await call(bench, "PUT", "rename", 204, json={"root": "/", "files": pairs})
    assert (folder / "new/place/a").read_text() == "a"
    await call(bench, "PUT", "rename", 400, json={"root": "/", "files": [{"from": "b", "to": "new/place/a"}]})
    assert (folder / "new/place/a").read_text() == "a"
    await call(bench, "PUT", "rename", 422, json={"root": "/", "files": []})


async def test_copies_are_named_as_wings_names_them(bench: Bench, folder: Path) -> None:
    (folder / "world.tar.gz").write_bytes(b"packed")
    (folder / "world.tar.gz").chmod(0o600)
    for _ in range(3):
        await call(bench, "POST", "copy", 204, json={"location": "/world.tar.gz"})
    assert sorted(os.listdir(folder)) == ["world copy 1.tar.gz", "world copy 2.tar.gz", "world copy.tar.gz", "world.tar.gz"]
    assert (folder / "world copy.tar.gz").stat().st_mode & 0o777 == 0o600
    await call(bench, "POST", "copy", 404, json={"location": "/"})


async def test_delete_takes_trees_and_links_but_not_what_they_lead_to(bench: Bench, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    deep = folder / "tree"
    for number in range(150):  # deeper than is held open at once
        deep = deep / f"d{number}"
    deep.mkdir(parents=True)
    (deep / "leaf").write_text("x")
    (folder / "tree/link").symlink_to(outside)
    (folder / "gone").symlink_to(outside)
    await call(bench, "POST", "delete", 204, json={"root": "/", "files": ["tree", "gone", "never was"]})
    assert os.listdir(folder) == []
    assert (outside / "kept").read_text() == "kept"
    for name in ("", "/", ".", "a/.."):
        await call(bench, "POST", "delete", 400, json={"root": "/", "files": [name]})


async def test_folders_are_made_with_their_parents(bench: Bench, folder: Path) -> None:
    await call(bench, "POST", "create-directory", 204, json={"name": "a/b", "path": "/x"})
    await call(bench, "POST", "create-directory", 204, json={"name": "a/b", "path": "/x"})
    (folder / "file").write_text("")
    await call(bench, "POST", "create-directory", 400, json={"name": "file", "path": "/"})
    assert (folder / "x/a/b").is_dir()


async def test_modes_lose_setuid_and_never_leave_the_root(bench: Bench, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("")
    outside.chmod(0o600)
    (folder / "a").write_text("")
    (folder / "out").symlink_to(outside)
    await call(bench, "POST", "chmod", 204, json={"root": "/", "files": [{"file": "a", "mode": "6755"}, {"file": "no", "mode": "1"}]})
    assert (folder / "a").stat().st_mode & 0o7777 == 0o755
    await call(bench, "POST", "chmod", 404, json={"root": "/", "files": [{"file": "out", "mode": "777"}]})
    await call(bench, "POST", "chmod", 400, json={"root": "/", "files": [{"file": "a", "mode": "rwx"}]})
    assert outside.stat().st_mode & 0o777 == 0o600


async def test_a_path_that_leads_out_looks_like_one_that_is_not_there(bench: Bench, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path)
    missing = await call(bench, "GET", "contents?file=/nothing", 404)
    outside = await call(bench, "GET", "contents?file=/out/secret", 404)
    assert missing["error"] == outside["error"]
    await call(bench, "GET", "list-directory?directory=/out", 404)
    await call(bench, "POST", "write?file=/out/new", 404, data=b"x")
    await call(bench, "POST", "create-directory", 404, json={"name": "new", "path": "/out"})
    assert sorted(os.listdir(tmp_path)) == sorted({"secret", *os.listdir(tmp_path)} - {"new"})


async def test_a_pipe_is_listed_but_neither_read_nor_waited_for(bench: Bench, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (one,) = await call(bench, "GET", "list-directory?directory=/", 200)
    assert one["mode"].startswith("p")
    await call(bench, "GET", "contents?file=/pipe", 400)
    await call(bench, "POST", "write?file=/pipe", 400, data=b"x")


async def test_denied_files_are_hidden_from_every_route(bench: Bench, folder: Path) -> None:
    server = bench.agent.manager.get(bench.uuid)
    server.configuration.settings.egg.file_denylist = ["*.secret"]
    (folder / "in").mkdir()
    (folder / "in/host.secret").write_text("secret")
    (folder / "plain").write_text("")
    assert await call(bench, "GET", "list-directory?directory=/in", 200) == []
    await call(bench, "GET", "contents?file=/in/./host.secret", 403)
    await call(bench, "POST", "write?file=/in/host.secret", 403, data=b"x")
    await call(bench, "POST", "copy", 403, json={"location": "/in/host.secret"})
    await call(bench, "POST", "delete", 403, json={"root": "/", "files": ["in"]})
    await call(bench, "PUT", "rename", 403, json={"root": "/", "files": [{"from": "in", "to": "out"}]})
    await call(bench, "PUT", "rename", 403, json={"root": "/", "files": [{"from": "plain", "to": "x.secret"}]})
    await call(bench, "POST", "chmod", 403, json={"root": "/in", "files": [{"file": "host.secret", "mode": "777"}]})
    assert (folder / "in/host.secret").read_text() == "secret"


async def test_nothing_is_changed_while_the_server_is_installed(bench: Bench, folder: Path) -> None:
    bench.agent.manager.get(bench.uuid).end_installation = lambda why: None
    body = await call(bench, "POST", "write?file=/a", 409, data=b"x")
    assert body["code"] == "server_busy"
    await call(bench, "GET", "list-directory?directory=/", 200)


async def test_bad_bodies_and_queries_say_what_is_missing(bench: Bench, folder: Path) -> None:
    assert "file" in (await call(bench, "GET", "contents", 400))["error"]
    await call(bench, "POST", "delete", 400, data=b"{")
    await call(bench, "POST", "delete", 422, json={"root": "/", "files": []})
    await call(bench, "GET", "contents?file=/", 400)
    await call(bench, "GET", "contents?file=a%00b", 422)
    await call(bench, "POST", "write?file=/" + "n" * 256, 422, data=b"x")


async def test_what_is_compressed_comes_out_again(bench: Bench, folder: Path) -> None:
    (folder / "world/region").mkdir(parents=True)
    (folder / "world/region/a.mca").write_bytes(os.urandom(200_000))
    (folder / "notes").write_text("notes")
    shown = FileStat.model_validate(await call(bench, "POST", "compress", 200, json={"root": "/", "files": ["world", "notes", "no such"]}))
    assert shown.name.startswith("archive-20")
    assert (shown.mime, shown.size) == ("application/tar+gzip", (folder / shown.name).stat().st_size)
    before = (folder / "world/region/a.mca").read_bytes()
    await call(bench, "POST", "delete", 204, json={"root": "/", "files": ["world"]})
    await call(bench, "POST", "decompress", 204, json={"root": "/", "file": shown.name})
    assert (folder / "world/region/a.mca").read_bytes() == before
    assert sorted(os.listdir(folder)) == sorted([shown.name, "notes", "world"])


async def test_an_archive_that_does_not_fit_leaves_nothing(bench: Bench, folder: Path) -> None:
    server = bench.agent.manager.get(bench.uuid)
    server.configuration.settings.build.disk_space = 1
    (folder / "noise").write_bytes(os.urandom(700_000))
    server.volume.count_soon()  # it came past every door
    await call(bench, "POST", "compress", 400, json={"root": "/", "files": ["noise"]})
    assert os.listdir(folder) == ["noise"]
    await call(bench, "POST", "write?file=/more", 204, data=b"x" * 200_000)  # what it had taken was given back


async def test_what_is_no_archive_and_what_is_not_there_are_told_apart(bench: Bench, folder: Path) -> None:
    (folder / "notes").write_text("notes")
    body = await call(bench, "POST", "decompress", 400, json={"root": "/", "file": "notes"})
    assert body["code"] == "archive_refused"
    await call(bench, "POST", "decompress", 404, json={"root": "/", "file": "nothing"})
    await call(bench, "POST", "compress", 404, json={"root": "/", "files": ["nothing"]})
    await call(bench, "POST", "compress", 422, json={"root": "/", "files": []})
