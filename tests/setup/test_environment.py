"""The environment is made again only when a lock changed or the tree moved."""

import json
from pathlib import Path

import pytest

from setup import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aerie").touch()
    monkeypatch.setattr(environment, "VENV", tmp_path)
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp.json")
    return tmp_path


def _stamp(venv: Path, root: Path, **locks: str) -> None:
    (venv / "stamp.json").write_text(json.dumps({"root": str(root), "locks": locks}))


def test_an_unchanged_lock_needs_nothing(venv: Path) -> None:
    _stamp(venv, environment.ROOT, runtime="a")
    assert environment.current("runtime", {"runtime": "a", "dev": "b"})


def test_a_changed_lock_a_moved_tree_and_a_missing_command_are_noticed(venv: Path) -> None:
    _stamp(venv, environment.ROOT, runtime="old")
    assert not environment.current("runtime", {"runtime": "a", "dev": "b"})
    _stamp(venv, venv, runtime="a")
    assert not environment.current("runtime", {"runtime": "a", "dev": "b"})
    _stamp(venv, environment.ROOT, runtime="a")
    assert not environment.current("dev", {"runtime": "a", "dev": "b"})
    (venv / "bin" / "aerie").unlink()
    assert not environment.current("runtime", {"runtime": "a", "dev": "b"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"root": "/"}'])
def test_a_spoilt_stamp_means_installing_again(venv: Path, text: str) -> None:
    (venv / "stamp.json").write_text(text)
    assert not environment.current("runtime", {"runtime": "a", "dev": "b"})


def _pins(name: str) -> set[str]:
    return {line.split()[0] for line in (ROOT / name).read_text().splitlines() if "==" in line and not line.startswith((" ", "#"))}


def test_the_dev_lock_holds_every_pin_of_the_runtime_lock() -> None:
    assert _pins("requirements.lock") <= _pins("requirements-dev.lock")


def test_no_lock_names_an_index() -> None:
    for lock in environment.LOCKS.values():
        assert "://" not in lock.read_text()
