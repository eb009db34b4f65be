"""What is packed can be unpacked, says what tore, and reads nothing but plain files."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.archives.pack import Packed, pack
from agent.filesystem.quota import Quota
from agent.filesystem.root import Root
from agent.filesystem.rooted import Rooted
from agent.filesystem.walk import Found, walk


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Rooted]:
    (tmp_path / "server").mkdir()
    made = Rooted(Root(tmp_path / "server"), Quota(lambda: 0), None, None)
    yield made
    made.close()


def opened(out: io.BytesIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(out.getvalue()))


def packed(found: Iterator[Found], **options: object) -> tuple[Packed, tarfile.TarFile]:
    out = io.BytesIO()
    done = pack(found, out, **options)  # type: ignore[arg-type]
    return done, opened(out)


def test_files_folders_links_and_odd_names_are_kept(files: Rooted, tmp_path: Path) -> None:
    inside = tmp_path / "server"
    (inside / "world/empty").mkdir(parents=True)
    (inside / "world/level.dat").write_bytes(b"level")
    (inside / "link").symlink_to("world/level.dat")
    (inside / os.fsdecode(b"caf\xe9")).write_bytes(b"latin")
    os.mkfifo(inside / "pipe")
    digests: dict[bytes, str] = {}
    done, tar = packed(walk(files, b"/"), each=lambda found, at, size, digest: digests.__setitem__(found.path, digest))
    assert sorted(tar.getnames()) == sorted([os.fsdecode(b"caf\xe9"), "link", "world", "world/empty", "world/level.dat"])
    assert tar.getmember("link").linkname == "world/level.dat"
    assert (done.files, done.size, done.torn, done.unreadable) == (2, 10, [], [])
    assert digests[b"world/level.dat"] == hashlib.sha256(b"level").hexdigest()


def test_names_are_told_from_the_folder_that_was_asked_for(files: Rooted, tmp_path: Path) -> None:
    (tmp_path / "server/a/b").mkdir(parents=True)
    (tmp_path / "server/a/b/c").write_text("c")
    _, tar = packed(walk(files, b"a/b"), below=b"a")
    assert tar.getnames() == ["b", "b/c"]


def test_a_file_that_shrinks_while_it_is_read_is_told_as_torn(files: Rooted, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "server" / name).write_bytes(name.encode() * 3_000_000)

    class Shrinking(io.BytesIO):
        def write(self, data: object) -> int:
            if self.tell() > 4_000_000:  # while b is read
                os.truncate(tmp_path / "server/b", 100)
            return super().write(data)  # type: ignore[arg-type]

    out = Shrinking()
    done = pack(walk(files, b"/"), out)
    assert done.torn == [b"b"]
    tar = opened(out)
    content = tar.extractfile("c")
    assert content is not None
    assert content.read() == b"c" * 3_000_000


def test_what_is_left_out_is_left_out_with_all_that_is_in_it(files: Rooted, tmp_path: Path) -> None:
    (tmp_path / "server/cache/deep").mkdir(parents=True)
    (tmp_path / "server/cache/deep/x").write_text("x")
    (tmp_path / "server/kept").write_text("x")
    _, tar = packed(walk(files, b"/", lambda path, *, is_folder: path == b"cache"))
    assert tar.getnames() == ["kept"]


def test_arc_10_links_to_outside_are_not_read(files: Rooted, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "server/out").symlink_to(tmp_path / "secret")
    out = io.BytesIO()
    pack(walk(files, b"/"), out)
    tar = opened(out)
    assert tar.getmember("out").issym()
    assert b"secret\n" not in out.getvalue()
