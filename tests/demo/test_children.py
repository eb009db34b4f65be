"""The demo's programs are kept alive, tell why they do not start, and end when asked."""

import asyncio
import sys
from pathlib import Path

import pytest

from core.supervise import Supervisor
from demo.children import Child, NotStarted, Program, end_leftovers

QUIET = "import time; print('hello', flush=True); time.sleep(60)"


def _program(code: str, ready: bool = True, seconds: float = 10.0) -> Program:
    async def answer() -> bool:
        return ready

    return Program("sleeper", [sys.executable, "-c", code], answer, ready_seconds=seconds)


async def _until(condition, seconds: float = 10.0) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_killed_program_comes_back_with_another_process(tmp_path: Path) -> None:
    child = Child(_program(QUIET), tmp_path)
    async with Supervisor("test") as tasks:
        await child.start(tasks)
        first = child.pid
        child.kill()
        await _until(lambda: child.pid not in (None, first))
        await child.stop()
    assert child.deaths == 1
    assert "starting it again" in child.log.read_text()
    assert child.pid is None


async def test_a_program_that_is_held_stays_down_until_it_is_released(tmp_path: Path) -> None:
    child = Child(_program(QUIET), tmp_path)
    async with Supervisor("test") as tasks:
        await child.start(tasks)
        child.hold()
        child.kill()
        await _until(lambda: child.deaths == 1)
        with pytest.raises(TimeoutError):
            await _until(lambda: child.pid is not None, 0.5)
        child.release()
        await _until(lambda: child.pid is not None)
        child.hold()
        child.kill()
        await _until(lambda: child.deaths == 2)
        await child.stop()
    assert child.pid is None


async def test_a_program_that_dies_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = Child(_program("import sys; sys.exit('the port is taken')", ready=False), tmp_path)
    async with Supervisor("test") as tasks:
        with pytest.raises(NotStarted, match=r"ends as soon as it starts(.|\n)*the port is taken"):
            await child.start(tasks)
        await child.stop()


async def test_a_program_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    child = Child(_program(QUIET, ready=False, seconds=0.3), tmp_path)
    async with Supervisor("test") as tasks:
        with pytest.raises(NotStarted, match="not ready after"):
            await child.start(tasks)
        await child.stop()
    assert child.pid is None


async def test_what_a_killed_demo_left_running_is_ended_by_the_next(tmp_path: Path) -> None:
    child = Child(_program(QUIET), tmp_path)
    async with Supervisor("test") as tasks:
        await child.start(tasks)
        child.stopping.set()  # as if nobody watched any more
        process = child.process
        assert await asyncio.to_thread(end_leftovers, tmp_path) == ["sleeper"]
        assert process is not None
        await process.wait()
    assert end_leftovers(tmp_path) == []
