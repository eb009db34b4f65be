"""Lists of the Application API: filters, order and page of the query, put to the directory."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from bot.api.paging import Json, Paging, filters, includes, paged, sorting
from core.errors import NotFound
from core.services.directory import Directory

Show = Callable[[list[Any], frozenset[str]], Awaitable[list[Json]]]


class Listing:
    """One kind of rows and what it may be filtered and sorted by. `columns` maps names of the API to columns that are called otherwise."""

    def __init__(
        self,
        directory: Directory,
        kind: type[Any],
        *,
        filters: Sequence[str] = (),
        sorts: Sequence[str] = ("id",),
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._kind = kind
        self._filters = filters
        self._sorts = sorts
        self._columns = columns or {}

    async def answer(self, request: web.Request, show: Show, equal: Mapping[str, Any] | None = None) -> web.Response:
        paging = Paging.of(request)
        chosen = {self._columns.get(name, name): text for name, text in filters(request, self._filters).items()}
        order = sorting(request, self._sorts)
        rows, total = await self._directory.page(
            self._kind,
            containing=chosen,
            equal=equal,
            order=(self._columns.get(order[0], order[0]), order[1]) if order else None,
            first=paging.first,
            count=paging.per_page,
        )
        return paged(request, await show(rows, includes(request)), paging, total)


def number_of(request: web.Request, name: str) -> int:
    """A row's number in the address. Raises NotFound for anything else."""
    text = request.match_info[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFound("There is nothing with this id.")
    return int(text)
