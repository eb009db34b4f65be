"""Nothing leads out of a server's folder: links of every kind, `..`, odd names, files that are no files, and paths that change while used.

The names FS-… are those of the list of known weaknesses of this kind of program.
"""

import ctypes
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.filesystem.refusals import NotRegular, OutsideRoot
from agent.filesystem.root import normal
from agent.filesystem.rooted import Rooted, open_or_create
from core.errors import AerieError, Conflict, Forbidden, Invalid, NotFound
from tests.agent.filesystem.conftest import Place

ROUNDS = 400
LONGEST_RACE = 30.0


def write(files: Rooted, path: bytes, data: bytes = b"x") -> None:
    descriptor, _ = open_or_create(files, path, os.O_WRONLY, 0o644, exclusive=False, before_create=lambda: None)
    try:
        files.write(descriptor, data, 0)
    finally:
        os.close(descriptor)


def read(files: Rooted, path: bytes) -> bytes:
    descriptor = files.open_read(path)
    try:
        return os.read(descriptor, 1000)
    finally:
        os.close(descriptor)


def listed(files: Rooted, path: bytes) -> list[str]:
    descriptor = files.open_listing(path)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


OPERATIONS: dict[str, Callable[[Rooted, bytes], object]] = {
    "read": read,
    "list": listed,
    "write": write,
    "facts": lambda files, path: files.facts(path),
    "resize": lambda files, path: files.resize_path(path, 1),
    "mode": lambda files, path: files.set_mode(path, 0o777),
    "times": lambda files, path: files.set_times(path, 5, 5),
    "hard link": lambda files, path: files.make_hard_link(path, b"second"),
}
"""What follows a link in the last place."""


