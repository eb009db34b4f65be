"""Input read field by field, and pages, filters and includes read from a query."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from bot.api.errors import PanelError, Rejected
from bot.api.input import Input
from bot.api.paging import Paging, filters, includes, inner, sorting


def failures(given: Input) -> dict[str, str]:
    with pytest.raises(Rejected) as caught:
        given.checked()
    return {failure.field: failure.rule for failure in caught.value.failures}


def test_every_wrong_field_is_told_at_once() -> None:
    given = Input({"limits": {"memory": "much", "io": 5}, "name": "x" * 200, "list": "no", "flag": "maybe"})
    given.text("name")
    given.number("limits.memory")
    given.number("limits.io", least=10)
    given.number("limits.disk")
    given.items("list")
    given.flag("flag")
    given.object("environment")
    assert failures(given) == {
        "name": "max",
        "limits.memory": "integer",
        "limits.io": "min",
        "limits.disk": "required",
        "list": "array",
        "flag": "boolean",
        "environment": "required",
    }


@pytest.mark.parametrize(("value", "number"), [(5, 5), ("5", 5), (5.0, 5), ("-1", -1)])
def test_numbers_may_be_written_as_text(value: Any, number: int) -> None:
    given = Input({"a": value})
    assert given.number("a", least=-1) == number
    given.checked()


@pytest.mark.parametrize("value", [True, 1.5, "1.5", "१", [], {}, "9" * 40, 2**40])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    given = Input({"a": value})
    given.number("a")
    assert "a" in failures(given)


@pytest.mark.parametrize(("value", "flag"), [(True, True), (1, True), ("0", False), ("false", False), (None, False)])
def test_flags(value: Any, flag: bool) -> None:
    given = Input({"a": value})
    assert given.flag("a") is flag
    given.checked()


@pytest.mark.parametrize(
    ("query", "page", "per_page"),
    [("", 1, 50), ("page=3&per_page=10", 3, 10), ("page=0&per_page=0", 1, 15), ("page=x&per_page=-1", 1, 50), ("per_page=999", 1, 100)],
)
def test_pages(query: str, page: int, per_page: int) -> None:
    assert Paging.of(make_mocked_request("GET", f"/?{query}"), most=100) == Paging(page, per_page)


def test_includes_are_two_deep_and_bring_what_is_on_the_way() -> None:
    names = includes(make_mocked_request("GET", "/?include=servers.node.location,%20user&include[]=nest"))
    assert names == {"servers", "servers.node", "user", "nest"}
    assert inner(names, "servers") == {"node"}


def test_filters_and_orders_nobody_knows_are_refused() -> None:
    request = make_mocked_request("GET", "/?filter[name]=a&sort=-id")
    assert filters(request, ("name",)) == {"name": "a"}
    assert sorting(request, ("id",)) == ("id", True)
    for refused in (lambda: filters(request, ("uuid",)), lambda: sorting(request, ("uuid",))):
        with pytest.raises(PanelError) as caught:
            refused()
        assert caught.value.http_status == 400
