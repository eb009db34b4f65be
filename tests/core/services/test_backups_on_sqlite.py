"""Backups on SQLite, held to the tests that MariaDB passes too."""

from pathlib import Path

import pytest

from tests.backup_suite import *  # noqa: F403


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3"
