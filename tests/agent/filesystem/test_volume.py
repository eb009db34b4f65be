"""A volume's figure is true, whoever changes the files, and by the best way there is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.filesystem import volume as volume_module
from agent.filesystem.quota import BLOCK, MEBIBYTE
from agent.filesystem.refusals import QuotaExceeded
from agent.filesystem.scan import Scan, scan
from agent.filesystem.volume import ASK_SECONDS, LEAST_SECONDS, RECOUNT_SECONDS, STALE_SECONDS, UNUSED_SECONDS, Volume
from agent.filesystem.watching import Watcher
from core.errors import ServerBusy
from core.protocol.settings import ServerSettings

UUID = "11111111-2222-4333-8444-555555555588"


class Kernel:
    """A file system that can: what its quota knows, and what it was told. Figures are those that the test sets."""

    name, lags, moves = "a kernel", True, True

    def __init__(self) -> None:
        self.figure: int | None = 0
        self.limits: list[tuple[int, int]] = []
        self.taken_in = False
        self.fails = False

    def holds(self, folder: Path) -> bool:
        return self.taken_in and folder.exists()

    def take_in(self, folder: Path) -> None:
        if self.fails:
            raise OSError(5, "Input/output error")
        folder.mkdir(exist_ok=True)
        self.taken_in = True

    def limit(self, folder: Path, size: int, inodes: int) -> None:
        self.limits.append((size, inodes))

    def used(self, folder: Path) -> int | None:
        return self.figure

    def remove(self, folder: Path) -> None:
        self.taken_in = False


class Stage:
    def __init__(self, folder: Path, watcher: Watcher | None, kernel: Kernel | None) -> None:
        self.now = 1000.0
        self.mebibytes = 10
        self.volume = Volume(folder / UUID, (0, 0), self.settings, lambda: self.now, kernel, 77, watcher)
        self.file = folder / UUID / "file"

    def settings(self) -> ServerSettings:
        return ServerSettings.model_validate({"uuid": UUID, "build": {"disk_space": self.mebibytes}})

    def passes(self, seconds: float = 1.0) -> None:
        """A pass of the node's task, later."""
        self.now += seconds
        if self.volume.count_due or self.volume.ask_due:
            self.volume.count()


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def test_a_running_server_is_watched_and_not_counted_again(tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, watcher, None)
    counts: list[int] = []

    def counted(root: int) -> Scan:
        counts.append(root)
        return scan(root)

    monkeypatch.setattr(volume_module, "scan", counted)
    stage.volume.prepare()
    stage.volume.measure()
    stage.volume.begin()
    for size in range(1, 40):
        stage.file.write_bytes(b"x" * BLOCK * size)
        watcher.drain()
        stage.passes(20)
        assert stage.volume.used == BLOCK * size
    assert len(counts) == 1
    stage.passes(RECOUNT_SECONDS)
    assert len(counts) == 2, "memory that is mapped tells nothing"
    stage.file.write_bytes(b"x" * BLOCK * 99)
    stage.volume.end()
    stage.passes()
    assert stage.volume.used == BLOCK * 99
    assert not watcher._of, "nobody watches what does not run"


def test_one_found_running_is_counted_once_more_after_it_is_watched(tmp_path: Path, watcher: Watcher) -> None:
    stage = Stage(tmp_path, watcher, None)
    stage.volume.folder.mkdir()
    stage.volume.begin()
    stage.passes()
    assert stage.volume.count_due
    stage.passes()
    assert not stage.volume.count_due


def test_a_start_that_never_comes_is_not_watched_for_ever(tmp_path: Path, watcher: Watcher) -> None:
    stage = Stage(tmp_path, watcher, None)
    stage.volume.prepare()
    stage.volume.measure()
    assert watcher._of
    stage.passes(UNUSED_SECONDS + 1)
    assert not watcher._of


def test_lost_events_are_made_up_for_at_a_bearable_pace(tmp_path: Path, watcher: Watcher) -> None:
    stage = Stage(tmp_path, watcher, None)
    stage.volume.prepare()
    stage.volume.measure()
    stage.volume.begin()
    stage.file.write_bytes(b"x" * BLOCK)
    next(iter(watcher._of)).lost = True
    stage.passes(LEAST_SECONDS / 2)
    assert stage.volume.used == 0
    stage.passes(LEAST_SECONDS)
    assert stage.volume.used == BLOCK


