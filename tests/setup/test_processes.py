"""A remembered process is found again, and nobody else is taken for it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup import processes

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def spawn() -> Iterator[object]:
    started: list[subprocess.Popen[bytes]] = []

    def run(command: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_living_process_is_found_again(tmp_path: Path, spawn) -> None:  # type: ignore[no-untyped-def]
    process = spawn(SLEEPER)
    processes.remember(tmp_path / "note", process.pid)
    assert processes.remembered(tmp_path / "note") == process.pid


def test_a_process_id_used_again_by_another_is_left_alone(tmp_path: Path, spawn) -> None:  # type: ignore[no-untyped-def]
    process = spawn(SLEEPER)
    note = tmp_path / "note"
    processes.remember(note, process.pid)
    note.write_text(json.dumps({**json.loads(note.read_text()), "started": "1"}))
    assert not processes.end(note, 1)
    assert process.poll() is None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, spawn) -> None:  # type: ignore[no-untyped-def]
    process = spawn(STUBBORN)
    processes.remember(tmp_path / "note", process.pid)
    assert processes.end(tmp_path / "note", 0.2)
    assert processes.started_at(process.pid) is None
    assert not (tmp_path / "note").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x", "started": "1"}', '{"pid": 1, "started": null}', "null"])
def test_a_spoilt_note_means_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "note").write_text(text)
    assert processes.remembered(tmp_path / "note") is None


def test_our_own_start_time_does_not_change() -> None:
    assert processes.started_at(os.getpid()) == processes.started_at(os.getpid()) is not None
