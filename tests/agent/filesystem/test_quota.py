"""What files take is counted once and charged before it is written."""

import os
import threading
from pathlib import Path

import pytest

from agent.filesystem.quota import STALE_SECONDS, Quota
from agent.filesystem.refusals import QuotaExceeded
from agent.filesystem.rooted import Rooted
from agent.filesystem.usage import usage
from core.errors import AerieError
from tests.agent.filesystem.conftest import Place

NEW = os.O_RDWR


def test_quo_2_each_growth_is_reserved(place: Place) -> None:
    files = place.files(limit=1000)
    descriptor = files.create(b"x", NEW)
    files.write(descriptor, b"x" * 600, 0)
    files.write(descriptor, b"y" * 600, 0)
    assert files.quota.used == 600, "writing the same place again takes nothing"
    with pytest.raises(QuotaExceeded):
        files.write(descriptor, b"x" * 500, 600)
    with pytest.raises(QuotaExceeded):
        files.write(descriptor, b"x", 5000)  # a sparse file counts with its size
    with pytest.raises(QuotaExceeded):
        files.resize(descriptor, 1001)
    files.write(descriptor, b"x" * 400, 600)  # exactly full is not over
    assert os.fstat(descriptor).st_size == 1000
    os.close(descriptor)


def test_what_goes_away_is_given_back(place: Place) -> None:
    files = place.files(limit=1000)
    for name in (b"x", b"y"):
        descriptor = files.create(name, NEW)
        files.write(descriptor, b"x" * 400, 0)
        os.close(descriptor)
    files.rename(b"x", b"y", replace=True)
    assert files.quota.used == 400
    files.resize_path(b"y", 100)
    assert files.quota.used == 100
    files.make_hard_link(b"y", b"z")
    files.remove_file(b"y")
    assert files.quota.used == 100, "its other name still holds it"
    files.rename(b"z", b"z", replace=True)
    assert files.quota.used == 100
    files.remove_file(b"z")
    assert files.quota.used == 0


def test_quo_1_parallel_writers_cannot_share_the_last_byte(place: Place) -> None:
    files = place.files(limit=10_000)
    refused = []

    def one(number: int) -> None:
        descriptor = files.create(b"f%d" % number, NEW)
        for at in range(200):
            try:
                files.write(descriptor, b"x" * 10, at * 10)
            except QuotaExceeded:
                refused.append(number)
                break
        os.close(descriptor)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(file.stat().st_size for file in place.inside.iterdir())
    assert total == files.quota.used == 10_000
    assert refused


def test_quo_3_the_count_is_never_negative() -> None:
    quota = Quota(lambda: 100, lambda: 0.0)
    quota.release(50)
    quota.release(-50)
    quota.reserve(-50)
    assert quota.used == 0
    quota.reserve(100)
    with pytest.raises(QuotaExceeded, match="quota exceeded"):
        quota.reserve(1)


def test_quo_5_the_walk_counts_a_file_once_and_follows_no_link(place: Place) -> None:
    (place.inside / "d" / "e").mkdir(parents=True)
    (place.inside / "d" / "x").write_bytes(b"x" * 100)
    os.link(place.inside / "d" / "x", place.inside / "second")
    (place.inside / "d" / "e" / "y").write_bytes(b"y" * 10)
    (place.inside / "out").symlink_to(place.outside)
    os.mkfifo(place.inside / "pipe")
    files = place.files()
    assert usage(files.descriptor) == 110
    assert usage(files.descriptor) == 110, "a walk leaves the descriptor as it was"


def test_a_walk_goes_on_where_a_folder_is_too_deep(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        root = os.dup(here)
        for _ in range(400):
            os.mkdir("d", dir_fd=here)
            deeper = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        (tmp_path / "x").write_bytes(b"x" * 7)
        assert usage(root) == 7
        os.close(root)
    finally:
        os.close(here)


def test_a_count_is_renewed_when_it_is_old_and_keeps_what_changed_meanwhile() -> None:
    now = 0.0
    quota = Quota(lambda: 0, lambda: now)
    assert quota.stale
    assert not quota.counted

    def walk() -> int:
        quota.reserve(5)
        return 100

    quota.count(walk)
    assert quota.used == 105
    quota.count(lambda: 1)
    assert quota.used == 105, "a fresh count is not made again"
    now = STALE_SECONDS * 2
    quota.count(lambda: 1)
    assert quota.used == 1


def test_a_disk_that_fails_gives_back_what_was_reserved(place: Place) -> None:
    files = place.files(limit=1000)
    (place.inside / "x").write_bytes(b"")
    descriptor = os.open(place.inside / "x", os.O_RDONLY)
    with pytest.raises(AerieError):
        files.write(descriptor, b"xx", 0)
    os.close(descriptor)
    assert files.quota.used == 0


def test_appending_is_charged(place: Place) -> None:
    files: Rooted = place.files(limit=10)
    descriptor = files.create(b"log", os.O_WRONLY | os.O_APPEND)
    files.append(descriptor, b"12345")
    files.append(descriptor, b"67890")
    with pytest.raises(QuotaExceeded):
        files.append(descriptor, b"!")
    os.close(descriptor)
    assert (place.inside / "log").read_bytes() == b"1234567890"
