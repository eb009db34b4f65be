"""The bot's gateway: HELLO, IDENTIFY, READY, heartbeats, RESUME with replay, chunks, close codes, zlib-stream.

A session outlives its connection and keeps what was missed. Events are filtered by intents and by Discord's rule about
message content. Must never change the state and never wait for a slow reader: one that is too far behind is dropped and
may resume.
"""

import asyncio
import contextlib
import logging
import secrets
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from sandbox import hub, limits, objects
from sandbox.clock import Clock
from sandbox.errors import Json
from sandbox.hub import Event, Hub
from sandbox.state import Message, State
from sandbox.tasks import Tasks

log = logging.getLogger(__name__)

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, VOICE_STATE, RESUME, RECONNECT, REQUEST_MEMBERS, INVALID, HELLO, ACK = (
    0,
    1,
    2,
    3,
    4,
    6,
    7,
    8,
    9,
    10,
    11,
)
REQUEST_SOUNDBOARD = 31
ACK_SECONDS = 0.02
"""Round trip of a heartbeat, about what the nearest of Discord's gateways takes."""
KNOWN_INTENTS = (1 << 26) - 1
PRIVILEGED = {"members": hub.MEMBERS, "presences": hub.PRESENCES, "message_content": hub.MESSAGE_CONTENT}
CLOSE_REASONS = {
    4000: "Unknown error.", 4001: "Unknown opcode.", 4002: "Error while decoding payload.", 4003: "Not authenticated.",
    4004: "Authentication failed.", 4005: "Already authenticated.", 4007: "Invalid seq.", 4008: "Rate limited.", 4009: "Session timed out.",
    4010: "Invalid shard.", 4011: "Sharding required.", 4012: "Invalid API version.",
    4013: "Invalid intent(s).", 4014: "Disallowed intent(s).",
}  # fmt: skip


class Refused(Exception):
    """The connection must be closed with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(eq=False)
class Connection:
    """One socket and its writer's queue."""

    socket: web.WebSocketResponse
    compressor: Any
    transport: asyncio.Transport | None
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(limits.FRAMES_QUEUED))
    session: "Session | None" = None
    sends: deque[float] = field(default_factory=deque)

    def put(self, payload: bytes) -> bool:
        """Queues a payload; False when the reader is hopelessly behind."""
        try:
            self.queue.put_nowait(payload)
        except asyncio.QueueFull:
            return False
        return True

    async def write(self) -> None:
        """Sends what is queued, compressed with this connection's one context when the client asked for it."""
        while True:
            payload = await self.queue.get()
            if self.compressor is None:
                await self.socket.send_str(payload.decode())
            else:
                await self.socket.send_bytes(self.compressor.compress(payload) + self.compressor.flush(zlib.Z_SYNC_FLUSH))


@dataclass(eq=False)
class Session:
    """An identified session: its sequence and the events it may have to replay."""

    id: str
    intents: int
    shard: tuple[int, int]
    connection: Connection | None = None
    sequence: int = 0
    events: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=limits.REPLAY_EVENTS))
    left_at: float = 0.0

    def dispatch(self, name: str, data: Json | orjson.Fragment) -> None:
        """Numbers an event, keeps it for replay and sends it when connected."""
        self.sequence += 1
        payload = orjson.dumps({"t": name, "s": self.sequence, "op": DISPATCH, "d": data})
        self.events.append((self.sequence, payload))
        if self.connection is not None and not self.connection.put(payload):
            log.warning("session %s does not read; its connection is dropped", self.id)
            abort(self.connection)

    def serves(self, guild_id: str | None) -> bool:
        """Whether this shard gets a guild's events; direct messages go to shard 0."""
        index, count = self.shard
        return (int(guild_id) >> 22) % count == index if guild_id is not None else index == 0


def abort(connection: Connection) -> None:
    """Cuts the connection without a closing handshake, as a lost network does."""
    if connection.transport is not None:
        connection.transport.abort()


