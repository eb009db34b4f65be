"""docs/wings-compatibility.md is held to the code: its tests exist, and what the wire knows stands in it."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

from agent.remote import Remote
from bot.api.app import make_app
from core.protocol.socket import Inbound, Outbound
from tests.agent.api.still import standing_still
from tests.control_plane import staged

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/wings-compatibility.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)(…?)`", PAGE)
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
ROUTES = {match[1]: row for row in ROWS if (match := re.fullmatch(r"`((?:GET|POST|PUT|DELETE|PATCH) /\S+)`", row[0]))}
OPEN = "*open*"
IDS = {
    f"{kind}-{number}"
    for kind, most in {"CFG": 5, "TOK": 13, "WS": 11, "TPL": 3, "RES": 13, "INS": 5}.items()
    for number in range(1, most + 1)
}


@cache
def _tests(file: str) -> tuple[str, ...]:
    path = ROOT / file
    if not path.is_file():
        return ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def there(file: str, name: str, rest: str) -> bool:
    return any(test.startswith(name) if rest else test == name for test in _tests(file))


def test_every_test_that_the_page_names_exists() -> None:
    assert NAMED
    assert not [f"{file}::{name}{rest}" for file, name, rest in NAMED if not there(file, name, rest)]


def test_every_line_names_a_test_or_says_why_not() -> None:
    """Headings and rules of tables begin with other words; a line that never was is told in words."""
    bare = [row for row in ROWS if row[0] not in ("route", "rule", "event", "call", "Wings", "id", "---") and "tests/" not in " ".join(row)]
    assert not [row for row in bare if OPEN not in " ".join(row) and "never" not in " ".join(row) and not row[1].startswith("files:")]


async def test_every_route_of_the_agent_stands_in_the_page(tmp_path: Path) -> None:
    async with standing_still(tmp_path) as still:
        served = {f"{route.method} {route.resource.canonical}" for route in still.app.router.routes() if route.resource is not None}
    served = {route for route in served if not route.startswith("HEAD")}
    claimed = {route for route, row in ROUTES.items() if "/api/remote" not in route and OPEN not in row[1] and "never" not in row[1]}
    assert sorted(claimed) == sorted(served), "docs/wings-compatibility.md has another list of routes"
    assert not [route for route in served if not any(file for file, *_ in re.findall(r"(tests/[\w/]+\.py)(::)", ROUTES[route][2]))]


@pytest.mark.parametrize("event", [*Inbound, *Outbound], ids=str)
def test_every_event_of_a_socket_stands_in_the_page(event: Inbound | Outbound) -> None:
    way = "in" if isinstance(event, Inbound) else "out"
    assert [row for row in ROWS if row[:2] == [f"`{event.value}`", way]]


def test_every_call_of_the_agent_stands_in_the_page() -> None:
    calls = {f"`Remote.{name}`" for name, _ in inspect.getmembers(Remote, inspect.iscoroutinefunction) if not name.startswith("_")}
    assert calls
    assert not [call for call in calls if call not in PAGE]


async def test_every_call_that_the_bot_serves_stands_in_the_page(tmp_path: Path) -> None:
    async with staged(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3") as stage:
        routes = make_app(stage.services).router.routes()
        served = {f"{route.method} {route.resource.canonical}" for route in routes if route.resource is not None}
    served = {route for route in served if " /api/remote/" in route and not route.startswith("HEAD")}
    claimed = {route for route, row in ROUTES.items() if "/api/remote/" in route and OPEN not in " ".join(row) and "never" not in row[1]}
    assert sorted(claimed) == sorted(served)


def test_every_id_of_these_classes_stands_in_the_page_once() -> None:
    listed = [row[0] for row in ROWS if re.fullmatch(r"(CFG|TOK|WS|TPL|RES|INS)-\d+", row[0])]
    assert sorted(listed) == sorted(IDS)
