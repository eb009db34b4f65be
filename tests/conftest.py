"""For every test: nothing is judged by how fast this machine is; with `--loop-guard`, whoever blocks the event loop is told of.

A disk, a lock or a sleep on the loop stops every server's console at once, so such calls belong in `asyncio.to_thread`. The call is
refused on the spot, and the test fails at its end too, since a supervisor may have caught the refusal. The guard must be asked for: a
call refused in a library's clean-up can leave a connection half closed, so under load some innocent tests fail with it. What may block
stands in `MAY_BLOCK`, each with its reason. Calls made by tests, demo and front alone are not looked at.
"""

import builtins
import io
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blockbuster.blockbuster as guard
import hypothesis
import pytest
from blockbuster import BlockBuster, BlockBusterFunction, BlockingError

ROOT = Path(__file__).resolve().parent.parent
hypothesis.settings.register_profile("aerie", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("aerie")

ROOMS = ("agent", "bot", "core", "sandbox")

MAY_BLOCK: dict[str, tuple[str, str]] = {
    # how the file's path ends: the functions, and why
    "core/config.py": ("load", "settings are read once, before a program runs"),
    "agent/runtime/process.py": ("sample", "/proc lies in memory"),
    "logging/__init__.py": ("emit", "our rooms log to standard error, whose reader is the owner's business"),
    "<frozen importlib._bootstrap>": ("_find_and_load", "an import; it happens once"),
    "importlib/metadata/__init__.py": ("version", "redis-py asks for its own version, once for each client"),
    "sqlalchemy/dialects/sqlite/pysqlite.py": ("create_connect_args", "makes a path absolute; reads nothing"),
}


class Blocked(BlockingError):
    """The refusal, which remembers itself for the end of the test."""

    seen: list[str] = []  # noqa: RUF012

    def __init__(self, func: str) -> None:
        super().__init__(func)
        ours = [frame for frame in traceback.extract_stack() if Path(frame.filename).is_relative_to(ROOT)]
        where = " < ".join(f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno} {frame.name}" for frame in reversed(ours[:-1]))
        self.seen.append(f"{func} on the event loop: {where}")


def _watched() -> BlockBuster:
    """Disk, sockets and sleep as blockbuster knows them, and opening a file. SQLite and locks are left alone: libraries use them."""
    rooms = [str(ROOT / room) + "/" for room in ROOMS]
    paths: Any = guard._ModulePaths(rooms)
    # a task's keeper stands below whatever it runs, the demo's and the tests' included
    keeper: Any = guard._ModulePaths([str(ROOT / "core/supervise.py")])
    made = BlockBuster(paths, excluded_modules=keeper)
    for module in (builtins, io):
        made.functions[f"{module.__name__}.open"] = BlockBusterFunction(module, "open", scanned_modules=paths, excluded_modules=keeper)
    for name in [name for name in made.functions if name.startswith(("sqlite3.", "threading."))]:
        del made.functions[name]
    for function in made.functions.values():
        for file, (names, _) in MAY_BLOCK.items():
            function.can_block_in(file, set(names.split()))
    return made


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop-guard", action="store_true", help="fail tests in which agent, bot, core or sandbox block the event loop")


@pytest.fixture(scope="session", autouse=True)
def guarded(request: pytest.FixtureRequest) -> Iterator[bool]:
    """The guard stands from the first test to the last: putting it up and down under running threads is what it must not do."""
    if not request.config.getoption("--loop-guard"):
        yield False
        return
    watch = _watched()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "BlockingError", Blocked)
        watch.activate()
        yield True
        watch.deactivate()


@pytest.fixture(autouse=True)
def loop_never_blocks(guarded: bool) -> Iterator[None]:
    Blocked.seen.clear()
    yield
    if Blocked.seen:
        pytest.fail("The event loop was blocked:\n" + "\n".join(dict.fromkeys(Blocked.seen)))
