"""The page's side: who there is, one WebSocket per person on screen, and the frames that keep it current.

Must never show a person what only another may see, and never wait for a slow browser: it is dropped and reconnects.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from sandbox import limits, objects
from sandbox.acts import Acts
from sandbox.errors import Json
from sandbox.hub import Frame
from sandbox.invocations import ActRefused
from sandbox.rest.router import json_response, request_id
from sandbox.state import TEXT_TYPES, Channel, Guild, User
from sandbox.tasks import Tasks
from sandbox.world import World

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Screen:
    """One socket that shows the community to one person."""

    user: User
    guild: Guild
    socket: web.WebSocketResponse
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(limits.FRAMES_QUEUED))
    lost: bool = False

    def put(self, frame: bytes) -> None:
        """Queues a frame; a browser that is too far behind is marked lost."""
        try:
            self.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.lost = True

    async def write(self) -> None:
        """Sends what is queued."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            while not self.lost:
                await self.socket.send_str((await self.queue.get()).decode())
            await self.socket.close(code=1013, message=b"too far behind, connect again")


class Pages:
    """All screens of one sandbox."""

    def __init__(self, world: World, acts: Acts, tasks: Tasks) -> None:
        self._world = world
        self._acts = acts
        self._tasks = tasks
        self._screens: set[Screen] = set()
        world.hub.to_page.append(self._show)

    # What a person sees

    def person(self, guild: Guild, user: User) -> Json:
        """A person as the page lists it; `color` is "#rrggbb" or null."""
        color = guild.member_color(user.id)
        member = guild.members[user.id]
        return {
            "id": user.id, "name": member.nick or user.name, "color": f"#{color:06x}" if color else None, "role_ids": list(member.roles),
            "is_owner": guild.owner_id == user.id, "blurb": user.blurb,
        }  # fmt: skip

    def people(self, guild: Guild) -> list[Json]:
        """The humans of a guild."""
        return [self.person(guild, member.user) for member in guild.members.values() if not member.user.bot]

    def _channels(self, screen: Screen) -> list[Channel]:
        guild = screen.guild
        places = [*guild.channels.values(), *guild.threads.values(), *self._world.state.dms.values()]
        return [place for place in places if self._world.state.can_see(screen.user.id, place)]

    def _commands(self, screen: Screen) -> list[Json]:
        return self._world.commands.visible(screen.guild.id, screen.guild.member_permissions(screen.user.id))

    def hello(self, screen: Screen) -> Json:
        """The first frame of a socket: everything a client needs to draw."""
        state, hub, guild = self._world.state, self._world.hub, screen.guild
        channels = self._channels(screen)
        return {
            "type": "hello",
            "person": self.person(guild, screen.user),
            "people": self.people(guild),
            "guild": {
                "id": guild.id, "name": guild.name, "icon_text": "".join(word[0] for word in guild.name.split())[:3].upper(),
                "owner_id": guild.owner_id, "roles": [
                    {"id": role.id, "name": role.name, "color": f"#{role.color:06x}" if role.color else None, "position": role.position}
                    for role in guild.roles.values()
                ],
            },
            "channels": [hub.shown_channel(channel) for channel in channels],
            "commands": self._commands(screen),
            "bot": {"id": state.bot.id, "name": state.bot.name, "online": self._world.gateway.online},
            "history": {
                channel.id: [objects.shown_message(state, hub.base_url, message) for message in channel.newest(limits.HELLO_MESSAGES)]
                for channel in channels if channel.type in TEXT_TYPES
            },
        }  # fmt: skip

    def _show(self, frame: Frame) -> None:
        expand: dict[str, Callable[[Screen], Json]] = {
            "commands": lambda screen: {"type": "commands", "commands": self._commands(screen)},
            "people": lambda screen: {"type": "people", "people": self.people(screen.guild)},
        }
        own = expand.get(frame.data["type"])
        packed = None if own is not None else orjson.dumps(frame.data)
        for screen in self._screens:
            if frame.only is not None and frame.only != screen.user.id:
                continue
            if frame.channel is not None and not self._world.state.can_see(screen.user.id, frame.channel):
                continue
            screen.put(packed if packed is not None else orjson.dumps(own(screen) if own is not None else frame.data))

    # HTTP

    async def list_people(self, request: web.Request) -> web.StreamResponse:
        """GET /sandbox/people: the people of every guild, to choose whom to be."""
        found = [{**person, "guild_id": guild.id} for guild in self._world.state.guilds.values() for person in self.people(guild)]
        return json_response({"people": found})

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """GET /sandbox/ws?person=ID: the live socket of one person."""
        key, wanted = request.query.get("person", ""), request.query.get("guild")
        user = self._world.state.users.get(key)
        guilds = [guild for guild in self._world.state.guilds.values() if key in guild.members and wanted in (None, guild.id)]
        if user is None or user.bot or not guilds:
            return json_response({"error": "There is no such person; GET /sandbox/people lists them."}, 404)
        socket = web.WebSocketResponse(heartbeat=30, max_msg_size=32 * 1024 * 1024)
        await socket.prepare(request)
        screen = Screen(user, guilds[0], socket)
        screen.put(orjson.dumps(self.hello(screen)))
        self._screens.add(screen)
        writer = self._tasks.start(screen.write(), f"page of {user.name}")
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._tasks.start(self._perform(screen, message.data), "page operation")
        finally:
            self._screens.discard(screen)
            writer.cancel()
        return socket

    async def _perform(self, screen: Screen, text: str) -> None:
        nonce: Any = None
        try:
            operation = orjson.loads(text)
            if not isinstance(operation, dict):
                raise ActRefused("A frame is a JSON object with op and nonce.")
            nonce = operation.get("nonce")
            answer: Json = {"ok": True, "data": await self._acts.perform(screen.user, operation)}
        except ActRefused as refusal:
            answer = {"ok": False, "error": str(refusal)}
        except orjson.JSONDecodeError as error:
            answer = {"ok": False, "error": f"That is not JSON: {error}."}
        except Exception:
            name = request_id(self._world.clock)
            log.exception("operation of %s failed, reference %s", screen.user.name, name)
            answer = {"ok": False, "error": f"The sandbox failed at this; its log has it under {name}."}
        screen.put(orjson.dumps({"type": "result", "nonce": nonce, **answer}))

    async def close(self) -> None:
        """Closes every socket."""
        for screen in list(self._screens):
            with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
                async with asyncio.timeout(2):
                    await screen.socket.close(code=1001, message=b"the sandbox is closing")
