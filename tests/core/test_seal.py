"""Secrets at rest, and the key they need."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import NotConfigured
from core.seal import Seal, new_key, open_seal


def test_a_sealed_secret_opens_with_its_key_alone() -> None:
    seal = Seal(new_key())
    sealed = seal.close("secret")
    assert "secret" not in sealed
    assert seal.open(sealed) == "secret"
    with pytest.raises(NotConfigured, match="another key"):
        Seal(new_key()).open(sealed)


def test_the_key_file_lies_beside_the_database_for_its_owner_alone(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/deep/aerie.sqlite3"
    sealed = open_seal("", url).close("secret")
    file = tmp_path / "deep" / "aerie.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert open_seal("", url).open(sealed) == "secret"


def test_processes_that_come_at_once_share_one_key(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3"
    with ThreadPoolExecutor(8) as pool:
        seals = list(pool.map(lambda _: open_seal("", url), range(8)))
    assert all(seal.open(seals[0].close("x")) == "x" for seal in seals)


@pytest.mark.parametrize("key", ["short", "not base64 at all, and far too long to be a key of 32 bytes"])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(NotConfigured) as caught:
        open_seal(key, "mysql+aiomysql://h/n")
    assert key not in str(caught.value)


def test_mariadb_needs_a_key() -> None:
    with pytest.raises(NotConfigured, match="needs it"):
        open_seal("", "mysql+aiomysql://h/n")


def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "aerie.key").mkdir()
    with pytest.raises(NotConfigured, match=r"aerie\.key"):
        open_seal("", f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3")
