"""The house's manners that a machine can check: names, docstrings, empty __init__ files, no registry written down."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("aerie.py", "agent", "bot", "core", "demo", "front", "migrations", "sandbox", "setup", "tests", "benchmarks")
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "base", "constants", "const", "shared", "stuff", "tools", "types_"}
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("golang", "org"),
    )
)
"""Put together here, since this file is searched as well."""


def _tracked() -> list[Path]:
    """Files of the repository; without git (an unpacked archive) the files of the rooms."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return [file for room in ROOMS for file in ([ROOT / room] if room.endswith(".py") else (ROOT / room).rglob("*")) if file.is_file()]
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


TRACKED = _tracked()
MODULES = sorted(file for file in TRACKED if file.suffix == ".py" and file.relative_to(ROOT).parts[0] in ROOMS)
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def _shown(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=_shown)
def test_a_module_is_named_after_what_it_knows(module: Path) -> None:
    names = {part.removesuffix(".py") for part in module.relative_to(ROOT).parts}
    assert not names & SAYS_NOTHING


@pytest.mark.parametrize("module", [file for file in MODULES if file.name != "__init__.py"], ids=_shown)
def test_a_module_opens_with_a_docstring(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", [file for file in MODULES if file.name == "__init__.py"], ids=_shown)
def test_an_init_file_is_empty(module: Path) -> None:
    assert module.read_bytes() == b""


@pytest.mark.parametrize("module", MODULES, ids=_shown)
def test_a_module_lies_at_most_three_folders_deep(module: Path) -> None:
    assert len(module.relative_to(ROOT).parts) <= 4


def test_tests_are_no_packages_but_for_their_root() -> None:
    """The one `tests/__init__.py` keeps the name ours: py-dactyl installs a top-level package `tests` of its own."""
    found = [file for file in MODULES if file.name == "__init__.py" and "tests" in file.relative_to(ROOT).parts]
    assert found == [ROOT / "tests" / "__init__.py"]


def test_no_tracked_file_names_a_package_registry() -> None:
    search = re.compile("|".join(re.escape(host) for host in REGISTRIES).encode())
    assert not [_shown(file) for file in TRACKED if search.search(file.read_bytes())]


@pytest.mark.parametrize("lock", LOCKS, ids=_shown)
def test_a_lock_holds_no_address_of_an_index_and_a_hash_for_every_package(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links|--trusted-host", text)
    pins = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert pins
    assert not [pin.split()[0] for pin in pins if "==" not in pin.split()[0] or "--hash=sha256:" not in pin]


def test_both_locks_are_there() -> None:
    assert {lock.name for lock in LOCKS} == {"requirements.lock", "requirements-dev.lock"}
