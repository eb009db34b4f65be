"""`/power` and `/commands`: what is asked of a server's process. A signal is accepted or refused now; the socket tells how it goes on."""

from aiohttp import web

from agent.api.errors import answer
from agent.api.servers import named
from agent.api.system import read
from core.errors import BadRequest, Conflict, ServerOffline, ServerSuspended
from core.protocol.agent import SIGNAL_HEADER, CommandsRequest, PowerRequest
from core.vocabulary import PowerSignal


async def power(request: web.Request) -> web.Response:
    """202 and the signal's id; 422 for an unknown action, 400 while suspended (Wings), 409 when it makes no sense now."""
    server = named(request)
    try:
        wanted = await read(request, PowerRequest)
    except BadRequest as error:
        if "action" in error.message:
            return answer(422, f"The power action must be one of {', '.join(PowerSignal)}.", code="invalid")
        raise
    try:
        signal_id = await server.asked(wanted.action)
    except ServerSuspended as error:
        return answer(400, error.message, code=error.code, hint=error.hint)
    except Conflict as error:
        return answer(409, error.message, code=error.code, hint=error.hint)
    return web.Response(status=202, headers={SIGNAL_HEADER: signal_id})


async def commands(request: web.Request) -> web.Response:
    """204 once every line was written; 502 while the server is offline (Wings)."""
    server = named(request)
    wanted = await read(request, CommandsRequest)
    try:
        for line in wanted.commands:  # first all of them, so that nothing is typed of what is refused
            server.check_command(line)
        for line in wanted.commands:
            await server.command(line)
    except ServerOffline as error:
        return answer(502, error.message, code=error.code, hint=error.hint)
    return web.Response(status=204)
