"""A backup holds what was there, finds one file without reading the rest, and notices any bit that changes."""

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import zstandard

from agent.archives import blocks
from agent.archives.blocks import Codec
from agent.backups import manifest
from agent.backups.make import Cancelled, make
from agent.backups.manifest import Summary
from agent.backups.read import Torn, find, listing, one_file, prove, read_at
from agent.backups.store import Store
from agent.filesystem.quota import Quota
from agent.filesystem.root import Root
from agent.filesystem.rooted import Rooted
from core.errors import Conflict, Invalid, NotFound

SERVER = str(uuid4())
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Desk:
    def __init__(self, place: Path) -> None:
        self.inside = place / "server"
        (self.inside / "world/region").mkdir(parents=True)
        for number in range(5):
            (self.inside / f"world/region/r.{number}.mca").write_bytes(os.urandom(300_000))
        (self.inside / "eula.txt").write_text("eula=true\n")
        (self.inside / os.fsdecode(b"caf\xe9")).write_bytes(b"latin")
        (self.inside / "latest").symlink_to("world")
        self.store = Store(place / "backups")

    def make(self, backup: str = "", *, ignore: str = "", codec: Codec = Codec.GZIP, server: str = SERVER, **more: object) -> Summary:
        files = Rooted(Root(self.inside), Quota(lambda: 0), None, None)
        try:
            return make(files, self.store, server=server, backup=backup or str(uuid4()), ignore=ignore, now=NOW, codec=codec, **more)  # type: ignore[arg-type]
        finally:
            files.close()

    def paths(self, made: Summary) -> list[str]:
        return [one.path for one in manifest.kept(self.store.manifest(made.backup))]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def small_blocks() -> Iterator[None]:
    was, blocks.BLOCK = blocks.BLOCK, 100_000
    yield
    blocks.BLOCK = was