class Gateway:
    """All sessions of the bot."""

    def __init__(self, clock: Clock, state: State, events: Hub, tasks: Tasks, *, pace_identify: bool) -> None:
        self._clock = clock
        self._state = state
        self._hub = events
        self._tasks = tasks
        self._pace_identify = pace_identify
        self._sessions: dict[str, Session] = {}
        self._identified_at = -limits.IDENTIFY_SPACING_SECONDS
        self._identifies: deque[float] = deque()
        self._twice = 0
        self.connections: set[Connection] = set()
        self._online = False
        events.to_bot.append(self.dispatch)

    @property
    def online(self) -> bool:
        """Whether the bot is connected and identified."""
        return any(session.connection is not None for session in self._sessions.values())

    @property
    def identifies_left(self) -> int:
        """What is left of the 1000 IDENTIFYs of a day."""
        now = self._clock.now()
        while self._identifies and now - self._identifies[0] > 24 * 3600:
            self._identifies.popleft()
        return limits.IDENTIFIES_PER_DAY - len(self._identifies)

    def deliver_twice(self, count: int) -> None:
        """The next `count` events reach every session twice."""
        self._twice += count

    def drop(self, *, resumable: bool) -> None:
        """Cuts every connection; without `resumable` the sessions are forgotten, so that RESUME is refused."""
        connections = list(self.connections)
        if not resumable:
            self._sessions.clear()
        for connection in connections:
            abort(connection)

    def ask_to_reconnect(self) -> None:
        """Sends op 7 to every connection."""
        for connection in self.connections:
            connection.put(orjson.dumps({"op": RECONNECT, "d": None}))

    def dispatch(self, event: Event) -> None:
        """Sends an event to each session that may have it."""
        times = 1
        if self._twice:
            self._twice -= 1
            times = 2
        whole: orjson.Fragment | None = None
        hidden: orjson.Fragment | None = None
        for session in self._sessions.values():
            if session.intents & event.intent != event.intent or not session.serves(event.guild_id):
                continue
            if event.message is not None and self._hides_content(session, event.message, event.guild_id):
                hidden = hidden or orjson.Fragment(orjson.dumps(without_content(event.data)))
                body = hidden
            else:
                body = whole = whole or orjson.Fragment(orjson.dumps(event.data))
            for _ in range(times):
                session.dispatch(event.name, body)

    def _hides_content(self, session: Session, message: Message, guild_id: str | None) -> bool:
        return not session.intents & hub.MESSAGE_CONTENT and not content_is_open(self._state, message, guild_id)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answers one gateway connection until it ends."""
        socket = web.WebSocketResponse(max_msg_size=1 << 20, compress=False)
        await socket.prepare(request)
        compress = zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None
        transport = request.transport
        connection = Connection(socket, compress, transport if isinstance(transport, asyncio.Transport) else None)
        self.connections.add(connection)
        writer = self._tasks.start(self._guard_writer(connection), "gateway writer")
        try:
            if request.query.get("v", "10") not in ("9", "10") or request.query.get("encoding", "json") != "json":
                raise Refused(4012)
            connection.put(
                orjson.dumps({"op": HELLO, "s": None, "t": None, "d": {"heartbeat_interval": limits.HEARTBEAT_INTERVAL_MS, "_trace": []}})
            )
            await self._read(connection)
        except Refused as refusal:
            await self._flush(connection)
            await socket.close(code=refusal.code, message=CLOSE_REASONS[refusal.code].encode())
        finally:
            self.connections.discard(connection)
            writer.cancel()
            self._left(connection)
        return socket

    @staticmethod
    async def _guard_writer(connection: Connection) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            await connection.write()

    @staticmethod
    async def _flush(connection: Connection) -> None:
        for _ in range(20):
            if connection.queue.empty():
                return
            await asyncio.sleep(0.01)

    async def _read(self, connection: Connection) -> None:
        patience = limits.HEARTBEAT_INTERVAL_MS / 1000 * 1.5
        while True:
            try:
                message = await connection.socket.receive(timeout=patience)
            except TimeoutError:
                raise Refused(4009 if connection.session is None else 4000) from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            now = self._clock.monotonic()
            connection.sends.append(now)
            while now - connection.sends[0] > limits.GATEWAY_SENDS_SECONDS:
                connection.sends.popleft()
            if len(connection.sends) > limits.GATEWAY_SENDS:
                raise Refused(4008)
            if len(message.data) > limits.GATEWAY_PAYLOAD_BYTES:
                raise Refused(4002)
            try:
                payload = orjson.loads(message.data)
                op, data = payload["op"], payload.get("d")
            except (ValueError, TypeError, KeyError):
                raise Refused(4002) from None
            await self._receive(connection, op, data)

    async def _receive(self, connection: Connection, op: Any, data: Any) -> None:
        if op == HEARTBEAT:
            # discord.py notes its send only after the send returned: an answer faster than any network would count from the beat before it
            asyncio.get_running_loop().call_later(ACK_SECONDS, connection.put, orjson.dumps({"op": ACK, "d": None}))
        elif op == IDENTIFY:
            await self._identify(connection, data)
        elif op == RESUME:
            await self._resume(connection, data)
        elif op not in (PRESENCE, VOICE_STATE, REQUEST_MEMBERS, REQUEST_SOUNDBOARD):
            raise Refused(4001)
        elif connection.session is None:
            raise Refused(4003)
        elif op == REQUEST_MEMBERS:
            self._chunks(connection.session, data)

    async def _identify(self, connection: Connection, data: Any) -> None:
        if connection.session is not None:
            raise Refused(4005)
        if not isinstance(data, dict):
            raise Refused(4002)
        if _bare(data.get("token")) != self._state.token:
            raise Refused(4004)
        intents = data.get("intents")
        if not isinstance(intents, int) or intents < 0 or intents & ~KNOWN_INTENTS:
            raise Refused(4013)
        if any(intents & bit and name not in self._state.privileged_intents for name, bit in PRIVILEGED.items()):
            raise Refused(4014)
        shard = data.get("shard") or [0, 1]
        if not (isinstance(shard, list) and len(shard) == 2 and all(isinstance(one, int) for one in shard) and 0 <= shard[0] < shard[1]):
            raise Refused(4010)
        if self.identifies_left <= 0:
            raise Refused(4004)  # Discord resets the token of a bot that identifies more often
        if not self._may_identify():
            await asyncio.sleep(1.0)
            connection.put(orjson.dumps({"op": INVALID, "d": False}))
            return
        self._identifies.append(self._clock.now())
        session = Session(secrets.token_hex(16), intents, (shard[0], shard[1]), connection)
        self._sessions[session.id] = session
        connection.session = session
        self._ready(session)
        self._show_presence()

    def _may_identify(self) -> bool:
        now = self._clock.monotonic()
        if self._pace_identify and now - self._identified_at < limits.IDENTIFY_SPACING_SECONDS:
            return False
        self._identified_at = now
        return True

    def _ready(self, session: Session) -> None:
        guilds = [guild for guild in self._state.guilds.values() if session.serves(guild.id)]
        session.dispatch("READY", {
            "v": 10, "user": objects.own_user(self._state), "session_id": session.id, "shard": list(session.shard),
            "session_type": "normal",
            "resume_gateway_url": self._hub.base_url.replace("http", "ws", 1) + "/gateway", "private_channels": [], "relationships": [],
            "guilds": [{"id": guild.id, "unavailable": True} for guild in guilds], "user_settings": {}, "presences": [],
            "application": {"id": self._state.application_id, "flags": application_flags(self._state)}, "_trace": [],
        })  # fmt: skip
        if session.intents & hub.GUILDS:
            for guild in guilds:
                session.dispatch("GUILD_CREATE", objects.guild(self._state, guild, all_members=bool(session.intents & hub.MEMBERS)))

    async def _resume(self, connection: Connection, data: Any) -> None:
        if connection.session is not None:
            raise Refused(4005)
        if not isinstance(data, dict):
            raise Refused(4002)
        if _bare(data.get("token")) != self._state.token:
            raise Refused(4004)
        session = self._sessions.get(str(data.get("session_id")))
        if session is not None and session.connection is None and self._clock.monotonic() - session.left_at > limits.RESUME_SECONDS:
            del self._sessions[session.id]
            session = None
        sequence = data.get("seq")
        if session is not None and (not isinstance(sequence, int) or sequence > session.sequence):
            raise Refused(4007)
        oldest = session.events[0][0] if session is not None and session.events else 1
        if session is None or not isinstance(sequence, int) or sequence < oldest - 1:
            connection.put(orjson.dumps({"op": INVALID, "d": False}))
            return
        if session.connection is not None:
            abort(session.connection)
            session.connection.session = None
        missed = [payload for number, payload in session.events if number > sequence]
        session.connection, connection.session = connection, session
        for payload in missed:
            connection.put(payload)
        session.dispatch("RESUMED", {"_trace": []})
        self._show_presence()

    def _chunks(self, session: Session, data: Any) -> None:
        if not isinstance(data, dict):
            raise Refused(4002)
        guild = self._state.guilds.get(str(data.get("guild_id")))
        if guild is None:
            return
        found = list(guild.members.values())
        missing: list[str] = []
        wanted = data.get("user_ids")
        if wanted:
            ids = [str(one) for one in (wanted if isinstance(wanted, list) else [wanted])][: limits.REQUEST_MEMBERS_LIMIT]
            found = [guild.members[one] for one in ids if one in guild.members]
            missing = [one for one in ids if one not in guild.members]
        else:
            query = str(data.get("query") or "").lower()
            limit = data.get("limit") if isinstance(data.get("limit"), int) else 0
            if not query and not limit and not session.intents & hub.MEMBERS:
                found = [member for member in found if member.user.bot]
            found = [member for member in found if (member.nick or member.user.name).lower().startswith(query)]
            found = found[: min(limit, limits.REQUEST_MEMBERS_LIMIT)] if limit else found
        parts = [found[start : start + limits.CHUNK_MEMBERS] for start in range(0, len(found), limits.CHUNK_MEMBERS)] or [[]]
        for index, part in enumerate(parts):
            chunk: Json = {
                "guild_id": guild.id, "members": [objects.member(member) for member in part], "chunk_index": index,
                "chunk_count": len(parts),
                "not_found": missing, "presences": [],
            }  # fmt: skip
            if isinstance(data.get("nonce"), str):
                chunk["nonce"] = data["nonce"]
            session.dispatch("GUILD_MEMBERS_CHUNK", chunk)

    def _left(self, connection: Connection) -> None:
        session = connection.session
        if session is None or session.connection is not connection:
            return
        session.connection = None
        session.left_at = self._clock.monotonic()
        if connection.socket.close_code in (1000, 1001):  # the client said goodbye: the session ends
            self._sessions.pop(session.id, None)
        for old in [one for one in self._sessions.values() if one.connection is None]:
            if self._clock.monotonic() - old.left_at > limits.RESUME_SECONDS:
                del self._sessions[old.id]
        self._show_presence()

    def _show_presence(self) -> None:
        if self._online != self.online:
            self._online = self.online
            self._hub.presence(self._online)

    async def close(self) -> None:
        """Tells every client to come back later and closes."""
        for connection in list(self.connections):
            with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
                async with asyncio.timeout(2):
                    await connection.socket.close(code=1001, message=b"the sandbox is closing")


def _bare(token: object) -> str:
    return str(token).removeprefix("Bot ")


def application_flags(state: State) -> int:
    """The application's public flags: which privileged intents are on (the limited kinds, as for small bots)."""
    bits = {"presences": 1 << 13, "members": 1 << 15, "message_content": 1 << 19}
    return sum(bits[name] for name in state.privileged_intents)


def content_is_open(state: State, message: Message, guild_id: str | None) -> bool:
    """Whether a bot without the message content intent sees a message's content.

    Its own messages, direct messages, messages that name it, and replies with ping to a regular message of it; replies to
    interaction responses do not count.
    """
    bot = state.bot.id
    if guild_id is None or message.author.id == bot or message.application_id == state.application_id:
        return True
    if f"<@{bot}>" in message.content or f"<@!{bot}>" in message.content:
        return True
    if bot not in message.mentions or message.reference is None:
        return False
    answered = state.message(message.reference["channel_id"], message.reference["message_id"])
    return answered is not None and answered.author.id == bot and answered.interaction is None and answered.webhook_id is None


def without_content(data: Json) -> Json:
    """A message object as a bot without the intent gets it."""
    hidden = {**data, "content": "", "embeds": [], "attachments": [], "components": []}
    hidden.pop("poll", None)
    return hidden
