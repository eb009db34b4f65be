"""Pages, filters, sorting and includes of the REST APIs, read from the query; and the envelopes that answers come in."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from bot.api.errors import PanelError

ORIGIN: web.AppKey[Callable[[], str]] = web.AppKey("origin")
"""The control plane's public address; links lead there."""

Json = dict[str, Any]
_DEEPEST_INCLUDE = 2


@dataclass(frozen=True, slots=True)
class Paging:
    """One page of a list: `page` counts from 1."""

    page: int
    per_page: int

    @classmethod
    def of(cls, request: web.Request, *, default: int = 50, most: int = 100_000) -> "Paging":
        """What the query asks for; nonsense becomes the first page, `per_page=0` the framework's own 15."""
        size = _number(request.query.get("per_page", ""), default)
        return cls(max(_number(request.query.get("page", ""), 1), 1), min(max(size, 1), most) if size else 15)

    @property
    def first(self) -> int:
        return (self.page - 1) * self.per_page

    def cut(self, rows: Sequence[Any]) -> list[Any]:
        """This page of rows that are all here."""
        return list(rows[self.first : self.first + self.per_page])


def _number(text: str, default: int) -> int:
    return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else default


def includes(request: web.Request) -> frozenset[str]:
    """Names of `include=a,b.c` and `include[]=a`, with those on the way (`b.c` includes `b`)."""
    asked = [*request.query.getall("include", []), *request.query.getall("include[]", [])]
    names: set[str] = set()
    for name in ",".join(asked).split(","):
        parts = name.strip().split(".")[:_DEEPEST_INCLUDE]
        names.update(".".join(parts[: depth + 1]) for depth in range(len(parts)))
    return frozenset(names - {""})


def inner(names: frozenset[str], name: str) -> frozenset[str]:
    """What is included inside the include `name`."""
    return frozenset(rest for head, _, rest in (asked.partition(".") for asked in names) if head == name and rest)


def filters(request: web.Request, allowed: Collection[str]) -> dict[str, str]:
    """`filter[name]=value`, empty ones left out. Raises PanelError (400) for a name that is not `allowed`."""
    found = {}
    for key, value in request.query.items():
        named = re.fullmatch(r"filter\[(.{1,60})\]", key)
        if named is None:
            continue
        if named[1] not in allowed:
            raise PanelError(
                400, "InvalidFilterQuery", f"Requested filter(s) are not allowed. Allowed filter(s) are `{', '.join(allowed)}`."
            )
        if value:
            found[named[1]] = value
    return found


def sorting(request: web.Request, allowed: Collection[str]) -> tuple[str, bool] | None:
    """`sort=field` or `sort=-field` as the field and whether it is descending. Raises PanelError (400)."""
    asked = request.query.get("sort", "")
    name = asked.removeprefix("-")
    if not name:
        return None
    if name not in allowed:
        raise PanelError(400, "InvalidSortQuery", f"This list cannot be sorted by that; it can by {', '.join(allowed)}.")
    return name, asked.startswith("-")


def at(moment: datetime | None) -> str | None:
    """An instant as the panel writes it: 2024-01-31T12:00:00+00:00."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def at_raw(moment: datetime) -> str:
    """An instant as rows that the panel shows unchanged have it: 2024-01-31T12:00:00.000000Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def item(kind: str, attributes: Json, relationships: Json | None = None, meta: Json | None = None) -> Json:
    """One resource in its envelope."""
    body: Json = {"object": kind, "attributes": {**attributes, "relationships": relationships} if relationships else attributes}
    return {**body, "meta": meta} if meta else body


def collection(rows: Sequence[Json], meta: Json | None = None) -> Json:
    body: Json = {"object": "list", "data": list(rows)}
    return {**body, "meta": meta} if meta else body


def nothing() -> Json:
    """An include that the caller may not see, or that has no value."""
    return {"object": "null_resource", "attributes": None}


def answer(body: Json, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


def done(status: int = 204) -> web.Response:
    """Nothing to say but that it was done (204) or accepted (202)."""
    return web.Response(status=status)


def paged(request: web.Request, rows: Sequence[Json], paging: Paging, total: int, meta: Json | None = None) -> web.Response:
    """A list with `meta.pagination`."""
    pages = max(1, -(-total // paging.per_page))
    links: Json = {}
    if paging.page > 1:
        links["previous"] = _link(request, paging.page - 1)
    if paging.page < pages:
        links["next"] = _link(request, paging.page + 1)
    pagination = {
        "total": total,
        "count": len(rows),
        "per_page": paging.per_page,
        "current_page": paging.page,
        "total_pages": pages,
        "links": links,
    }
    return answer(collection(rows, {**(meta or {}), "pagination": pagination}))


def address(request: web.Request, path: str) -> str:
    """The whole address of a path of this endpoint."""
    return (request.app[ORIGIN]() or str(request.url.origin())) + path


def _link(request: web.Request, page: int) -> str:
    return address(request, str(request.rel_url.update_query(page=page)))
