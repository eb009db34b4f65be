"""The finder looks where Docker hides, and says what is missing."""

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from setup import engine


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def _context(home: Path, name: str, host: str) -> None:
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_docker_host_comes_first_and_the_current_context_second(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    _context(home, "colima", f"unix://{home}/.colima/default/docker.sock")
    hosts = [host for host, _ in engine.candidates()]
    assert hosts[:3] == ["tcp://127.0.0.1:2375", f"unix://{home}/.colima/default/docker.sock", "unix:///var/run/docker.sock"]
    assert len(hosts) == len(set(hosts))


def test_an_address_we_cannot_speak_to_is_not_tried(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://far.example")
    assert all(not host.startswith("ssh") for host, _ in engine.candidates())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"currentContext": "gone"}', '{"currentContext": 3}'])
def test_a_spoilt_docker_configuration_is_passed_over(home: Path, text: str) -> None:
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(text)
    assert engine.candidates()


def test_without_any_engine_and_without_root_one_sentence_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "candidates", list)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(engine.NoEngine, match="install Docker"):
        engine.find(home / "engine")


def test_a_dead_docker_host_is_told_and_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "candidates", lambda: [("tcp://127.0.0.1:1", "DOCKER_HOST")])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(engine.NoEngine):
        engine.find(home / "engine")
    assert "DOCKER_HOST is tcp://127.0.0.1:1, where no engine answers" in capsys.readouterr().out
