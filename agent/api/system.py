"""`/api/system` and `/api/update`: what this node is."""

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from agent.api.errors import json_response
from agent.api.keys import RUNTIME
from agent.remote import VERSION
from core.errors import BadRequest
from core.protocol.agent import SystemV1, UpdateResponse

B = TypeVar("B", bound=BaseModel)


async def show(request: web.Request) -> web.Response:
    """Wings' flat first form, or the nested one for `?v=2`."""
    facts = await request.app[RUNTIME].facts(VERSION)
    if request.query.get("v") == "2":
        return json_response(facts.model_dump(mode="json"))
    system = facts.system
    flat = SystemV1(
        architecture=system.architecture,
        cpu_count=system.cpu_threads,
        kernel_version=system.kernel_version,
        os=system.os_type,
        version=facts.version,
    )
    return json_response(flat.model_dump(mode="json"))


async def update(request: web.Request) -> web.Response:
    """A panel wants to change this node's own settings. They are the owner's file here, so nothing is applied, and that is said."""
    return json_response(UpdateResponse(applied=False).model_dump())


async def read(request: web.Request, kind: type[B]) -> B:
    """A JSON body as its type. Raises BadRequest."""
    raw = await request.read()
    if not raw:
        raise BadRequest("The request had no body.")
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequest(f"The body cannot be read: {'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}.") from error
