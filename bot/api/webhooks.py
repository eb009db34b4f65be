"""POST /webhooks/{token}: alerts of monitoring systems. Answered 202 once they are committed, never before.

A wrong token gets the same 404 as a removed one, and 429 when its household keeps guessing; right tokens are never held up by that. Must
never write a token or a body into a log.
"""

import asyncio
import math

from aiohttp import web
from pydantic import BaseModel

from bot.api.errors import rendered
from core.addresses import household
from core.clock import Clock
from core.errors import BadRequest, Forbidden, Invalid, LimitReached, NotFound, TooLarge
from core.models.alert import AlertSource
from core.protocol.alerts import MOST_BYTES, AlertBatch, parse
from core.services.alert_sources import AlertSources
from core.services.alerts import Alerts

SIGNATURE = "X-Aerie-Signature"
BODY_SECONDS = 10.0
"""How long a body may take to arrive."""
SOURCE_BURST, SOURCE_PER_SECOND = 2_000, 20.0
"""Requests one source may send at once, and after that per second."""
GUESS_BURST, GUESS_PER_SECOND = 20, 1 / 30
"""Wrong tokens one household may send at once, and after that per second."""
MOST_BUCKETS = 10_000


class Answer(BaseModel):
    """What a sender is told."""

    sender: str
    accepted: int
    left_out: int


class Buckets:
    """A bucket of `burst` tokens per key, filled at `per_second`. Forgets the fullest when there are too many keys."""

    def __init__(self, clock: Clock, burst: int, per_second: float) -> None:
        self._clock = clock
        self._burst = burst
        self._per_second = per_second
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> int:
        """Take one; answers 0, or the whole seconds until there is one again."""
        left, now = self._now(key), self._clock.monotonic()
        if len(self._left) >= MOST_BUCKETS and key not in self._left:
            self._forget_full()
        if left < 1:
            return max(1, math.ceil((1 - left) / self._per_second))
        self._left[key] = (left - 1, now)
        return 0

    def _now(self, key: str) -> float:
        left, then = self._left.get(key, (float(self._burst), self._clock.monotonic()))
        return min(float(self._burst), left + (self._clock.monotonic() - then) * self._per_second)

    def _forget_full(self) -> None:
        kept = {key: value for key, value in self._left.items() if self._now(key) < self._burst}
        self._left = kept if len(kept) < MOST_BUCKETS else {}


class Webhooks:
    def __init__(self, sources: AlertSources, alerts: Alerts, clock: Clock) -> None:
        self._sources = sources
        self._alerts = alerts
        self._requests = Buckets(clock, SOURCE_BURST, SOURCE_PER_SECOND)
        self._guesses = Buckets(clock, GUESS_BURST, GUESS_PER_SECOND)

    async def receive(self, request: web.Request) -> web.Response:
        try:
            source = await self._sources.by_token(request.match_info["token"])
        except NotFound:
            if wait := self._guesses.take(household(request.remote or "")):
                return self._later(wait, "Too many wrong webhook addresses came from here.")
            raise
        if wait := self._requests.take(str(source.id)):
            return self._later(wait, "This source sends more than it may.")
        body = await self._body(request)
        batch = self._read(request, source, body)
        received = await self._alerts.receive(source, batch)
        answer = Answer(sender=batch.sender.value, accepted=received.accepted, left_out=received.left_out)
        return web.Response(status=202, text=answer.model_dump_json(), content_type="application/json")

    def _read(self, request: web.Request, source: AlertSource, body: bytes) -> AlertBatch:
        if not self._sources.signed_well(source, body, request.headers.get(SIGNATURE, "")):
            raise Forbidden(f"The header {SIGNATURE} does not fit the body.", hint="It must be sha256= and the body's HMAC in hex.")
        if request.content_type.startswith("multipart/"):
            raise Invalid("Content-Type: forms are not understood.", hint="Set the sender to application/json.")
        return parse(body)

    @staticmethod
    async def _body(request: web.Request) -> bytes:
        """The body, read no further than it may be long."""
        if (request.content_length or 0) > MOST_BYTES:
            raise _too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise _too_large()
        except TimeoutError:
            raise BadRequest(f"The body did not arrive within {BODY_SECONDS:.0f} s.", hint="Send it again.") from None
        return bytes(body)

    @staticmethod
    def _later(seconds: int, words: str) -> web.Response:
        response = rendered(LimitReached(words, hint=f"Try again in {seconds} s."))
        response.headers["Retry-After"] = str(seconds)
        return response


def _too_large() -> TooLarge:
    return TooLarge(f"The body is too large; at most {MOST_BYTES // 1024} KiB are taken.", hint="Send fewer alerts at once.")
