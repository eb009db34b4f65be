"""The demo's folder keeps a second demo out and remembers the same servers."""

from pathlib import Path

import pytest

from demo.folder import AlreadyRunning, Folder
from setup.sockets import Claims


def test_a_second_demo_is_told_where_the_first_is(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "demo")
    with folder.locked():
        with pytest.raises(AlreadyRunning, match="already starting"), folder.locked():
            pass
        folder.announce("http://127.0.0.1:8700")
        with pytest.raises(AlreadyRunning, match=r"http://127\.0\.0\.1:8700"), folder.locked():
            pass
    with folder.locked():
        assert not folder.note.exists()


def test_a_second_start_finds_the_same_servers_and_secrets(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first, second = folder.remember(), folder.remember()
    assert (first.servers, first.secrets, first.mark) == (second.servers, second.secrets, second.mark)
    assert len(set(second.ports.values())) == len(second.ports)
    assert (tmp_path / "demo.json").stat().st_mode & 0o077 == 0


def test_clearing_forgets_all_but_the_lock(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.locked():
        before = folder.remember()
        folder.clear()
        assert folder.remember().servers != before.servers


def test_two_demos_that_start_at_once_choose_different_ports(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with Claims(tmp_path / "locks") as mine, Claims(tmp_path / "locks") as others:
        first = Folder(tmp_path / "one").remember(mine)
        (tmp_path / "other" / "demo.json").write_text((tmp_path / "one" / "demo.json").read_text())
        second = Folder(tmp_path / "other").remember(others)
    assert not set(first.ports.values()) & set(second.ports.values())