def _made(*steps: tuple[str, str]) -> Callable[[Path, Path], None]:
    """Links by name and target; a target of nothing makes a folder."""

    def make(inside: Path, outside: Path) -> None:
        for name, target in steps:
            if target:
                (inside / name).symlink_to(target.format(inside=inside, outside=outside))
            else:
                (inside / name).mkdir()

    return make


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "absolute": _made(("a", "{outside}")),
    "relative": _made(("a", "../server-twin")),
    "chain": _made(("b", "../server-twin"), ("a", "b")),
    "deep": _made(("d", ""), ("a", "d/../../server-twin")),
    "by proc": _made(("a", "/proc/self/root{outside}")),
    "the root by its own path": _made(("a", "{inside}/../server-twin")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("below", ["a/secret", "a/new", "a/folder", "a"])
def test_fs_1_and_4_a_link_out_leads_nowhere(place: Place, way: str, below: str) -> None:
    WAYS[way](place.inside, place.outside)
    files = place.files()
    for name, operation in OPERATIONS.items():
        with pytest.raises(AerieError):
            operation(files, below.encode())
        assert place.untouched(), name
    if below != "a":
        for act in (files.make_folder, files.remove_file, files.remove_folder):
            with pytest.raises(AerieError):
                act(below.encode())
        (place.inside / "mine").write_text("mine")
        for replace in (True, False):
            with pytest.raises(AerieError):
                files.rename(b"mine", below.encode(), replace=replace)
            with pytest.raises(AerieError):
                files.rename(below.encode(), b"theirs", replace=replace)
        assert (place.inside / "mine").exists()
    assert place.untouched()


def test_fs_2_nothing_is_made_through_a_dangling_link(place: Place) -> None:
    (place.inside / "a").symlink_to(place.outside / "made")
    (place.inside / "file").symlink_to(place.outside / "made-file")
    files = place.files()
    acts: list[Callable[[], object]] = [
        lambda: files.make_folder(b"a/b"),
        lambda: write(files, b"a/x"),
        lambda: write(files, b"file"),
    ]
    for act in acts:
        with pytest.raises(AerieError):
            act()
    assert place.untouched()


def test_fs_3_and_7_a_link_to_a_file_outside_is_neither_read_nor_changed(place: Place) -> None:
    (place.inside / "f").symlink_to(place.outside / "secret")
    files = place.files()
    for operation in OPERATIONS.values():
        with pytest.raises(AerieError):
            operation(files, b"f")
    with pytest.raises(NotRegular):
        files.set_mode(b"f", 0o777, follow=False)
    assert stat.S_ISLNK(files.facts(b"f", follow=False).st_mode)
    assert place.untouched()


@pytest.mark.parametrize("target", ["/proc/self/root", "/proc/self/cwd", "/proc/1/root"])
def test_fs_4_magic_links_are_refused(place: Place, target: str) -> None:
    (place.inside / "a").symlink_to(target)
    with pytest.raises(AerieError):
        listed(place.files(), b"a")


def test_fs_5_only_the_link_itself_can_be_removed(place: Place) -> None:
    (place.inside / "d").symlink_to(place.outside)
    files = place.files()
    for act in (files.remove_file, files.remove_folder):
        with pytest.raises(AerieError):
            act(b"d/secret")
    with pytest.raises(AerieError):
        files.remove_folder(b"d")
    files.remove_file(b"d")
    assert not (place.inside / "d").is_symlink()
    assert place.untouched()


@pytest.mark.parametrize("exchanged", [False, True], ids=["replaced", "exchanged"])
def test_fs_6_a_path_that_changes_all_the_time_never_leads_out(place: Place, exchanged: bool) -> None:
    """A thread swaps `p` between a folder and a link out, while everything is tried on what lies below it."""
    folder, link, here = place.inside / "real", place.inside / "fake", place.inside / "p"
    folder.mkdir()
    link.symlink_to(place.outside)
    folder.rename(here)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(here, folder)
            os.rename(link, here)
            os.rename(here, link)
            os.rename(folder, here)

    def exchange() -> None:
        libc = ctypes.CDLL(None)
        while not stop.is_set():
            libc.renameat2(-100, bytes(here), -100, bytes(link), 2)

    swapper = threading.Thread(target=exchange if exchanged else swap)
    files = place.files()
    swapper.start()
    done = refused = rounds = 0
    end = time.monotonic() + LONGEST_RACE
    while (rounds < ROUNDS or not done) and time.monotonic() < end:
        rounds += 1
        acts: list[Callable[[], object]] = [
            lambda: write(files, b"p/x"),
            lambda: read(files, b"p/secret"),
            lambda: files.set_mode(b"p/secret", 0o777),
            lambda: files.set_times(b"p/secret", 7, 7),
            lambda: files.make_folder(b"p/made"),
            lambda: files.remove_file(b"p/secret"),
            lambda: files.remove_folder(b"p/folder"),
            lambda: files.remove_folder(b"p/made"),
            lambda: files.rename(b"p/x", b"p/y", replace=True),
            lambda: files.remove_file(b"p/y"),
        ]
        for act in acts:
            try:
                act()
                done += 1
            except AerieError:
                refused += 1
    stop.set()
    swapper.join()
    assert place.untouched()
    assert done, "the race was so hot that nothing was ever done: it proves nothing"
    assert refused


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (b"", b""), (b".", b""), (b"/", b""), (b"..", b""), (b"/..//x", b"x"), (b"a/../../x", b"x"), (b"/a/./b/", b"a/b"),
        (b"a\\..\\x", b"a\\..\\x"), (b"\xff\xfe", b"\xff\xfe"), (b"...", b"..."),
    ],
)  # fmt: skip
def test_fs_8_a_path_means_something_inside(path: bytes, meant: bytes) -> None:
    assert normal(path) == meant


@pytest.mark.parametrize("path", [b"a\0b", b"x" * 256, b"a/" * 3000])
def test_fs_8_an_impossible_path_is_refused(place: Place, path: bytes) -> None:
    with pytest.raises(Invalid):
        place.files().make_folder(path)


def test_fs_8_the_host_path_and_a_twin_of_the_root_are_plain_names_inside(place: Place) -> None:
    files = place.files()
    for path in (bytes(place.inside), bytes(place.outside) + b"/secret", b"../server-twin/secret"):
        with pytest.raises(NotFound):
            read(files, path)


def test_fs_8_names_of_any_bytes_work(place: Place) -> None:
    files = place.files()
    for name in (b"\xff\xfe", "käse 🧀".encode(), b"a\\b", b" ", b"-rf", b"x" * 255):
        write(files, name, name)
        assert read(files, name) == name
        files.remove_file(name)


@pytest.mark.parametrize("path", [b"", b"/", b".", b"a/.."])
def test_fs_9_the_root_itself_stays(place: Place, path: bytes) -> None:
    files = place.files()
    acts: list[Callable[[], object]] = [
        lambda: files.remove_folder(path),
        lambda: files.remove_file(path),
        lambda: files.rename(path, b"x", replace=True),
        lambda: files.set_mode(path, 0),
        lambda: files.make_folder(path),
    ]
    for act in acts:
        with pytest.raises(AerieError):
            act()
    assert place.inside.is_dir()


