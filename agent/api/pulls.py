"""`…/files/pull`: have a file fetched from the internet, look how far it is, cancel it (Wings). 400 when that is switched off."""

from aiohttp import web

from agent.api.errors import json_response
from agent.api.files import raw, stat_of, statuses
from agent.api.keys import CONFIG, PULLS
from agent.api.servers import named
from agent.api.system import read
from agent.pulls import Wanted
from core.errors import BadRequest
from core.protocol.files import PullAccepted, PullFile, PullProgress, Pulls


async def begin(request: web.Request) -> web.Response:
    """202 and an identifier, or, with `foreground`, 200 and what was made."""
    check_enabled(request)
    wanted, server = await read(request, PullFile), named(request)
    if not wanted.url or not wanted.root:
        raise BadRequest("A pull needs the file's `url` and the folder `root`.")
    quota = server.volume.quota
    if quota.limit and quota.used > quota.limit:
        raise BadRequest("The server's files take more than its disk limit already.", hint="Delete files first.")
    pull = Wanted(wanted.url, raw(wanted.root), wanted.file_name, wanted.use_header)
    if wanted.foreground:
        with statuses():
            return json_response(stat_of(await request.app[PULLS].whole(server, pull)).model_dump(mode="json"))
    begun = request.app[PULLS].begin(server, pull)
    return json_response(PullAccepted(identifier=begun.id).model_dump(), status=202)


async def index(request: web.Request) -> web.Response:
    check_enabled(request)
    under_way = [PullProgress(Identifier=pull.id, Progress=round(pull.progress, 4)) for pull in request.app[PULLS].of(named(request).uuid)]
    return json_response(Pulls(downloads=under_way or None).model_dump(by_alias=True))


async def cancel(request: web.Request) -> web.Response:
    check_enabled(request)
    request.app[PULLS].cancel(named(request).uuid, request.match_info["pull"])
    return web.Response(status=204)


def check_enabled(request: web.Request) -> None:
    """Raises BadRequest."""
    if not request.app[CONFIG].pull.enabled:
        raise BadRequest("Fetching files is switched off on this node.", hint="Upload the file instead.")
