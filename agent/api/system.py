"""`/api/system` and what hangs from it, `/api/update`: what this node is."""

import asyncio
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from agent.api import machine
from agent.api.errors import json_response
from agent.api.keys import CLOCK, CONFIG, CREDENTIALS, RUNTIME
from agent.remote import VERSION
from core.errors import BadRequest
from core.protocol.agent import Abilities, SystemIps, SystemV1, TokenRenewal, UpdateResponse

B = TypeVar("B", bound=BaseModel)

BODY_SECONDS = 15.0
CPU_SEEN = web.AppKey("cpu_seen", list[machine.CpuTimes])
"""The reading of the last question for the utilization, if there was one."""


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


async def ips(request: web.Request) -> web.Response:
    """The machine's own addresses, from which a panel offers allocations (Pelican)."""
    found = await asyncio.to_thread(machine.addresses)
    return json_response(SystemIps(ip_addresses=found).model_dump())


async def utilization(request: web.Request) -> web.Response:
    """How full the machine is (Pelican); CPU since this was last asked, else over a tenth of a second."""
    config, seen = request.app[CONFIG].system, request.app[CPU_SEEN]
    before = seen.pop() if seen else await _a_moment_ago(request)
    now = await asyncio.to_thread(machine.cpu_times)
    seen[:] = [now]
    folders = {"Root": config.root_directory, "Logs": config.log_directory or config.root_directory, "Data": config.data}
    return json_response((await asyncio.to_thread(machine.utilization, folders, before, now)).model_dump())


async def _a_moment_ago(request: web.Request) -> machine.CpuTimes:
    seen = await asyncio.to_thread(machine.cpu_times)
    await request.app[CLOCK].sleep(0.1)
    return seen


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
