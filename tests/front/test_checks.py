"""What the doctor finds, and that it never shows a secret."""

import contextlib
import socket
import sqlite3
from pathlib import Path

from core.db.migrate import upgrade
from front import checks
from sandbox.app import SandboxConfig, running


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_database_file_is_well_once_it_exists(tmp_path: Path) -> None:
    path = tmp_path / "aerie.sqlite"
    assert "aerie migrate" in (await checks.database(f"sqlite+aiosqlite:///{path}")).fix
    path.touch()
    assert (await checks.database(f"sqlite+aiosqlite:///{path}")).well
    assert "does not exist" in (await checks.database(f"sqlite+aiosqlite:///{tmp_path}/nowhere/aerie.sqlite")).fix


async def test_a_database_that_is_not_there_is_told_without_its_password() -> None:
    finding = await checks.database(f"mysql+aiomysql://aerie:hunter2@127.0.0.1:{_closed_port()}/aerie")
    assert not finding.well
    assert "hunter2" not in finding.words + finding.fix
    assert "MariaDB runs" in finding.fix


async def test_an_address_that_cannot_be_read_shows_how_to_write_one() -> None:
    for finding in (await checks.database("nonsense"), await checks.database("oracle+nothing://x/y"), await checks.redis("nonsense")):
        assert "://" in finding.fix


async def test_a_redis_that_is_not_there_is_told_without_its_password() -> None:
    finding = await checks.redis(f"redis://:hunter2@127.0.0.1:{_closed_port()}/0")
    assert "cannot be reached" in finding.words
    assert "hunter2" not in finding.words + finding.fix


async def test_no_redis_means_one_process() -> None:
    assert (await checks.redis("")).well


async def test_a_missing_engine_says_to_start_docker() -> None:
    assert "Start Docker" in (await checks.docker("unix:///nowhere/docker.sock")).fix


async def test_a_good_token_names_its_bot_and_a_bad_one_is_told_apart() -> None:
    async with running(SandboxConfig()) as app:
        assert (await checks.discord(app.token, app.api_url)).words == "the token belongs to Aerie"
        refused = await checks.discord("wrong-token", app.api_url)
    assert "refused" in refused.words
    assert "wrong-token" not in refused.words + refused.fix
    assert "portal" in (await checks.discord("")).fix


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    assert checks.folder("data", tmp_path / "new" / "deep").well
    assert not checks.folder("data", Path("/proc/aerie")).well
    assert list(tmp_path.iterdir()) == []


async def test_tables_are_well_when_they_are_of_this_version(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite"
    assert "aerie migrate" in (await checks.tables(url)).fix
    (tmp_path / "aerie.sqlite").touch()
    empty = await checks.tables(url)
    assert "steps behind" in empty.words
    assert "aerie migrate" in empty.fix
    (tmp_path / "aerie.sqlite").unlink()
    await upgrade(url)
    assert (await checks.tables(url)).well
    with contextlib.closing(sqlite3.connect(tmp_path / "aerie.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of tomorrow'")
    assert "newer" in (await checks.tables(url)).words
    assert not (await checks.tables("nonsense")).well
    assert not (await checks.tables(f"mysql+aiomysql://aerie:hunter2@127.0.0.1:{_closed_port()}/aerie")).well
