"""Handing files over: all of a server's, and nothing else."""

import os
import stat
import threading
from pathlib import Path

import pytest

from agent.filesystem.ownership import hand_over

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
UID = 70_123


def test_fs_7_everything_is_handed_over_and_no_link_is_followed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").touch()
    home = tmp_path / "home"
    (home / "deep" / "er").mkdir(parents=True)
    (home / "deep" / "er" / "file").touch()
    (home / "to_folder").symlink_to(canary)
    (home / "to_file").symlink_to(canary / "secret")
    (home / "magic").symlink_to("/proc/self/root")
    os.mkfifo(home / "pipe")
    hand_over(home, UID, UID)
    inside = [home, *home.rglob("*")]
    assert all(os.lstat(path).st_uid == os.lstat(path).st_gid == UID for path in inside)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {canary.stat().st_uid, (canary / "secret").stat().st_uid} == {0}


def test_fs_15_setuid_programs_of_an_install_script_lose_it(tmp_path: Path) -> None:
    program = tmp_path / "home" / "su"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o6755)
    hand_over(program.parent, UID, UID)
    assert stat.S_IMODE(program.stat().st_mode) == 0o755


def test_fs_6_a_folder_that_turns_into_a_link_and_back_leads_nowhere(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    for number in range(20):
        (canary / str(number)).touch()
    home = tmp_path / "home"
    (home / "real").mkdir(parents=True)
    (home / "real" / "0").touch()
    (home / "link").symlink_to(canary)
    done, flips = threading.Event(), 0

    def flip() -> None:
        nonlocal flips
        while not done.is_set():
            os.rename(home / "real", home / "p")
            os.rename(home / "p", home / "real")
            os.rename(home / "link", home / "p")
            os.rename(home / "p", home / "link")
            flips += 1

    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        for turn in range(300):
            hand_over(home, UID + turn % 2, UID)
    finally:
        done.set()
        flipping.join()
    assert flips
    assert {path.stat().st_uid for path in (canary, *canary.iterdir())} == {0}


def test_fs_16_a_file_that_refuses_does_not_keep_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an immutable file does."""
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    chown = os.chown

    def refusing(path: str, uid: int, gid: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        if path == "b":
            raise PermissionError(1, "Operation not permitted")
        chown(path, uid, gid, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "chown", refusing)
    with pytest.raises(PermissionError):
        hand_over(tmp_path, UID, UID)
    assert [(tmp_path / name).stat().st_uid for name in ("a", "b", "c")] == [UID, 0, UID]
