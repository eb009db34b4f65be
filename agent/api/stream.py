"""`GET /api/aerie/stream`: one socket for all that happens on the node; asked for by a control plane that holds its token.

Each server has a bounded backlog of its own, and they take turns: one that floods loses its own oldest lines, exactly counted, and holds up
nobody. What is ready at one moment goes out in one message. Must never act on a server.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from agent.api.channel import Channel, told
from agent.api.errors import answer
from agent.api.frames import frame
from agent.api.keys import CLOCK, CREDENTIALS, MANAGER
from agent.api.peer import Peer
from agent.server.reading import Reading
from core.errors import NotFound
from core.protocol.socket import ConsolePlace
from core.protocol.stream import Ask, Topic
from core.supervise import Supervisor

log = logging.getLogger(__name__)

MOST_STREAMS = 8
"""Of one node: one for each process of a control plane that listens, and room for those that are just ending."""
LARGEST_ASK = 1024 * 1024
"""Bytes: a thousand servers and more at once."""
MESSAGE_BYTES = 256 * 1024
"""After which a message is full; the last server's turn may make it longer."""
GATHER_SECONDS = 0.004
"""After a message, let more come together."""
ARRIVALS_SECONDS = 1.0
"""Between two looks for servers that were asked for and are not there yet."""
STREAMS = web.AppKey("streams", set["Stream"])


async def connect(request: web.Request) -> web.StreamResponse:
    """The bearer of the node's token alone comes here."""
    streams = request.app[STREAMS]
    if len(streams) >= MOST_STREAMS:
        return answer(429, "Too many streams are open.", hint="Close one; a control plane needs one for each of its processes.")
    stream = Stream(request)
    streams.add(stream)
    try:
        await stream.run()
    finally:
        streams.discard(stream)
    return stream.peer.response


@dataclass(slots=True)
class _Wish:
    """What is to be heard of one server."""

    topics: set[Topic]
    place: ConsolePlace


class Stream:
    """One control plane's ear."""

    def __init__(self, request: web.Request) -> None:
        self._manager = request.app[MANAGER]
        self._credentials = request.app[CREDENTIALS]
        self._clock = request.app[CLOCK]
        self._secret = self._credentials.secret
        self.peer = Peer(request, LARGEST_ASK)
        self._wishes: dict[str, _Wish] = {}
        self._channels: dict[str, Channel] = {}
        self._ready: dict[str, Channel] = {}
        """Those that have something to say, in the order of their turns."""
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Serve until the peer leaves."""
        await self.peer.open()
        async with Supervisor("stream", self._clock) as tasks:
            self._tasks = tasks
            tasks.spawn("speak", self._speak())
            tasks.spawn("arrivals", self._await_arrivals())
            try:
                async for message in self.peer.response:
                    with suppress(ConnectionError):
                        await self._receive(message.data if message.type is WSMsgType.TEXT else "")
            finally:
                for channel in self._channels.values():
                    channel.close()

    # What is asked

    async def _receive(self, text: str) -> None:
        try:
            ask = Ask.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            await self._send([told("", "error", f"This cannot be read: {'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}.")])
            return
        topics = set(ask.topics or Topic)
        for uuid, place in ask.servers.items():
            if ask.event == "watch":
                wish = self._wishes.setdefault(uuid, _Wish(set(), place))
                wish.topics |= topics
                wish.place = place
                self._tune(uuid, fresh=topics)
            elif (known := self._wishes.get(uuid)) is not None:
                known.topics -= topics
                self._tune(uuid, fresh=set())

    def _tune(self, uuid: str, fresh: set[Topic]) -> None:
        """Listen to one server as is wished now; `fresh` topics begin anew."""
        wish = self._wishes[uuid]
        channel = self._channels.get(uuid)
        if not wish.topics:
            del self._wishes[uuid]
            self._end(uuid)
            return
        if channel is None:
            try:
                server = self._manager.get(uuid)
            except NotFound:
                return  # it may come
            channel = self._channels[uuid] = Channel(server, self._manager.history, self._clock, self._mark)
            fresh = wish.topics
        channel.topics = set(wish.topics)
        channel.greet(fresh)
        if Topic.CONSOLE not in wish.topics:
            channel.close_console()
        elif Topic.CONSOLE in fresh:
            resumed, reading = channel.open_console(wish.place)
            self._tasks.spawn("console", self._make_up(channel, resumed, reading))
        self._mark(channel)

    async def _make_up(self, channel: Channel, resumed: bytes, reading: Reading) -> None:
        """Tell what a console's reader missed; what comes meanwhile waits in the channel."""
        with suppress(ConnectionError):
            await self._send([resumed])
            async for part in channel.missed(reading):
                await self._send([part])

    def _end(self, uuid: str) -> None:
        if (channel := self._channels.pop(uuid, None)) is not None:
            channel.close()
        self._ready.pop(uuid, None)

    async def _await_arrivals(self) -> None:
        """Servers that were asked for before they were there, or that were made anew."""
        while True:
            await self._clock.sleep(ARRIVALS_SECONDS)
            for uuid in self._wishes.keys() - self._channels.keys():
                self._tune(uuid, fresh=set())

    # What is told

    def _mark(self, channel: Channel) -> None:
        self._ready[channel.server.uuid] = channel
        self._wake.set()

    async def _speak(self) -> None:
        with suppress(ConnectionError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._ready:
                    await self._send(self._round())
                    await self._clock.sleep(GATHER_SECONDS)

    def _round(self) -> list[bytes]:
        """What those whose turn it is have to say; who has more comes behind all others."""
        parts: list[bytes] = []
        size = 0
        for uuid, channel in list(self._ready.items()):
            del self._ready[uuid]
            for part in channel.take():
                parts.append(part)
                size += len(part)
            if channel.ended:
                self._end(uuid)
            elif channel.has_more:
                self._ready[uuid] = channel
            if size >= MESSAGE_BYTES:
                break
        return parts

    async def _send(self, parts: Sequence[bytes]) -> None:
        if not parts:
            return
        if self._credentials.secret != self._secret:
            await self.peer.close(1008, "the node's token was renewed")
            raise ConnectionResetError("the node's token was renewed")
        await self.peer.write(frame(b"[" + b",".join(parts) + b"]"))

