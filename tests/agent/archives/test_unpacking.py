"""Archives come out as plain files inside the folder, whatever they try: the ARC ids of the record of known flaws."""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agent.archives.caps import ArchiveRefused, Caps, Meter
from agent.archives.unpack import unpack, unpack_from
from agent.filesystem.denylist import denylist
from agent.filesystem.quota import Quota
from agent.filesystem.refusals import OutsideRoot, QuotaExceeded
from agent.filesystem.root import Root
from agent.filesystem.rooted import Rooted
from core.errors import AerieError
from tests.agent.archives_made import special, tar_of, zip_of


class Desk:
    """A server's folder beside a neighbour that must stay as it is."""

    def __init__(self, place: Path) -> None:
        self.inside, self.outside = place / "server", place / "outside"
        self.inside.mkdir()
        self.outside.mkdir()
        (self.outside / "kept").write_text("kept")
        self.limit = 0

    def files(self, *denied: str) -> Rooted:
        return Rooted(Root(self.inside), Quota(lambda: self.limit), denylist(denied), None)

    def unpack(self, archive: bytes, into: str = "/", *denied: str, caps: Caps | None = None) -> int:
        (self.inside / "archive").write_bytes(archive)
        files = self.files(*denied)
        try:
            return unpack(files, b"archive", into.encode(), lambda: 0.0, caps or Caps())
        finally:
            files.close()
            (self.inside / "archive").unlink()
            assert (self.outside / "kept").read_text() == "kept"
            assert os.listdir(self.outside) == ["kept"]

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.inside)) for path in self.inside.rglob("*"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


HONEST = (("world/level.dat", b"level" * 1000), ("world/region/r.0.0.mca", os.urandom(70_000)), ("eula.txt", b"eula=true\n"))


def test_every_kind_comes_out_as_it_went_in(desk: Desk) -> None:
    plain = tar_of(*HONEST, mode="w")
    kinds = {
        "gz": tar_of(*HONEST), "bz2": bz2.compress(plain), "xz": lzma.compress(plain), "tar": plain,
        "zst": zstandard.ZstdCompressor().compress(plain), "zip": zip_of(*HONEST),
        "two frames": zstandard.ZstdCompressor().compress(plain[:5000]) + zstandard.ZstdCompressor().compress(plain[5000:]),
        "two streams": lzma.compress(plain[:5000]) + lzma.compress(plain[5000:]),
    }  # fmt: skip
    for name, archive in kinds.items():
        assert desk.unpack(archive, f"/{name}/deeper") == 3, name
        for path, data in HONEST:
            assert (desk.inside / name / "deeper" / path).read_bytes() == data, name


def test_a_lone_compressed_file_becomes_the_file(desk: Desk) -> None:
    (desk.inside / "log.txt.gz").write_bytes(gzip.compress(b"hello"))
    files = desk.files()
    assert unpack(files, b"log.txt.gz", b"/", lambda: 0.0) == 1
    files.close()
    assert (desk.inside / "log.txt").read_bytes() == b"hello"


def test_what_is_there_is_replaced_and_times_and_modes_are_kept(desk: Desk) -> None:
    (desk.inside / "run.sh").write_text("old")
    info = tarfile.TarInfo("run.sh")
    info.mode, info.mtime = 0o750, 1_500_000_000
    desk.unpack(tar_of(info))
    facts = (desk.inside / "run.sh").stat()
    assert (stat.S_IMODE(facts.st_mode), int(facts.st_mtime), facts.st_size) == (0o750, 1_500_000_000, 0)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "C:\\x", "..\\x", "a\\..\\..\\x", "/../x"])
@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_arc_1_paths_that_lead_out_are_refused(desk: Desk, name: str, make: object) -> None:
    with pytest.raises(ArchiveRefused):
        desk.unpack(make((name, b"evil")))  # type: ignore[operator]
    assert desk.names() == []


def test_arc_1_an_absolute_path_lands_inside(desk: Desk) -> None:
    desk.unpack(tar_of(("/etc/x", b"1")))
    assert (desk.inside / "etc/x").read_bytes() == b"1"


def test_arc_2_links_are_never_made_so_nothing_is_written_through_them(desk: Desk) -> None:
    archive = tar_of(
        special("d", tarfile.SYMTYPE, str(desk.outside)), special("h", tarfile.LNKTYPE, "/etc/passwd"), ("d/kept", b"evil"), ("fine", b"1"),
    )  # fmt: skip
    desk.unpack(archive)
    assert desk.names() == ["d", "d/kept", "fine"]
    assert not (desk.inside / "d").is_symlink()


def test_arc_2_links_in_a_zip_are_left_out(desk: Desk) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("d")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(desk.outside))
        archive.writestr("d/kept", "evil")
    desk.unpack(out.getvalue())
    assert (desk.inside / "d/kept").read_text() == "evil"


def test_arc_3_links_that_lie_there_are_not_written_through(desk: Desk) -> None:
    (desk.inside / "out").symlink_to(desk.outside)
    (desk.inside / "file").symlink_to(desk.outside / "kept")
    for name in ("out/kept", "out/new", "file"):
        with pytest.raises((ArchiveRefused, OutsideRoot)):
            desk.unpack(tar_of((name, b"evil")))


