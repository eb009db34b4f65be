"""Configuration files on disk: below the root, in one step, and a file that cannot be read stays as it is."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.config_files.rewrite import LARGEST, rewrite_below
from core.protocol.settings import ConfigFile

OWNER = (os.getuid(), os.getgid())


def changed(folder: Path, file: str, parser: str = "properties", **find: Any) -> list[str]:
    config = ConfigFile.model_validate(
        {"file": file, "parser": parser, "replace": [{"match": match, "replace_with": value} for match, value in find.items()]}
    )
    return [str(trouble) for trouble in rewrite_below(folder, OWNER, [config], "172.18.0.1")]


def test_a_missing_file_is_made_with_its_folders(tmp_path: Path) -> None:
    assert changed(tmp_path, "/config/deep/server.properties", port="{{config.docker.interface}}") == []
    made = tmp_path / "config" / "deep" / "server.properties"
    assert made.read_text() == "port=172.18.0.1\n"
    assert stat.S_IMODE(made.stat().st_mode) == 0o644
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o755


def test_a_file_keeps_its_mode_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.properties"
    file.write_bytes(b"#\xff\xfe\nport=1\n")
    file.chmod(0o640)
    assert changed(tmp_path, "a.properties", port=2) == []
    assert file.read_bytes() == b"#\xff\xfe\nport=2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a.properties"]


def test_a_file_that_needs_no_change_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "a.properties"
    file.write_text("port=2\n")
    before = file.stat()
    assert changed(tmp_path, "a.properties", port=2) == []
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("path", ["../outside", "/../../outside", "link/outside", "direct"])
def test_nothing_outside_the_root_is_touched(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    outside = tmp_path / "outside"
    outside.write_text("port=1\n")
    (folder / "link").symlink_to(tmp_path)
    (folder / "direct").symlink_to(outside)
    troubles = changed(folder, path, port=2)
    assert outside.read_text() == "port=1\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["outside", "server"]
    assert bool(troubles) == (path in ("link/outside", "direct"))


def test_a_link_inside_leads_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("port=1\n")
    (tmp_path / "a").symlink_to("real/a")
    assert changed(tmp_path, "a", port=2) == []
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "port=2\n"


def test_what_cannot_be_understood_stays_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{ not json")
    (told,) = changed(tmp_path, "a.json", "json", port=2)
    assert told.startswith("The configuration file a.json was left alone: it is not JSON")
    assert (tmp_path / "a.json").read_text() == "{ not json"
    (told,) = changed(tmp_path, "a.toml", "toml", port=2)
    assert "'toml'" in told
    assert not (tmp_path / "a.toml").exists()


def test_a_file_too_large_is_left_alone(tmp_path: Path) -> None:
    """RES-4."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(LARGEST + 1)
    (told,) = changed(tmp_path, "a", port=2)
    assert "larger than 8 MiB" in told
    assert (tmp_path / "a").stat().st_size == LARGEST + 1


def test_a_pipe_is_no_configuration_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    assert len(changed(tmp_path, "a", port=2)) == 1


def test_one_bad_file_does_not_hold_up_the_others(tmp_path: Path) -> None:
    configs = [
        ConfigFile.model_validate(
            {"file": name, "parser": "json" if name == "bad" else "ini", "replace": [{"match": "a.b", "replace_with": 1}]}
        )
        for name in ("bad", "good")
    ]
    (tmp_path / "bad").write_text("")
    assert [trouble.file for trouble in rewrite_below(tmp_path, OWNER, configs, "")] == ["bad"]
    assert (tmp_path / "good").read_text() == "[a]\nb = 1\n"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("port=1\n")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (told,) = changed(tmp_path, "a", port=2)
    assert "No space left on device" in told
    assert (tmp_path / "a").read_text() == "port=1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
