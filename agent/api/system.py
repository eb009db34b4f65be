"""`/api/system` and `/api/update`: what this node is."""

import asyncio
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from agent.api.errors import json_response
from agent.api.keys import CONFIG, CREDENTIALS, RUNTIME
from agent.remote import VERSION
from core.errors import BadRequest
from core.protocol.agent import Abilities, SystemV1, TokenRenewal, UpdateResponse

B = TypeVar("B", bound=BaseModel)

BODY_SECONDS = 15.0


async def show(request: web.Request) -> web.Response:
    """Wings' flat first form, or the nested one for `?v=2`."""
    facts = await request.app[RUNTIME].facts(VERSION)
    if request.query.get("v") == "2":
        facts.aerie = Abilities(derived_keys=True)
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
    """A control plane may renew the node's token. All else is the owner's settings file: a stolen token must move no folder."""
    if request.app[CONFIG].ignore_panel_config_updates:
        return json_response(UpdateResponse(applied=False).model_dump())
    wanted = await read(request, TokenRenewal)
    taken = wanted.token is not None and await request.app[CREDENTIALS].renew(wanted.token_id, wanted.token)
    return json_response(UpdateResponse(applied=taken).model_dump())


async def read(request: web.Request, kind: type[B]) -> B:
    """A JSON body as its type. Raises BadRequest."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError as error:
        raise BadRequest("The request's body did not come in time.") from error
    if not raw:
        raise BadRequest("The request had no body.")
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequest(f"The body cannot be read: {'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}.") from error
