"""Who calls: a node's `id.token` becomes its row. Handlers under /api/remote find it with `node_of`."""

from aiohttp import hdrs, web

from bot.api.errors import Handler
from core import log
from core.errors import Unauthenticated
from core.models.node import Node
from core.services.nodes import Nodes

NODE = web.RequestKey("node", Node)


class NodeAuth:
    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def guard(self, handler: Handler) -> Handler:
        """The handler, for nodes only."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            if scheme != "Bearer":
                raise Unauthenticated("This address is for nodes; it needs their token.")
            node = await self._nodes.authenticate(token.strip())
            log.node.set(node.name)
            request[NODE] = node
            return await handler(request)

        return guarded


def node_of(request: web.Request) -> Node:
    return request[NODE]
