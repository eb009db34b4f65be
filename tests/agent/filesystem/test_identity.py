"""A thread that works on a server's files has its owner's rights, and only that thread, and only meanwhile."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.filesystem.identity import acting_as, rights

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has other rights to take on")


def test_what_is_made_belongs_to_the_owner_and_what_is_roots_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    inside = tmp_path / "inside"
    inside.mkdir()
    os.chown(inside, 4242, 4343)
    folder, guarded = os.open(inside, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    try:
        with acting_as(4242, 4343):
            os.close(os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
            with pytest.raises(PermissionError):
                os.open("secret", os.O_RDONLY, dir_fd=guarded)
    finally:
        os.close(folder)
        os.close(guarded)
    facts = (inside / "made").stat()
    assert (facts.st_uid, facts.st_gid) == (4242, 4343)
    assert secret.read_text() == "secret"


def test_other_threads_keep_their_rights_and_ours_come_back() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(rights).result() == (0, 0)  # the thread is there before: it would inherit ours
        _look_at(pool)


def _look_at(pool: ThreadPoolExecutor) -> None:
    with acting_as(4242, 4343):
        assert rights() == (4242, 4343)
        assert pool.submit(rights).result() == (0, 0)
    assert rights() == (0, 0)


def test_they_come_back_after_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), acting_as(4242, 4343):
        _ = 1 / 0
    assert rights() == (0, 0)