def test_arc_4_devices_pipes_and_rights_do_not_come_out(desk: Desk) -> None:
    suid = tarfile.TarInfo("suid")
    suid.mode = 0o6755
    desk.unpack(tar_of(special("dev", tarfile.BLKTYPE), special("pipe", tarfile.FIFOTYPE), suid))
    assert desk.names() == ["suid"]
    assert stat.S_IMODE((desk.inside / "suid").stat().st_mode) == 0o755


def test_arc_4_a_pax_path_counts_and_is_checked(desk: Desk) -> None:
    info = tarfile.TarInfo("harmless")
    info.pax_headers = {"path": "../evil"}
    with pytest.raises(ArchiveRefused):
        desk.unpack(tar_of(info))


def test_arc_5_bombs_are_stopped_by_what_really_comes_out(desk: Desk) -> None:
    caps = Caps(free_bytes=1_000_000, ratio=50, members=100, depth=10)
    zeros = bytes(20_000_000)
    for bomb in (tar_of(("zeros", zeros)), zip_of(("zeros", zeros)), gzip.compress(zeros)):
        with pytest.raises(ArchiveRefused, match="far more"):
            desk.unpack(bomb, caps=caps)
    with pytest.raises(ArchiveRefused, match="too many"):
        desk.unpack(zip_of(*((f"f{number}", b"") for number in range(101))), caps=caps)
    with pytest.raises(ArchiveRefused, match="nested"):
        desk.unpack(tar_of(("d/" * 11 + "f", b"")), caps=caps)


def test_arc_5_time_has_a_limit(desk: Desk) -> None:
    now = iter(range(0, 1_000_000, 400))
    files = desk.files()
    archive = tar_of(*HONEST)
    with pytest.raises(ArchiveRefused, match="too long"):
        unpack_from(io.BytesIO(archive), files, b"", Meter(Caps(), len(archive), lambda: float(next(now))))
    files.close()


def test_arc_5_and_res_4_memory_is_bounded_whatever_a_header_claims(desk: Desk) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**33 - 512
    with pytest.raises(ArchiveRefused, match="header"):
        desk.unpack(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_arc_6_a_size_that_lies_ends_in_an_error_and_leaves_no_file(desk: Desk) -> None:
    plain = bytearray(tar_of(("f", b"12345"), mode="w"))
    info = tarfile.TarInfo("f")
    info.size = 2**40
    plain[:512] = info.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(ArchiveRefused):
        desk.unpack(bytes(plain))
    assert desk.names() == []


def test_arc_7_denied_members_are_left_out(desk: Desk) -> None:
    desk.unpack(tar_of(("a/./host.secret", b"1"), ("b//host.secret", b"1"), ("fine", b"1")), "/", "*.secret")
    assert [name for name in desk.names() if "secret" in name] == []
    assert (desk.inside / "fine").exists()


def test_arc_8_a_file_where_a_folder_is_needed_is_an_error(desk: Desk) -> None:
    (desk.inside / "x").write_text("file")
    with pytest.raises(ArchiveRefused):
        desk.unpack(tar_of(("x/y", b"1")))
    (desk.inside / "folder").mkdir()
    with pytest.raises(ArchiveRefused):
        desk.unpack(tar_of(("folder", b"1")))
    assert desk.unpack(tar_of(("twice", b"1"), ("twice", b"22"))) == 2
    assert (desk.inside / "twice").read_bytes() == b"22"


def test_arc_9_broken_cut_encrypted_and_unknown_ones_are_told(desk: Desk) -> None:
    whole = tar_of(*HONEST)
    for archive in (whole[: len(whole) // 2], b"PK\x03\x04" + bytes(50), b"no archive at all", b"7z\xbc\xaf\x27\x1c", b"", b"\x1f\x8bxxxx"):
        with pytest.raises(ArchiveRefused):
            desk.unpack(archive)


def test_arc_10_the_disk_limit_holds_member_by_member(desk: Desk) -> None:
    desk.limit = 50_000
    with pytest.raises(QuotaExceeded):
        desk.unpack(tar_of(("small", b"1" * 1000), ("large", os.urandom(60_000))))
    assert desk.names() == ["small"]


ARCHIVES = {
    "tar": tar_of(("a/b", b"hello" * 50), ("c", b"x"), mode="w"),
    "gz": tar_of(("a/b", b"hello" * 50)),
    "zip": zip_of(("a/b", b"x" * 99)),
}


@given(st.binary(max_size=400), st.sampled_from(sorted(ARCHIVES)), st.data())
def test_no_archive_however_broken_does_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, kind: str, data: st.DataObject
) -> None:
    desk = Desk(tmp_path_factory.mktemp("fuzz"))
    archive = bytearray(ARCHIVES[kind])
    at = data.draw(st.integers(0, len(archive) - 1))
    archive[at : at + len(noise)] = noise
    with suppress(AerieError):
        desk.unpack(bytes(archive), caps=Caps(free_bytes=1_000_000))
    assert all(not path.is_symlink() for path in desk.inside.rglob("*"))