@pytest.mark.parametrize("codec", list(Codec))
def test_tar_itself_reads_it(desk: Desk, codec: Codec, tmp_path: Path) -> None:
    made = desk.make(codec=codec)
    archive = desk.store.archive(made.backup, codec)
    assert archive.stat().st_mode & 0o777 == 0o600
    assert hashlib.sha1(archive.read_bytes()).hexdigest() == made.checksum
    out = tmp_path / "out"
    out.mkdir()
    if codec is Codec.GZIP:
        subprocess.run(["tar", "-xzf", archive, "-C", out], check=True)
    else:
        with (
            archive.open("rb") as packed,
            zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            tar.extractall(out, filter="fully_trusted")
    assert subprocess.run(["diff", "-r", "--no-dereference", desk.inside, out], check=False).returncode == 0
    assert (made.files, made.torn, made.unreadable) == (7, [], [])


def test_what_is_ignored_is_left_out_by_gitignore_rules(desk: Desk) -> None:
    made = desk.make(ignore="*.mca\n!r.3.mca\n/caf*\n")
    assert desk.paths(made) == ["eula.txt", "world/region/r.3.mca"]


def test_fs_12_the_servers_own_ignore_file_counts_when_it_is_a_plain_one(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("eula.txt\n")
    (desk.inside / ".pteroignore").symlink_to(tmp_path / "outside")
    assert "eula.txt" in desk.paths(desk.make())
    (desk.inside / ".pteroignore").unlink()
    (desk.inside / ".pteroignore").write_text("world\n")
    assert desk.paths(desk.make()) == [".pteroignore", os.fsdecode(b"caf\xe9"), "eula.txt"]


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.usefixtures("small_blocks")
def test_one_file_is_read_without_the_rest(desk: Desk, codec: Codec) -> None:
    made = desk.make(codec=codec)
    wanted = find(desk.store.manifest(made.backup), "/world/region/r.3.mca")
    descriptor = os.open(desk.store.archive(made.backup, codec), os.O_RDONLY)
    read = 0

    def counted(offset: int, length: int) -> bytes:
        nonlocal read
        read += length
        return read_at(descriptor)(offset, length)

    assert b"".join(one_file(counted, made, wanted)) == (desk.inside / "world/region/r.3.mca").read_bytes()
    os.close(descriptor)
    assert read < 600_000 < made.size
    with pytest.raises(NotFound):
        find(desk.store.manifest(made.backup), "world/region")


def test_it_can_be_looked_into(desk: Desk) -> None:
    made = desk.make()
    folders, files = listing(desk.store.manifest(made.backup), "/")
    assert (folders, [one.path for one in files]) == ({"world"}, [os.fsdecode(b"caf\xe9"), "eula.txt"])
    with pytest.raises(NotFound):
        listing(desk.store.manifest(made.backup), "/nothing")


@pytest.mark.parametrize("codec", list(Codec))
def test_a_flipped_bit_is_always_found(desk: Desk, codec: Codec) -> None:
    made = desk.make(codec=codec)
    archive = desk.store.archive(made.backup, codec)
    path = desk.store.manifest(made.backup)
    assert prove(archive, path, made) == 7
    body = bytearray(archive.read_bytes())
    for at in (0, 3, 10, len(body) // 3, len(body) // 2, len(body) - 9, len(body) - 1):
        body[at] ^= 0x10
        archive.write_bytes(body)
        with pytest.raises(Torn):
            prove(archive, path, made)
        body[at] ^= 0x10
    archive.write_bytes(body[:-1])
    with pytest.raises(Torn):
        prove(archive, path, made)
    archive.write_bytes(body)
    assert prove(archive, path, made) == 7


def test_a_proof_holds_the_files_and_not_only_the_archive_against_the_list(desk: Desk) -> None:
    made = desk.make()
    other = desk.make(ignore="eula.txt")
    with pytest.raises(Torn):  # as if the archive had been exchanged, checksum and all
        prove(desk.store.archive(other.backup), desk.store.manifest(made.backup), other)


def test_bak_1_ids_that_are_no_uuids_touch_nothing(desk: Desk, tmp_path: Path) -> None:
    for bad in ("../../etc/x", "/etc/x", "x", "", str(uuid4()) + "/..", str(uuid4()).replace("-", "")):
        for act in (desk.store.archive, desk.store.manifest, desk.store.note, desk.store.part):
            with pytest.raises(Invalid):
                act(bad)


def test_bak_2_another_servers_backup_is_not_there(desk: Desk) -> None:
    made = desk.make()
    assert desk.store.find(SERVER, made.backup)[1] == made
    for act in (desk.store.find, desk.store.delete):
        with pytest.raises(NotFound):
            act(str(uuid4()), made.backup)
    assert desk.store.archive(made.backup).exists()


def test_a_backup_is_never_made_over_another(desk: Desk) -> None:
    made = desk.make()
    with pytest.raises(Conflict):
        desk.make(made.backup)
    assert prove(desk.store.archive(made.backup), desk.store.manifest(made.backup), made) == 7


@pytest.mark.usefixtures("small_blocks")
def test_one_that_is_ended_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(Cancelled):
        desk.make(cancelled=lambda: True)
    assert [path.suffix for path in desk.store.folder.iterdir()] == [".making"]


def test_one_that_was_cut_short_is_found_and_its_part_taken_away(desk: Desk) -> None:
    backup = str(uuid4())
    desk.store.make_folder()
    desk.store.note(backup).write_text(SERVER)
    desk.store.part(backup).write_bytes(b"half")
    desk.store.archive(backup).write_bytes(b"renamed, but its list was not written")
    (desk.store.folder / "notes of the owner.tar.gz").write_text("not ours")
    assert desk.store.unfinished() == [(backup, SERVER)]
    assert sorted(path.name for path in desk.store.folder.iterdir()) == [f"{backup}.making", "notes of the owner.tar.gz"]


def test_a_file_that_changes_while_it_is_read_is_told(desk: Desk) -> None:
    big = desk.inside / "a-log"
    big.write_bytes(os.urandom(1_000_000) * 30)
    grown = False

    def progress(read: int) -> None:
        nonlocal grown
        grown = True

    class Growing(list[int]):
        """Stands in the place of `cancelled`: it is asked at every block that is written."""

        def __call__(self) -> bool:
            with big.open("ab") as file:
                file.write(b"another line\n")
            return False

    made = desk.make(progress=progress, cancelled=Growing())
    assert grown
    assert made.torn == ["a-log"]
    assert prove(desk.store.archive(made.backup), desk.store.manifest(made.backup), made) == 8
