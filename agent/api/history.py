"""`GET /api/aerie/servers/{server}/console`: old console lines, by number, time and words, one page at a time."""

import re
from datetime import UTC, datetime
from typing import Literal

from aiohttp import web

from agent.api.errors import json_response
from agent.api.keys import MANAGER
from agent.api.servers import named
from agent.history.records import Kind
from agent.history.search import Place, Wanted
from core.errors import BadRequest
from core.patterns import BadPattern, Pattern, compiled
from core.protocol.history import HistoryLine, HistoryPage

MOST_LINES = 1000
LINES = 100
LONGEST_TEXT = 200
_WORDS: dict[Kind, Literal["output", "notice", "install"]] = {Kind.OUTPUT: "output", Kind.NOTICE: "notice", Kind.INSTALL: "install"}
_CURSOR = re.compile(r"(\d{1,12})\.(\d{1,15})")


async def console(request: web.Request) -> web.Response:
    """Parameters: `after`, `before` (numbers, left out themselves), `since`, `until` (ms since 1970, or ISO 8601), `text` (part of a line,
    in any case), `regex` (RE2), `order` (`newest` first, or `oldest`), `limit` (1 to 1000), `cursor`. Raises BadRequest.
    """
    server, query = named(request), request.query
    order = query.get("order", "newest")
    if order not in ("newest", "oldest"):
        raise BadRequest("`order` must be newest or oldest.")
    wanted = Wanted(
        after=_number(query.get("after"), "after"),
        before=_number(query.get("before"), "before"),
        since=_moment(query.get("since"), "since"),
        until=_moment(query.get("until"), "until"),
        text=_text(query.get("text", "")),
        pattern=_pattern(query.get("regex", "")),
        newest_first=order == "newest",
        limit=max(1, min(_number(query.get("limit"), "limit") or LINES, MOST_LINES)),
        start=_start(query.get("cursor", "")),
    )
    found = await request.app[MANAGER].history.search(server.uuid, wanted)
    page = HistoryPage(
        lines=[HistoryLine(seq=one.seq, time=one.ms, kind=_WORDS[one.kind], text=one.text, lost=one.lost) for one in found.lines],
        cursor=".".join(map(str, found.following)) if found.following else None,
        partial=found.partial,
        boot=server.console.count,
        last_seq=server.console.last_seq,
    )
    return json_response(page.model_dump(mode="json"))


def _number(value: str | None, name: str) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 15):
        raise BadRequest(f"`{name}` must be a whole number.")
    return int(value)


def _moment(value: str | None, name: str) -> int | None:
    if not value or (value.isascii() and value.isdigit()):
        return _number(value, name)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise BadRequest(f"`{name}` must be milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z.") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _text(value: str) -> str:
    if len(value) > LONGEST_TEXT:
        raise BadRequest(f"`text` may have {LONGEST_TEXT} characters at most.")
    return value


def _pattern(value: str) -> Pattern | None:
    try:
        return compiled(value) if value else None
    except BadPattern as error:
        raise BadRequest(f"`regex` is no pattern that RE2 knows: {error}.") from None


def _start(value: str) -> Place | None:
    if not value:
        return None
    if (found := _CURSOR.fullmatch(value)) is None:
        raise BadRequest("`cursor` must come from an earlier page.")
    return int(found[1]), int(found[2])
