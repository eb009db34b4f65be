"""What files take is counted once and charged before it is written."""

import os
import threading

import pytest

from agent.filesystem.quota import BLOCK, Quota, rounded, taken
from agent.filesystem.refusals import QuotaExceeded
from agent.filesystem.rooted import Rooted
from core.errors import AerieError
from tests.agent.filesystem.conftest import Place

NEW = os.O_RDWR


def test_quo_2_each_growth_is_reserved(place: Place) -> None:
    files = place.files(limit=2 * BLOCK)
    descriptor = files.create(b"x", NEW)
    files.write(descriptor, b"x" * 6000, 0)
    files.write(descriptor, b"y" * 6000, 0)
    assert files.quota.used == 2 * BLOCK, "writing the same place again takes nothing"
    with pytest.raises(QuotaExceeded):
        files.write(descriptor, b"x" * 5000, 6000)
    with pytest.raises(QuotaExceeded):
        files.write(descriptor, b"x", 50_000)  # a hole must fit, too: it could be filled later
    with pytest.raises(QuotaExceeded):
        files.resize(descriptor, 6000 + 2 * BLOCK)
    files.write(descriptor, b"x" * (2 * BLOCK - 6000), 6000)  # exactly full is not over
    assert os.fstat(descriptor).st_size == 2 * BLOCK
    assert not files.quota.over
    os.close(descriptor)


def test_quo_2_a_hole_takes_nothing_until_it_is_filled(place: Place) -> None:
    files = place.files(limit=100 * BLOCK)
    descriptor = files.create(b"x", NEW)
    files.resize(descriptor, 90 * BLOCK)
    assert files.quota.used == 0
    files.write(descriptor, b"x" * BLOCK, 10 * BLOCK)
    files.write(descriptor, b"xx", 21 * BLOCK - 1)
    assert files.quota.used == 3 * BLOCK == taken(os.fstat(descriptor))
    files.resize(descriptor, 15 * BLOCK)
    assert files.quota.used == BLOCK
    os.close(descriptor)
    files.remove_file(b"x")
    assert files.quota.used == 0


def test_what_goes_away_is_given_back(place: Place) -> None:
    files = place.files(limit=10 * BLOCK)
    for name in (b"x", b"y"):
        descriptor = files.create(name, NEW)
        files.write(descriptor, b"x" * 4 * BLOCK, 0)
        os.close(descriptor)
    assert files.quota.used == 8 * BLOCK
    files.rename(b"x", b"y", replace=True)
    assert files.quota.used == 4 * BLOCK
    files.resize_path(b"y", BLOCK)
    assert files.quota.used == BLOCK
    files.make_hard_link(b"y", b"z")
    files.remove_file(b"y")
    assert files.quota.used == BLOCK, "its other name still holds it"
    files.rename(b"z", b"z", replace=True)
    assert files.quota.used == BLOCK
    files.remove_file(b"z")
    assert files.quota.used == 0


def test_quo_1_parallel_writers_cannot_share_the_last_byte(place: Place) -> None:
    limit = 100 * BLOCK
    files = place.files(limit=limit)
    refused = []

    def one(number: int) -> None:
        descriptor = files.create(b"f%d" % number, NEW)
        for at in range(1000):
            try:
                files.write(descriptor, b"x" * 1024, at * 1024)
            except QuotaExceeded:
                refused.append(number)
                break
        os.close(descriptor)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(rounded(file.stat().st_size) for file in place.inside.iterdir())
    assert total == files.quota.used == limit
    assert len(refused) == 8


def test_quo_3_the_count_is_never_negative() -> None:
    quota = Quota(lambda: 100)
    quota.release(50)
    quota.release(-50)
    quota.reserve(-50)
    quota.hold(-50)
    quota.drop(50)
    quota.settle(50)
    assert quota.used == 0
    quota.measured(20, quota.mark())
    quota.release(10**19)
    assert quota.used == 0
    quota.reserve(100)
    with pytest.raises(QuotaExceeded, match="quota exceeded"):
        quota.reserve(1)


def test_what_changed_while_it_was_measured_is_added() -> None:
    quota = Quota(lambda: 0)
    quota.reserve(7)
    known, mark = quota.counted, quota.mark()
    quota.reserve(5)
    quota.measured(100, mark)
    assert (known, quota.counted) == (False, True)
    assert quota.used == 105
    quota.hold(1000)
    quota.measured(1, quota.mark())
    assert quota.used == 1001, "what no measurement can see stays held"
    quota.settle(600)
    quota.drop(400)
    assert quota.used == 601


def test_a_disk_that_fails_gives_back_what_was_reserved(place: Place) -> None:
    files = place.files(limit=1000)
    (place.inside / "x").write_bytes(b"")
    descriptor = os.open(place.inside / "x", os.O_RDONLY)
    with pytest.raises(AerieError):
        files.write(descriptor, b"xx", 0)
    os.close(descriptor)
    assert files.quota.used == 0


def test_appending_is_charged(place: Place) -> None:
    files: Rooted = place.files(limit=BLOCK)
    descriptor = files.create(b"log", os.O_WRONLY | os.O_APPEND)
    files.append(descriptor, b"1" * 1000)
    files.append(descriptor, b"2" * (BLOCK - 1000))
    with pytest.raises(QuotaExceeded):
        files.append(descriptor, b"!")
    os.close(descriptor)
    assert (place.inside / "log").stat().st_size == BLOCK
    assert files.quota.used == BLOCK
