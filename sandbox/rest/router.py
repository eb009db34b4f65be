"""How a REST request is read, counted, refused, answered and recorded; the same for every route.

A route is data: method, path template as in Discord's OpenAPI file, handler, who may call it, which buckets count it.
Must never know what a single route does.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import BodyPartReader, web

from sandbox import errors, limits, ratelimits
from sandbox.clock import Clock
from sandbox.errors import DiscordError, Json
from sandbox.limits import Bucket
from sandbox.rules.attachments import Upload, too_large
from sandbox.world import World

log = logging.getLogger(__name__)
PREFIX = "/api/v10"


@dataclass(frozen=True)
class Answer:
    """A handler's answer when it is not a plain 200 or 204."""

    body: Json | list[Any] | None
    status: int = 200


@dataclass
class Call:
    """One request, read: path ids, query, JSON body, uploads and the audit log reason."""

    world: World
    request: web.Request
    route: "Route"
    ids: dict[str, str]
    body: Any = None
    uploads: list[Upload] = field(default_factory=list)
    reason: str | None = None

    @property
    def form(self) -> Json:
        """The body as an object; raises 50035 when it is something else."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise errors.invalid((), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return self.body

    def flag(self, name: str) -> bool:
        """A boolean query parameter: 1 or true."""
        return self.request.query.get(name, "").lower() in ("1", "true")

    def count(self, name: str, default: int, high: int) -> int:
        """An integer query parameter within 1..high. Raises 50035."""
        value = self.request.query.get(name)
        if value is None:
            return default
        if not value.isdigit() or not 1 <= int(value) <= high:
            raise errors.invalid((name,), "NUMBER_TYPE_MAX", f"int value should be between 1 and {high}.")
        return int(value)


Handler = Callable[[Call], Awaitable[Json | list[Any] | Answer | None]]
Extra = Callable[[Call], list[tuple[Bucket, str]]]


@dataclass(frozen=True)
class Route:
    """One entry of the API."""

    method: str
    template: str
    handler: Handler
    bot: bool = True  # needs the bot's token, and counts against its 50/s
    buckets: tuple[Bucket, ...] = ()
    also: Extra | None = None
    counts_global: bool = True


@dataclass(frozen=True)
class Recorded:
    """A request the bot sent and how it was answered; `json_body` is payload_json for multipart bodies."""

    method: str
    path_template: str
    path: str
    json_body: Any
    status: int


@dataclass
class Refusal:
    """A planned refusal of a test: method and path, the answer, how often."""

    method: str
    path: re.Pattern[str]
    status: int
    code: int
    times: int


@dataclass
class Traffic:
    """What tests may look at and steer: observers, the log of requests, planned refusals, added latency in seconds."""

    observers: list[Callable[[Recorded], None]]
    latency: float = 0.0
    requests: list[Recorded] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def record(self, entry: Recorded) -> None:
        """Keeps a request and shows it to the observers."""
        self.requests.append(entry)
        if len(self.requests) > limits.REQUESTS_KEPT:
            del self.requests[: limits.REQUESTS_KEPT // 10]
        for observer in self.observers:
            observer(entry)

    def refusal(self, method: str, path: str) -> Refusal | None:
        """The planned refusal this request runs into; counts it down."""
        for planned in self.refusals:
            if planned.method in (method, "*") and planned.path.search(path):
                planned.times -= 1
                if planned.times <= 0:
                    self.refusals.remove(planned)
                return planned
        return None


class Router:
    """Turns routes into aiohttp handlers."""

    def __init__(self, world: World, traffic: Traffic) -> None:
        self._world = world
        self._traffic = traffic

    def add(self, app: web.Application, routes: list[Route]) -> None:
        """Mounts routes; those with fixed words must come before those with ids in the same place."""
        for route in routes:
            app.router.add_route(route.method, PREFIX + route.template, self._endpoint(route))

    def _endpoint(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            return await self._answer(route, request)

        return endpoint

    async def _answer(self, route: Route, request: web.Request) -> web.StreamResponse:
        call = Call(self._world, request, route, {key: unquote(value) for key, value in request.match_info.items()})
        headers: dict[str, str] = {"Via": "1.1 sandbox", "Cache-Control": "no-store"}
        limiter = self._world.limiter
        try:
            if (seconds := limiter.banned()) > 0:
                return web.Response(
                    status=429, text="error code: 1015", content_type="text/plain", headers={"Retry-After": str(int(seconds) + 1)}
                )
            await self._read(call)
            if self._traffic.latency:
                await asyncio.sleep(self._traffic.latency)
            self._authorise(call)
            if route.counts_global and (denied := limiter.take_global()) is not None:
                return self._limited(call, denied, headers)
            wanted = [(bucket, _scope(bucket, call.ids)) for bucket in route.buckets] + (route.also(call) if route.also is not None else [])
            denied = limiter.take(wanted)
            for bucket, scope in wanted:
                if bucket.shown:
                    headers |= limiter.headers(bucket, scope)
            if denied is not None:
                return self._limited(call, denied, headers)
            if (planned := self._traffic.refusal(route.method, request.path.removeprefix(PREFIX))) is not None:
                raise DiscordError(planned.status, planned.code, "Refused as planned")
            outcome = await route.handler(call)
        except DiscordError as error:
            if error.status in (401, 403):
                limiter.invalid()
            return self._send(call, error.body(), error.status, headers)
        except Exception:
            name = request_id(self._world.clock)
            log.exception("%s %s failed, reference %s", route.method, request.path, name)
            return self._send(call, {"message": f"500: Internal Server Error ({name})", "code": 0}, 500, headers)
        answer = outcome if isinstance(outcome, Answer) else Answer(outcome, 204 if outcome is None else 200)
        return self._send(call, answer.body, answer.status, headers)

    def _limited(self, call: Call, denied: ratelimits.Denied, headers: dict[str, str]) -> web.Response:
        retry = max(round(denied.retry_after, 3), 0.001)
        bucket = denied.bucket
        body: Json = {"message": "You are being rate limited.", "retry_after": retry, "global": bucket is None}
        if bucket is not None:
            body["message"] = bucket.message
            if bucket.code is not None:
                body["code"] = bucket.code
        headers |= {"Retry-After": str(int(retry) + 1), "X-RateLimit-Scope": "global" if bucket is None else "user"}
        if bucket is None:
            headers["X-RateLimit-Global"] = "true"
        self._world.limiter.invalid()
        log.info(
            "429 for %s %s: %s, retry after %.3f s", call.request.method, call.request.path, bucket.name if bucket else "global", retry
        )
        return self._send(call, body, 429, headers)

    def _send(self, call: Call, body: Any, status: int, headers: dict[str, str]) -> web.Response:
        path = call.request.path.removeprefix(PREFIX)
        self._traffic.record(Recorded(call.request.method, call.route.template, path, call.body, status))
        if body is None:
            return web.Response(status=status, headers=headers)
        return json_response(body, status, headers)

    def _authorise(self, call: Call) -> None:
        if not call.route.bot:
            return
        if call.request.headers.get("Authorization") != f"Bot {self._world.state.token}":
            raise errors.unauthorized()

    async def _read(self, call: Call) -> None:
        request = call.request
        call.reason = unquote(request.headers.get("X-Audit-Log-Reason", "")) or None
        if call.reason and len(call.reason) > limits.AUDIT_REASON:
            raise errors.invalid(("reason",), "BASE_TYPE_MAX_LENGTH", f"Must be {limits.AUDIT_REASON} or fewer in length.")
        for name, value in call.ids.items():
            if name.endswith("_id") and value != "@original" and not (value.isdigit() and len(value) <= 20):
                raise errors.invalid((name,), "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
        if not request.can_read_body:
            return
        if (request.content_length or 0) > limits.REQUEST_BYTES:
            raise too_large()
        try:
            if request.content_type == "multipart/form-data":
                await self._read_parts(call)
            elif request.content_type == "application/json":
                raw = await request.read()
                call.body = _decode(raw) if raw else None
            elif await request.read():
                raise errors.invalid(
                    ("_errors",),
                    "CONTENT_TYPE_INVALID",
                    "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}.",
                )
        except web.HTTPRequestEntityTooLarge:
            raise too_large() from None

    async def _read_parts(self, call: Call) -> None:
        fields: Json = {}
        total = 0
        try:
            async for part in await call.request.multipart():
                if not isinstance(part, BodyPartReader):
                    continue
                data = bytes(await part.read(decode=True))
                total += len(data)
                if total > limits.REQUEST_BYTES:
                    raise too_large()
                name = part.name or ""
                if name == "payload_json":
                    call.body = _decode(data)
                elif part.filename is not None:
                    number = re.fullmatch(r"files?\[?(\d*)\]?", name)
                    call.uploads.append(Upload(int(number[1]) if number and number[1] else len(call.uploads), part.filename, data))
                else:
                    fields[name] = data.decode(errors="replace")
        except ValueError as error:
            raise DiscordError(400, 50109, f"The multipart body cannot be read: {error}") from error
        if call.body is None:
            call.body = fields


def _decode(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise DiscordError(400, 50109, "The request body contains invalid JSON.") from None


def _scope(bucket: Bucket, ids: dict[str, str]) -> str:
    return "+".join(ids.get(name, "") for name in bucket.scope)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer with exactly `application/json`: discord.py compares the whole header."""
    return web.Response(body=orjson.dumps(body), status=status, headers={**(headers or {}), "Content-Type": "application/json"})


async def not_found(request: web.Request) -> web.StreamResponse:
    """What Discord answers for a path it does not know."""
    return json_response({"message": "404: Not Found", "code": 0}, 404)


def request_id(clock: Clock) -> str:
    """An id for a log line about an unexpected failure."""
    return f"{int(clock.now())}-{secrets.token_hex(4)}"
