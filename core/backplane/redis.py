"""The backplane of several processes, on Redis. One connection listens for all topics; when it breaks it is made again."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from core.clock import Clock
from core.errors import NotConfigured, ServiceDown
from core.fanout import Fanout, Listener
from core.supervise import Supervisor

log = logging.getLogger(__name__)

_PREFIX = "aerie:"
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
_COUNT = "local n = redis.call('incr', KEYS[1]) if n == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end return n"


class RedisBackplane:
    """Redis is asked with short limits: a call that cannot be answered within 5 s raises NotConfigured, it never hangs a command."""

    def __init__(self, url: str, clock: Clock) -> None:
        try:
            self._redis: Redis = Redis.from_url(
                url, socket_connect_timeout=3, socket_timeout=5, health_check_interval=30, retry_on_timeout=False
            )
        except ValueError as error:
            raise NotConfigured(
                f"The setting backplane.url is not an address of Redis: {error}.", hint="Use redis://host:6379/0."
            ) from None
        self._tasks = Supervisor("backplane", clock, first_delay=0.2, longest_delay=5.0)
        self._topics: dict[str, Fanout[bytes]] = {}
        self._fence = f"fence:{secrets.token_hex(8)}"
        self._passed: dict[bytes, asyncio.Event] = {}
        self._reader: asyncio.Task[None] | None = None

    async def publish(self, topic: str, body: bytes) -> None:
        try:
            await self._redis.publish(_PREFIX + topic, body)
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[Listener[bytes]]:
        """A topic once asked for stays asked for; there are few. What was under way before the block is entered is not heard in it."""
        fanout = self._topics.setdefault(topic, Fanout())
        if self._reader is None:
            self._topics.setdefault(self._fence, Fanout())
            self._reader = self._tasks.run("listen", self._listen)
        try:
            async with asyncio.timeout(10):
                await self._pass_fence(topic)
        except TimeoutError as error:
            raise _unreachable(error) from error
        with fanout.listen(capacity=10_000) as listener:
            yield listener

    async def _pass_fence(self, topic: str) -> None:
        """Wait until the one connection that listens has asked for the topic and has read all that was published before."""
        mark = f"{topic}:{secrets.token_hex(8)}".encode()
        passed = self._passed[mark] = asyncio.Event()
        try:
            while not passed.is_set():
                await self.publish(self._fence, mark)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await passed.wait()
        finally:
            del self._passed[mark]

    async def _listen(self) -> None:
        """Read messages of every topic. After a break the supervisor starts this again, and every topic is asked for again."""
        pubsub = self._redis.pubsub()
        asked: set[str] = set()
        confirmed: set[str] = set()
        try:
            while True:
                if fresh := self._topics.keys() - asked:
                    await pubsub.subscribe(*(_PREFIX + topic for topic in fresh))
                    asked |= fresh
                await self._read(pubsub, confirmed)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _read(self, pubsub: PubSub, confirmed: set[str]) -> None:
        message = await pubsub.get_message(timeout=0.1)
        while message is not None:
            topic = message["channel"].decode().removeprefix(_PREFIX)
            if message["type"] == "subscribe":
                confirmed.add(topic)
            elif message["type"] == "message" and topic == self._fence:
                passed = self._passed.get(message["data"])
                if passed is not None and message["data"].decode().rpartition(":")[0] in confirmed:
                    passed.set()
            elif message["type"] == "message":
                self._topics[topic].publish(message["data"])
            message = await pubsub.get_message(timeout=0)

    @asynccontextmanager
    async def lock(self, name: str, ttl: float) -> AsyncIterator[bool]:
        key, mine = f"{_PREFIX}lock:{name}", secrets.token_hex(8)
        try:
            held = bool(await self._redis.set(key, mine, nx=True, px=max(1, int(ttl * 1000))))
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error
        try:
            yield held
        finally:
            if held:
                try:
                    await self._evaluate(_RELEASE, key, mine)
                except (RedisError, OSError):
                    log.warning("the lock %s could not be given back; it ends by itself within %.0f s", name, ttl)

    async def increment(self, name: str, ttl: float) -> int:
        try:
            return int(await self._evaluate(_COUNT, f"{_PREFIX}count:{name}", str(max(1, int(ttl * 1000)))))
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error

    async def count(self, name: str) -> int:
        try:
            return int(await self._redis.get(f"{_PREFIX}count:{name}") or 0)
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error

    async def _evaluate(self, script: str, key: str, argument: str) -> Any:
        return await self._redis.execute_command("EVAL", script, 1, key, argument)  # type: ignore[no-untyped-call]

    async def ping(self) -> None:
        try:
            await self._redis.execute_command("PING")  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error

    async def close(self) -> None:
        await self._tasks.close()
        for topic in list(self._topics.values()):
            topic.close()
        await self._redis.aclose()

    async def __aenter__(self) -> Self:
        await self.ping()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _unreachable(error: BaseException) -> NotConfigured:
    """ServiceDown, unless Redis is there and does not like our settings. The driver names host and port, never the password."""
    words = f"Redis does not answer: {str(error).rstrip('.') or 'no answer in time'}."
    if isinstance(error, (AuthenticationError, ResponseError)) and not isinstance(error, BusyLoadingError):
        return NotConfigured(words, hint="Correct backplane.url: its user, password and number of the database.")
    return ServiceDown(words, hint="See that it runs and that backplane.url names its host and port.")