def test_fs_10_what_is_no_regular_file_is_not_opened(place: Place) -> None:
    os.mkfifo(place.inside / "pipe")
    (place.inside / "folder").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place.inside / "s"))
    listener.close()
    files = place.files()
    for name in (b"pipe", b"folder", b"s"):
        with pytest.raises(NotRegular):
            read(files, name)
        with pytest.raises(NotRegular):
            write(files, name)
    with pytest.raises(NotRegular):
        files.set_mode(b"pipe", 0o777)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_fs_10_a_device_is_not_opened(place: Place) -> None:
    os.mknod(place.inside / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(NotRegular):
        read(place.files(), b"null")


def test_fs_15_setuid_bits_are_dropped(place: Place) -> None:
    files = place.files()
    write(files, b"x")
    files.set_mode(b"x", 0o4755)
    assert (place.inside / "x").stat().st_mode & 0o7777 == 0o755
    files.make_folder(b"d", 0o7777)
    assert (place.inside / "d").stat().st_mode & 0o7000 == 0


def test_links_inside_are_followed(place: Place) -> None:
    (place.inside / "real" / "deep").mkdir(parents=True)
    (place.inside / "real" / "x").write_text("here")
    (place.inside / "link").symlink_to("real")
    (place.inside / "real" / "deep" / "up").symlink_to("../x")
    files = place.files()
    assert read(files, b"link/x") == b"here"
    assert read(files, b"/link/deep/up") == b"here"
    write(files, b"link/new", b"made")
    assert (place.inside / "real" / "new").read_text() == "made"
    assert sorted(listed(files, b"link")) == ["deep", "new", "x"]


def test_a_circle_of_links_ends(place: Place) -> None:
    (place.inside / "a").symlink_to("b")
    (place.inside / "b").symlink_to("a")
    with pytest.raises(OutsideRoot):
        read(place.files(), b"a/x")


@pytest.mark.parametrize("target", [b"../x", b"a/../../x", b"", b"a\0b"])
def test_a_link_that_would_lead_out_is_not_made(place: Place, target: bytes) -> None:
    with pytest.raises(OutsideRoot):
        place.files().make_link(target, b"l")
    assert not (place.inside / "l").is_symlink()


def test_a_link_is_stored_as_wanted_and_an_absolute_target_relative_to_it(place: Place) -> None:
    (place.inside / "d" / "e").mkdir(parents=True)
    (place.inside / "x").write_text("here")
    files = place.files()
    files.make_link(b"../../x", b"d/e/one")
    files.make_link(b"/x", b"d/e/two")
    files.make_link(b"/../x", b"three")
    assert files.link_target(b"d/e/one") == b"../../x"
    assert [read(files, name) for name in (b"d/e/one", b"d/e/two", b"three")] == [b"here"] * 3
    assert not files.link_target(b"d/e/two").startswith(b"/")


def test_a_rename_replaces_only_when_told_to(place: Place) -> None:
    files = place.files()
    write(files, b"one", b"1")
    write(files, b"two", b"2")
    with pytest.raises(Conflict):
        files.rename(b"one", b"two", replace=False)
    assert read(files, b"two") == b"2"
    files.rename(b"one", b"two", replace=True)
    assert read(files, b"two") == b"1"
    with pytest.raises(NotFound):
        read(files, b"one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_fs_11_another_owners_file_with_several_names_is_not_overwritten(place: Place) -> None:
    mine = place.outside / "secret"
    os.link(mine, place.inside / "second")
    files = place.files()
    files._owner = (12345, 12345)
    with pytest.raises(Forbidden):
        write(files, b"second")
    with pytest.raises(Forbidden):
        files.set_mode(b"second", 0o777)
    assert place.untouched()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_new_things_belong_to_the_server(place: Place) -> None:
    files = place.files()
    files._owner = (12345, 12346)
    write(files, b"file")
    files.make_folder(b"folder")
    files.make_link(b"file", b"link")
    for name in ("file", "folder", "link"):
        facts = (place.inside / name).lstat()
        assert (facts.st_uid, facts.st_gid) == (12345, 12346), name
