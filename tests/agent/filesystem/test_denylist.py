"""What an egg keeps to itself stays so, however the path is spelled and whatever is asked."""

import os
from collections.abc import Callable

import pytest

from agent.filesystem.denylist import denylist
from agent.filesystem.refusals import Denied
from agent.filesystem.rooted import Rooted
from tests.agent.filesystem.conftest import Place
from tests.agent.filesystem.test_escapes import OPERATIONS, listed, read, write

ALL: dict[str, Callable[[Rooted, bytes], object]] = {
    **{name: operation for name, operation in OPERATIONS.items() if name != "list"},
    "link facts": lambda files, path: files.facts(path, follow=False),
    "remove": lambda files, path: files.remove_file(path),
    "rename away": lambda files, path: files.rename(path, b"free", replace=True),
    "rename onto": lambda files, path: files.rename(b"mine", path, replace=True),
    "link to": lambda files, path: files.make_link(b"/" + path, b"link"),
    "hard link onto": lambda files, path: files.make_hard_link(b"mine", path),
}


def prepared(place: Place, *patterns: str) -> Rooted:
    (place.inside / "cfg").mkdir()
    (place.inside / "cfg" / "host.conf").write_text("host")
    (place.inside / "keep").mkdir()
    (place.inside / "keep" / "x").write_text("kept")
    (place.inside / "mine").write_text("mine")
    return place.files(*patterns)


@pytest.mark.parametrize("operation", ALL)
@pytest.mark.parametrize("path", [b"cfg/host.conf", b"./cfg//host.conf", b"a/../cfg/host.conf", b"/cfg/host.conf/", b"../cfg/host.conf"])
def test_den_1_and_2_every_operation_honours_it(place: Place, operation: str, path: bytes) -> None:
    files = prepared(place, "*.conf")
    with pytest.raises(Denied):
        ALL[operation](files, path)
    assert (place.inside / "cfg" / "host.conf").read_text() == "host"


@pytest.mark.parametrize("operation", ["read", "write", "facts", "mode", "times", "resize"])
def test_den_2_a_link_does_not_get_around_it(place: Place, operation: str) -> None:
    files = prepared(place, "*.conf", "/keep/")
    (place.inside / "way").symlink_to("cfg/host.conf")
    (place.inside / "road").symlink_to("keep")
    for path in (b"way", b"road/x"):
        with pytest.raises(Denied):
            ALL[operation](files, path)
    with pytest.raises(Denied):
        listed(files, b"road")
    with pytest.raises(Denied):
        write(files, b"road/new")
    assert sorted(os.listdir(place.inside / "keep")) == ["x"]


def test_den_2_a_folder_that_holds_something_denied_is_not_moved(place: Place) -> None:
    files = prepared(place, "/cfg/host.conf")
    with pytest.raises(Denied):
        files.rename(b"cfg", b"free", replace=False)
    assert (place.inside / "cfg" / "host.conf").exists()


def test_nothing_denied_is_made_by_moving_a_folder(place: Place) -> None:
    files = prepared(place, "/other/x")
    with pytest.raises(Denied):
        files.rename(b"keep", b"other", replace=False)
    files.rename(b"keep", b"another", replace=False)
    assert read(files, b"another/x") == b"kept"


def test_a_denied_folder_denies_what_is_below_it(place: Place) -> None:
    files = prepared(place, "keep/")
    with pytest.raises(Denied):
        read(files, b"keep/x")
    with pytest.raises(Denied):
        write(files, b"keep/deep/new")
    with pytest.raises(Denied):
        files.remove_folder(b"keep")


def test_patterns_are_gitignores(place: Place) -> None:
    made = denylist(["# a remark", "", "*.jar", "!good.jar", "/only/here.txt"])
    assert made is not None
    assert made.denies(b"deep/bad.jar")
    assert not made.denies(b"good.jar")
    assert made.denies(b"only/here.txt")
    assert not made.denies(b"deep/only/here.txt")
    assert not made.denies(b"")
    assert denylist(["", "  "]) is None


def test_what_is_not_listed_is_free(place: Place) -> None:
    files = prepared(place, "*.conf")
    write(files, b"cfg/free.txt", b"free")
    assert read(files, b"cfg/free.txt") == b"free"
    assert sorted(listed(files, b"cfg")) == ["free.txt", "host.conf"]


def test_names_that_are_no_utf_8_are_judged_too() -> None:
    denied = denylist(("*.conf",))
    assert denied is not None
    assert denied.denies(b"caf\xe9.conf")
    assert not denied.denies(b"caf\xe9.txt")
