"""docs/api.md and docs/metrics.md hold what the route table and core/metrics.py hold, no more and no less."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.api.app import make_app
from core.clock import ManualClock
from core.metrics import Metrics
from core.permissions import MEANINGS
from core.seal import new_key
from core.services.build import opened
from core.vocabulary import Resource

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
NOT_OURS_TO_TELL = ("/api/remote/", "/webhooks/")
"""Spoken by nodes and by alerting programs; pages of their own tell of them."""


def _rows() -> Iterator[list[str]]:
    for line in API.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.split("|")[1:-1]]


async def test_every_route_has_its_line_and_every_line_its_route(tmp_path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3", key=new_key(), clock=ManualClock()) as services:
        app = make_app(services)
        routes = {
            f"{route.method} {route.resource.canonical}"
            for route in app.router.routes()
            if route.resource is not None and route.method != "HEAD" and not route.resource.canonical.startswith(NOT_OURS_TO_TELL)
        }
    assert {row[0].strip("`") for row in _rows()} == routes


def test_permissions_and_rights_of_routes_exist() -> None:
    for route, _, need in _rows():
        if "/api/client" in route:
            assert set(re.findall(r"`([^`]+)`", need)) <= MEANINGS.keys(), route
        elif "/api/application" in route:
            resource, right = need.split(", ")
            assert resource in list(Resource), route
            assert right == ("read" if route.startswith("`GET") else "write"), route


def test_every_metric_has_its_line_with_its_labels() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    said = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            name, labels, _ = (cell.strip() for cell in line.split("|")[1:-1])
            said[name.strip("`")] = tuple(label for label in labels.split(", ") if label)
    assert said == {metric._name: metric._labelnames for metric in Metrics().all()}


@pytest.mark.parametrize("metric", Metrics().all(), ids=lambda metric: metric._name)
def test_a_metric_says_what_it_is_in_a_sentence(metric: object) -> None:
    assert str(getattr(metric, "_documentation", "")).endswith(".") or str(getattr(metric, "_documentation", "")).endswith("…")
