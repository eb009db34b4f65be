"""What the real tier stands on: engine, MariaDB, Redis, Chromium, SFTP clients, compose, podman; named by what `make test` sets.

Run by hand without them, a test that asks for one is skipped with the reason; under `make test` a missing one is a failure.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from demo import images
from setup.engine_api import EngineApi


def _named(variable: str, what: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        if os.environ.get("AERIE_TEST_REQUIRE") == "1":
            pytest.fail(f"{what} is missing: {variable} is not set, although `make test` should have set it.")
        pytest.skip(f"{variable} names no {what}; `make test` brings one")
    return value


@pytest.fixture(scope="session")
def docker_host() -> str:
    """Address of an engine that answers."""
    host = _named("DOCKER_HOST", "Docker Engine")
    if EngineApi(host).ping() is None:
        pytest.fail(f"No Docker Engine answers at {host}.")
    return host


@pytest.fixture(scope="session")
def demo_images(docker_host: str) -> dict[str, str]:
    """The demo's game images by game (`luanti`, `freeciv`), ready in the engine; `~` marks them as local."""
    images.prepare(EngineApi(docker_host), Path(__file__).parents[2] / ".aerie" / "test" / "images.log")
    return images.tags()


@pytest.fixture(scope="session")
def mariadb_url() -> str:
    """SQLAlchemy URL of an empty MariaDB database whose user may make others."""
    return _named("AERIE_TEST_MARIADB_URL", "MariaDB")


@pytest.fixture
def database_url(mariadb_url: str) -> Iterator[str]:
    """A MariaDB database of the test's own."""
    name = f"aerie_test_{secrets.token_hex(6)}"
    given = make_url(mariadb_url)
    engine = create_engine(given.set(drivername="mysql+pymysql"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield given.set(drivername="mysql+aiomysql", database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        engine.dispose()


@pytest.fixture(scope="session")
def redis_url() -> str:
    """URL of a Redis that may be emptied."""
    return _named("AERIE_TEST_REDIS_URL", "Redis")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    return _named("AERIE_TEST_CHROMIUM", "Chromium")


@pytest.fixture(scope="session")
def sftp_clients() -> None:
    """OpenSSH's sftp, rclone and lftp can be run."""
    _named("AERIE_TEST_SFTP", "SFTP clients")


@pytest.fixture(scope="session")
def compose_program() -> str:
    """Path of docker-compose."""
    return _named("AERIE_TEST_COMPOSE", "docker-compose")


@pytest.fixture(scope="session")
def podman_program() -> str:
    """Path of podman."""
    return _named("AERIE_TEST_PODMAN", "podman")
