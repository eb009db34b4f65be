"""Rooms: what the import contracts of pyproject.toml cannot say, such as which closet holds which driver.

Imports inside functions count, as they do for the contracts.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "bot", "core", "demo", "front", "sandbox", "setup")
MODULES = [ROOT / "aerie.py", *(file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")))]

CLOSETS = {
    "aiodocker": ("agent/runtime/docker", "agent/runtime/images", "agent/runtime/network", "agent/runtime/tenant_networks"),
    "asyncssh": ("agent/sftp/",),
    "discord": ("bot/",),
    "sqlalchemy": ("core/db/", "core/models/", "core/services/", "front/checks"),
    "alembic": ("core/db/",),
    "aiomysql": ("core/db/",),
    "aiosqlite": ("core/db/",),
    "prometheus_client": ("core/metrics",),
    "redis": ("core/backplane/redis", "front/checks"),
    "jwt": ("core/tokens",),
    "cryptography": ("core/seal", "core/ssh_keys", "core/tls"),
    "argon2": ("core/seal",),
    "typer": ("aerie",),
    "rich": ("aerie", "front/", "demo/"),
    "tomllib": ("core/config", "sandbox/"),
    "uvloop": ("front/", "bot/__main__", "agent/__main__"),
}
"""Which modules may hold a driver; every other one goes through them."""


def _shown(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _imported(file: Path) -> Iterator[str]:
    """Full names of what a module imports, functions included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_shown(file)} imports relatively"
            yield node.module or ""


@pytest.mark.parametrize("driver", CLOSETS)
def test_a_driver_stays_in_its_closet(driver: str) -> None:
    holders = [_shown(file) for file in MODULES if any(name.partition(".")[0] == driver for name in _imported(file))]
    assert not [holder for holder in holders if not holder.startswith(CLOSETS[driver])]


@pytest.mark.parametrize("module", [file for file in MODULES if file.is_relative_to(ROOT / "setup")], ids=_shown)
def test_the_set_up_needs_the_standard_library_alone(module: Path) -> None:
    foreign = {name.partition(".")[0] for name in _imported(module)} - sys.stdlib_module_names - {"setup"}
    assert not foreign


def test_nobody_imports_the_front_door() -> None:
    assert not [_shown(file) for file in MODULES if "aerie" in _imported(file)]


@pytest.mark.parametrize("word", ["environ", "getenv"])
def test_the_environment_is_read_in_few_places(word: str) -> None:
    """core/config.py reads it; set-up and the demo's children run before there is a core, or hand it on."""
    readers = [
        _shown(file) for file in MODULES if word in {n.attr for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Attribute)}
    ]
    assert not [reader for reader in readers if not reader.startswith(("core/config.py", "setup/", "demo/"))]


def test_the_import_contracts_are_kept() -> None:
    """The contracts of pyproject.toml, as `make check` runs them; here too, since not everybody runs that."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout[-3000:]
