"""A count by du and one by our own walk answer the same, and what quota.py promises."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.filesystem.quota import BLOCK
from agent.filesystem.scan import NotCounted, Scan, by_du, by_walk, du, scan


def _by_du(root: int) -> Scan:
    if not du():
        pytest.skip("this machine has no du of coreutils")
    found = by_du(root, du(), 60)
    assert found is not None
    return found


@pytest.fixture(params=[_by_du, by_walk], ids=["du", "walk"])
def count(request: pytest.FixtureRequest) -> Callable[[Path], Scan]:
    def counted(folder: Path) -> Scan:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found: Scan = request.param(root)
            return found
        finally:
            os.close(root)

    return counted


def blocks(*paths: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in paths)


def test_an_empty_folder_takes_nothing(tmp_path: Path, count: Callable[[Path], Scan]) -> None:
    assert count(tmp_path).total == 0
    assert count(tmp_path).folders == {b"": 0}


def test_quo_5_every_block_counts_once_and_no_link_is_followed(tmp_path: Path, count: Callable[[Path], Scan]) -> None:
    server, neighbour = tmp_path / "server", tmp_path / "neighbour"
    (server / "d" / "e").mkdir(parents=True)
    neighbour.mkdir()
    (neighbour / "big").write_bytes(b"x" * BLOCK * 50)
    (server / "d" / "x").write_bytes(b"x" * BLOCK * 3)
    os.link(server / "d" / "x", server / "d" / "second")
    os.link(server / "d" / "x", server / "third")
    (server / "d" / "e" / ("n" * 255)).write_bytes(b"y" * 10)
    (server / "d" / "e" / "line\nand\ttab").write_bytes(b"y" * 10)
    (server / "out").symlink_to(neighbour)
    os.mkfifo(server / "pipe")
    with (server / "sparse").open("wb") as file:
        file.truncate(10**12)
        file.write(b"z" * BLOCK)
    e = server / "d" / "e"
    found = count(server)
    expected = blocks(server / "d", server / "d" / "x", e, e / ("n" * 255), e / "line\nand\ttab", server / "out", server / "sparse")
    assert found.total == expected
    assert found.total < BLOCK * 20
    assert set(found.folders) == {b"", b"d", b"d/e"}
    assert sum(found.folders.values()) == found.total
    assert found.folders[b"d/e"] == blocks(e, e / ("n" * 255), e / "line\nand\ttab")


def test_a_very_deep_tree_is_counted(tmp_path: Path, count: Callable[[Path], Scan]) -> None:
    root = os.open(tmp_path, os.O_RDONLY)
    here = os.dup(root)
    try:
        for _ in range(400):
            os.mkdir("d", dir_fd=here)
            deeper = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        (tmp_path / "x").write_bytes(b"x" * BLOCK)
        assert count(tmp_path).total >= blocks(tmp_path / "x")
    finally:
        os.close(here)
        os.close(root)


def test_quo_5_a_count_ends_at_its_limit(tmp_path: Path) -> None:
    """A du that never ends."""
    program = tmp_path / "du"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(NotCounted):
            by_du(root, str(program), 0.1)
    finally:
        os.close(root)


def test_without_du_we_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"x" * BLOCK)
    monkeypatch.setattr("agent.filesystem.scan.du", lambda: "")
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        assert scan(root).total == blocks(tmp_path / "x")
    finally:
        os.close(root)