def test_without_watches_it_is_counted_now_and_then(tmp_path: Path) -> None:
    stage = Stage(tmp_path, None, None)
    stage.volume.prepare()
    stage.volume.measure()
    stage.volume.begin()
    stage.file.write_bytes(b"x" * BLOCK)
    stage.passes()
    assert stage.volume.used == 0
    stage.passes(STALE_SECONDS)
    assert stage.volume.used == BLOCK


def test_sessions_and_the_watch_count_nothing_twice(tmp_path: Path, watcher: Watcher) -> None:
    stage = Stage(tmp_path, watcher, None)
    stage.volume.prepare()
    stage.volume.measure()
    stage.volume.begin()
    files = stage.volume.open()
    descriptor = files.create(b"file", 1)
    files.write(descriptor, b"x" * 4 * MEBIBYTE, 0)
    assert stage.volume.used == 4 * MEBIBYTE
    watcher.drain()
    stage.passes()
    assert stage.volume.used == 4 * MEBIBYTE
    files.write(descriptor, b"x" * 6 * MEBIBYTE, 4 * MEBIBYTE)
    with pytest.raises(QuotaExceeded):
        files.write(descriptor, b"x", 10 * MEBIBYTE)
    files.close()


def test_the_kernel_is_told_each_limit_once_and_asked_for_its_figure(tmp_path: Path) -> None:
    kernel = Kernel()
    stage = Stage(tmp_path, None, kernel)
    stage.volume.prepare()
    stage.volume.measure()
    assert stage.volume.held
    stage.volume.begin()
    stage.passes(ASK_SECONDS)
    kernel.figure = 5 * MEBIBYTE
    told = len(kernel.limits)
    assert kernel.limits[-1] == (10 * MEBIBYTE, 77)
    stage.passes(ASK_SECONDS)
    assert (stage.volume.used, len(kernel.limits)) == (5 * MEBIBYTE, told)
    stage.mebibytes = 20
    assert stage.volume.ask_due, "at once, however new the figure is"
    stage.volume.count()
    assert kernel.limits[told:] == [(20 * MEBIBYTE, 77)]


def test_what_we_changed_is_not_forgotten_while_the_kernel_is_behind(tmp_path: Path) -> None:
    kernel = Kernel()
    stage = Stage(tmp_path, None, kernel)
    stage.volume.prepare()
    stage.volume.measure()
    stage.volume.quota.reserve(3 * MEBIBYTE)
    stage.passes(100)
    assert stage.volume.used == 3 * MEBIBYTE
    kernel.figure = 3 * MEBIBYTE
    stage.passes(100)
    assert stage.volume.used == 3 * MEBIBYTE


def test_a_kernel_that_cannot_just_now_leaves_it_to_counting(tmp_path: Path, watcher: Watcher) -> None:
    kernel = Kernel()
    kernel.fails = True
    stage = Stage(tmp_path, watcher, kernel)
    stage.volume.prepare()
    stage.file.write_bytes(b"x" * BLOCK)
    assert stage.volume.measure() == BLOCK
    assert not stage.volume.held
    kernel.fails, kernel.figure = False, None  # it counts anew
    stage.volume.prepare()
    assert stage.volume.measure() == BLOCK
    kernel.figure = 7 * BLOCK
    assert stage.volume.measure() == 7 * BLOCK
    assert not watcher._of, "what the kernel knows needs no watch"


def test_files_are_not_opened_while_they_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    stage = Stage(tmp_path, None, kernel)
    stage.volume.folder.mkdir()
    monkeypatch.setattr(volume_module, "_MOVE_SECONDS", 0.01)
    refused: list[str] = []

    def take_in(folder: Path) -> None:
        try:
            stage.volume.open()
        except ServerBusy as error:
            refused.append(error.code)

    monkeypatch.setattr(kernel, "take_in", take_in)
    stage.volume.prepare()
    assert refused
    stage.volume.open().close()
