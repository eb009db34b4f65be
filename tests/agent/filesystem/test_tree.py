"""A watched tree tells at any time what a whole count would."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.filesystem import tree as tree_module
from agent.filesystem.inotify import Inotify
from agent.filesystem.quota import BLOCK
from agent.filesystem.root import Root
from agent.filesystem.scan import Scan, by_walk
from agent.filesystem.tree import Tree
from agent.filesystem.watching import Watcher


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def counted(folder: Path) -> Scan:
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return by_walk(root)
    finally:
        os.close(root)


def watched(watcher: Watcher, folder: Path) -> Tree:
    made = watcher.watch(Root(folder), counted(folder))
    assert made is not None
    return made


@pytest.fixture
def server(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    for region in range(3):
        (folder / "world" / f"region{region}").mkdir(parents=True)
        for chunk in range(4):
            (folder / "world" / f"region{region}" / f"chunk{chunk}").write_bytes(b"x" * BLOCK * (chunk + 1))
    (folder / "log").write_bytes(b"x" * 100)
    return folder


def agrees(watcher: Watcher, tree: Tree, folder: Path) -> bool:
    total = watcher.settle(tree)
    assert not tree.lost
    return total == counted(folder).total


def test_what_changes_is_known(watcher: Watcher, server: Path) -> None:
    tree = watched(watcher, server)
    assert agrees(watcher, tree, server)
    chunk = server / "world" / "region1" / "chunk1"
    with chunk.open("ab") as file:
        file.write(b"y" * BLOCK * 7)
        file.flush()
        assert agrees(watcher, tree, server), "before it is closed, too"
    os.truncate(chunk, BLOCK)
    assert agrees(watcher, tree, server)
    chunk.unlink()
    (server / "new").write_bytes(b"z" * BLOCK * 3)
    (server / "link").symlink_to("/etc")
    assert agrees(watcher, tree, server)
    (server / "new").rename(server / "world" / "newer")
    assert agrees(watcher, tree, server)


def test_folders_come_move_and_go(watcher: Watcher, server: Path, tmp_path: Path) -> None:
    tree = watched(watcher, server)
    (server / "mods" / "deep" / "deeper").mkdir(parents=True)
    (server / "mods" / "deep" / "deeper" / "jar").write_bytes(b"j" * BLOCK * 9)
    assert agrees(watcher, tree, server)
    (server / "mods" / "deep" / "deeper" / "jar").write_bytes(b"j" * BLOCK * 2)
    assert agrees(watcher, tree, server)
    (server / "mods" / "deep").rename(server / "world" / "moved")
    (server / "world" / "moved" / "deeper" / "jar").write_bytes(b"j" * BLOCK * 5)
    assert agrees(watcher, tree, server)
    (server / "world" / "region0").rename(tmp_path / "away")
    (tmp_path / "away" / "chunk0").write_bytes(b"o" * BLOCK * 50)
    assert agrees(watcher, tree, server)
    (tmp_path / "away").rename(server / "world" / "region0")
    assert agrees(watcher, tree, server)
    shutil.rmtree(server / "world")
    (server / "world").mkdir()
    (server / "world" / "again").write_bytes(b"a" * BLOCK)
    assert agrees(watcher, tree, server)
    shutil.rmtree(server / "world")
    shutil.rmtree(server / "mods")
    (server / "log").unlink()
    assert agrees(watcher, tree, server)
    assert tree.total == 0


def test_whatever_happens_it_agrees(watcher: Watcher, server: Path) -> None:
    chance, tree, number = random.Random(7), watched(watcher, server), 0
    for turn in range(150):
        folders = [path for path in [server, *server.rglob("*")] if path.is_dir() and not path.is_symlink()]
        files = [path for path in server.rglob("*") if path.is_file() and not path.is_symlink()]
        for _ in range(chance.randrange(1, 6)):
            number += 1
            where = chance.choice(folders)
            act = chance.randrange(7)
            if act == 0:
                (where / f"d{number}").mkdir(exist_ok=True) if where.exists() else None
            elif act == 1 and where.exists():
                (where / f"f{number}").write_bytes(b"x" * chance.randrange(60_000))
            elif act == 2 and files and (file := chance.choice(files)).exists():
                with file.open("ab") as opened:
                    opened.write(b"y" * chance.randrange(30_000))
            elif act == 3 and files and (file := chance.choice(files)).exists():
                file.unlink()
            elif act == 4 and files and (file := chance.choice(files)).exists() and where.exists():
                file.rename(where / f"r{number}")
            elif act == 5 and where not in (server,) and where.exists():
                target = chance.choice(folders)
                if target.exists() and where not in (target, *target.parents):
                    where.rename(target / f"m{number}")
            elif act == 6 and where != server and chance.random() < 0.3:
                shutil.rmtree(where, ignore_errors=True)
        if turn % 3 == 0:
            assert agrees(watcher, tree, server)
    assert agrees(watcher, tree, server)
    watcher.unwatch(tree)
    assert not any(instance.watches for instance in watcher._instances)


def test_quo_5_names_of_one_file_are_left_to_a_whole_count(watcher: Watcher, server: Path) -> None:
    tree = watched(watcher, server)
    os.link(server / "log", server / "world" / "log")
    watcher.settle(tree)
    assert tree.lost


def test_lost_events_call_for_a_whole_count_and_name_the_cause(watcher: Watcher, server: Path, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    noisy, other = watched(watcher, server), watched(watcher, quiet)
    instance = watcher._of[noisy]
    assert other in watcher._of
    names = [server / f"n{number}" for number in range(20)]
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 200_000:
        pytest.skip("this machine keeps very many events")
    for number in range(queue // 3 + 100):
        name = names[number % 20]
        name.touch()
        name.unlink()
    watcher.drain()
    assert noisy.lost
    assert noisy in watcher.noisy
    assert instance.trees >= {noisy}
    watcher.unwatch(noisy)
    assert noisy not in watcher.noisy


def test_a_flood_of_new_folders_is_left_to_a_whole_count(watcher: Watcher, server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MOST_FOUND", 10)
    tree = watched(watcher, server)
    for number in range(30):
        (server / "many" / str(number)).mkdir(parents=True)
    watcher.settle(tree)
    assert tree.lost


def test_without_watches_there_is_no_tree(watcher: Watcher, server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object, folder: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Inotify, "add", refused)
    assert watcher.watch(Root(server), counted(server)) is None
    assert not any(instance.watches for instance in watcher._instances)
