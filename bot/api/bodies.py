"""Bodies of requests read, and answers written, as the wire types of core/protocol."""

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from core.errors import BadRequest, Invalid

M = TypeVar("M", bound=BaseModel)


async def read(request: web.Request, kind: type[M]) -> M:
    """The request's JSON body. Raises BadRequest when it is none, Invalid (naming the field) when it does not fit."""
    body = await request.read()
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise BadRequest("The body is not JSON.") from None
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Invalid(f"{where}: {first['msg']}.") from None


def answer(body: BaseModel) -> web.Response:
    return web.Response(text=body.model_dump_json(by_alias=True), content_type="application/json")


def whole_number(request: web.Request, name: str, default: int) -> int:
    """A whole number of the query. Raises BadRequest for anything else."""
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadRequest(f"{name} must be a whole number.")
    return int(text)
