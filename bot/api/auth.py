"""Who calls: a node's `id.token` becomes its row (`node_of`), an API key becomes a caller (`caller_of`).

A key's requests are counted per user and API, whatever key they come with; those without a key that opens anything, per household.
"""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from bot.api.errors import EXTRA_HEADERS, Handler, PanelError
from core import log
from core.addresses import household
from core.errors import Forbidden, Unauthenticated
from core.models.node import Node
from core.services.api_keys import ApiKeys, Caller
from core.services.nodes import Nodes
from core.services.throttles import Throttles
from core.vocabulary import KeyKind, Resource

NODE = web.RequestKey("node", Node)
CALLER = web.RequestKey("caller", Caller)


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


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests a minute of one user, by API."""

    client: int = 256
    application: int = 240


class KeyAuth:
    def __init__(self, keys: ApiKeys, throttles: Throttles, limits: Limits) -> None:
        self._keys = keys
        self._throttles = throttles
        self._limits = limits

    def client(self, handler: Handler) -> Handler:
        """The handler, for client keys only."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            caller = await self._caller(request, KeyKind.CLIENT, self._limits.client)
            if caller.key.kind != KeyKind.CLIENT:
                raise Forbidden("This is an application key; the Client API takes client keys.", hint="/account api-key makes one.")
            return await handler(request)

        return guarded

    def application(self, resource: Resource, right: int) -> Callable[[Handler], Handler]:
        """For keys of root admins whose key has `right` (core.services.api_keys.READ or WRITE) on the resource."""

        def guard(handler: Handler) -> Handler:
            async def guarded(request: web.Request) -> web.StreamResponse:
                caller = await self._caller(request, KeyKind.APPLICATION, self._limits.application)
                if not caller.user.root_admin:
                    raise Forbidden("Only an administrator of Aerie may use the Application API.")
                if not caller.may(resource, right):
                    raise Forbidden(f"This key has no right to do that with {resource.value}.", hint="Make a key with that right.")
                return await handler(request)

            return guarded

        return guard

    async def _caller(self, request: web.Request, api: KeyKind, limit: int) -> Caller:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        address = request.remote or ""
        try:
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("This address needs an API key.", hint="Send it as Authorization: Bearer <key>.")
            caller = await self._keys.authenticate(token.strip(), address)
        except (Unauthenticated, Forbidden):
            await self._count(request, f"{api.value}:{household(address)}", limit)
            raise
        await self._count(request, f"{api.value}:{caller.user.uuid}", limit)
        request[CALLER] = caller
        return caller

    async def _count(self, request: web.Request, name: str, limit: int) -> None:
        taken = await self._throttles.take(name, limit)
        headers = {"X-RateLimit-Limit": str(taken.limit), "X-RateLimit-Remaining": str(taken.remaining)}
        if not taken.allowed:
            headers |= {"Retry-After": str(taken.wait), "X-RateLimit-Reset": str(taken.resets_at)}
        request[EXTRA_HEADERS] = headers
        if not taken.allowed:
            raise PanelError(429, "ThrottleRequestsException", "Too many requests in this minute.", hint=f"Try again in {taken.wait} s.")


def caller_of(request: web.Request) -> Caller:
    return request[CALLER]
