"""A scripted node that answers a bot over real HTTP and WebSocket, as our agent does or (`ours=False`) as stock Wings does.

Its servers are scripts: what a signal leads to, and how long it takes. It can be down, hang, or refuse.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

from core.protocol.agent import SIGNAL_HEADER
from core.tokens import NodeToken, new_signal_id, read_socket_token


@dataclass
class FakeServer:
    """One scripted server. `fails` is the reason its next start fails with."""

    state: str = "offline"
    fails: str = ""
    step: float = 0.15
    lines: list[str] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    installing: bool = False
    """What its description says of that."""
    installs: list[str] = field(default_factory=list)
    """`install` and `reinstall`, as they were asked for."""
    script: asyncio.Task[None] | None = None
    signal: tuple[str, str] = ("", "")
    up_since: datetime | None = None
    """When its process began, by the node's `now`; None: long ago."""
    loses: str = ""
    """What the next power call loses: `answer` (it is carried out), `signal` (it is not). Either way the connection breaks."""


class FakeNode:
    """A node and its servers by uuid."""

    def __init__(self, token: NodeToken, *, ours: bool = True) -> None:
        self.token = token
        self.ours = ours
        self.port = 0
        self.servers: dict[str, FakeServer] = {}
        self.updates: list[dict[str, Any]] = []
        """Configurations it was handed; stock Wings applies them, ours do not."""
        self.created: list[dict[str, Any]] = []
        """Bodies of each order to make a server."""
        self.farewells: list[tuple[str, list[str]]] = []
        """Users and servers of each `deauthorize-user`; stock Wings before 1.12 has none and is told in `denied`."""
        self.denied: list[tuple[str, list[str]]] = []
        self.memory = 8_000_000_000
        self.hang = asyncio.Event()
        self.hang.set()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.backups: list[tuple[str, str, dict[str, Any]]] = []
        self.backup_status = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application(middlewares=[self._door])
        app.router.add_get("/api/system", self._system)
        app.router.add_post("/api/update", self._update)
        app.router.add_get("/api/servers", self._all)
        app.router.add_post("/api/servers", self._create)
        app.router.add_get("/api/servers/{uuid}", self._one)
        app.router.add_delete("/api/servers/{uuid}", self._delete)
        app.router.add_get("/api/servers/{uuid}/logs", self._logs)
        app.router.add_post("/api/servers/{uuid}/sync", self._sync)
        app.router.add_post("/api/servers/{uuid}/install", self._install)
        app.router.add_post("/api/servers/{uuid}/reinstall", self._install)
        app.router.add_post("/api/servers/{uuid}/power", self._power)
        app.router.add_post("/api/servers/{uuid}/commands", self._commands)
        app.router.add_post("/api/servers/{uuid}/backup", self._backup)
        app.router.add_post("/api/servers/{uuid}/backup/{backup}/restore", self._backup)
        app.router.add_delete("/api/servers/{uuid}/backup/{backup}", self._backup)
        app.router.add_get("/api/servers/{uuid}/ws", self._socket)
        app.router.add_post("/api/servers/{uuid}/ws/deny", self._deny)
        if self.ours:
            app.router.add_post("/api/deauthorize-user", self._deauthorize)
            app.router.add_get("/api/aerie/servers/{uuid}/console", self._history)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        assert self._runner.addresses
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Stop listening and hang up; the servers go on."""
        for server in self.servers.values():
            for socket in server.sockets.copy():
                await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def close(self) -> None:
        for server in self.servers.values():
            if server.script is not None:
                server.script.cancel()
        await self.down()

    async def become(self, uuid: str, state: str) -> FakeServer:
        """A server that is in this state, whatever it was."""
        server = self.servers.setdefault(uuid, FakeServer())
        await self._turn(server, state, "")
        return server

    async def say(self, uuid: str, line: str) -> None:
        """A console line."""
        server = self.servers[uuid]
        server.lines.append(line)
        body = {"first_seq": len(server.lines) - 1, "lines": [line], "dropped": 0}
        await self._send(server, "aerie.console" if self.ours else "console output", json.dumps(body) if self.ours else line)

    async def send(self, server: FakeServer, event: str, *args: str) -> None:
        """Any frame, to all who watch a server."""
        await self._send(server, event, *args)

    @web.middleware
    async def _door(self, request: web.Request, handler: Any) -> web.StreamResponse:
        is_socket = request.path.endswith("/ws")  # its token comes in the first frame
        if not is_socket and request.headers.get("Authorization") != f"Bearer {self.token.secret}":
            return web.json_response({"error": "You are not authorized to access this endpoint."}, status=403)
        await self.hang.wait()
        answer: web.StreamResponse = await handler(request)
        return answer

    def _of(self, request: web.Request) -> FakeServer:
        try:
            return self.servers[request.match_info["uuid"]]
        except KeyError:
            raise web.HTTPNotFound(
                text=json.dumps({"error": "The requested resource does not exist."}), content_type="application/json"
            ) from None

    async def _system(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "1.11.13", "docker": {}, "system": {"memory_bytes": self.memory}})

    async def _all(self, request: web.Request) -> web.Response:
        return web.json_response([])

    async def _one(self, request: web.Request) -> web.Response:
        server = self._of(request)
        usage = {"state": server.state, "uptime": self._uptime(server)}
        body = {"state": server.state, "utilization": usage, "configuration": {"uuid": request.match_info["uuid"]}}
        return web.json_response({**body, "aerie": {"installing": server.installing}} if self.ours else body)

    def _uptime(self, server: FakeServer) -> int:
        """Milliseconds that its process has run."""
        if server.state == "offline":
            return 0
        return 86_400_000 if server.up_since is None else int((self.now() - server.up_since).total_seconds() * 1000)

    async def _logs(self, request: web.Request) -> web.Response:
        return web.json_response({"data": self._of(request).lines[-int(request.query.get("size", 100)) :]})

    async def _history(self, request: web.Request) -> web.Response:
        """Old lines, a second apart, the newest first; `cursor` counts those of earlier pages."""
        lines, query = self._of(request).lines, request.query
        now, limit, skipped = int(self.now().timestamp() * 1000), int(query.get("limit", 100)), int(query.get("cursor", 0))
        dated = [
            {"seq": number, "time": now - 1000 * (len(lines) - number), "kind": "output", "text": line}
            for number, line in enumerate(lines, start=1)
        ]
        found = [one for one in reversed(dated) if query.get("text", "").casefold() in str(one["text"]).casefold()]
        found = [one for one in found if int(str(one["time"])) >= int(query.get("since", 0))][skipped:]
        cursor = str(skipped + limit) if len(found) > limit else None
        return web.json_response({"lines": found[:limit], "cursor": cursor, "partial": False, "boot": "", "last_seq": len(lines)})

    async def _commands(self, request: web.Request) -> web.Response:
        server = self._of(request)
        if server.state == "offline":
            return web.json_response({"error": "Cannot send commands to a stopped server instance."}, status=502)
        for line in (await request.json())["commands"]:
            server.typed.append(line)
            await self.say(request.match_info["uuid"], f"> {line}")
        return web.Response(status=204)

    async def _deny(self, request: web.Request) -> web.Response:
        self._of(request)
        self.denied.append((request.match_info["uuid"], (await request.json())["jtis"]))
        return web.Response(status=204)

    async def _deauthorize(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.farewells.append((body["user"], body["servers"]))
        return web.Response(status=204)

    async def _update(self, request: web.Request) -> web.Response:
        self.updates.append(await request.json())
        return web.json_response({"applied": not self.ours})

    async def _create(self, request: web.Request) -> web.Response:
        self.created.append(await request.json())
        self.servers.setdefault(self.created[-1]["uuid"], FakeServer())
        return web.Response(status=202)

    async def _backup(self, request: web.Request) -> web.Response:
        """Making, restoring, deleting: written down, and answered with `backup_status`."""
        self._of(request)
        body = await request.json() if request.can_read_body else {}
        self.backups.append((request.method, body.get("uuid") or request.match_info["backup"], body))
        if self.backup_status:
            return web.json_response({"error": "The node cannot."}, status=self.backup_status)
        return web.Response(status=204 if request.method == "DELETE" else 202)

    async def _sync(self, request: web.Request) -> web.Response:
        self._of(request)
        return web.Response(status=204)

    async def _install(self, request: web.Request) -> web.Response:
        self._of(request).installs.append(request.path.rpartition("/")[2])
        return web.Response(status=202)

    async def installer(self, uuid: str, event: str, text: str = "") -> None:
        """`install started`, `install output` and `install completed`, as Wings sends them."""
        await self._send(self.servers[uuid], event, *([text] if text else []))

    async def _delete(self, request: web.Request) -> web.Response:
        gone = self.servers.pop(request.match_info["uuid"], None)
        return web.Response(status=204 if gone else 404)

    async def _power(self, request: web.Request) -> web.Response:
        server, signal = self._of(request), (await request.json())["action"]
        if signal == "start" and server.state != "offline":
            body = {"error": f"The server is already {server.state}.", "code": "conflict", "hint": "Nothing needs to be done."}
            return web.json_response(body, status=409)
        if server.script is not None and not server.script.done():
            server.script.cancel()
            await self._progress(server, *server.signal, "superseded", f"a later {signal} overtook it")
        loses, server.loses = server.loses, ""
        if loses == "signal":
            return self._break_off(request)
        server.signals.append(signal)
        server.signal = (new_signal_id(), signal)
        server.script = asyncio.create_task(self._play(server, *server.signal))
        if loses == "answer":
            return self._break_off(request)
        return web.Response(status=202, headers={SIGNAL_HEADER: server.signal[0]} if self.ours else {})

    @staticmethod
    def _break_off(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=202)

    async def _play(self, server: FakeServer, signal_id: str, signal: str) -> None:
        await self._progress(server, signal_id, signal, "accepted")
        if signal in ("stop", "restart") and server.state != "offline":
            await self._turn(server, "stopping", signal_id, "stop was asked for")
            await self._progress(server, signal_id, signal, "stopping")
            await asyncio.sleep(server.step)
        if signal != "start" and server.state != "offline":
            await self._turn(server, "offline", signal_id, "it was killed" if signal == "kill" else "it stopped as asked")
        if signal in ("start", "restart"):
            server.up_since = self.now()
            await self._turn(server, "starting", signal_id)
            await self._progress(server, signal_id, signal, "starting")
            await asyncio.sleep(server.step)
            if server.fails:
                reason, server.fails = server.fails, ""
                await self._turn(server, "offline", signal_id, reason)
                await self._progress(server, signal_id, signal, "failed", reason)
                return
            await self._turn(server, "running", signal_id, "it said that it is ready")
        await self._progress(server, signal_id, signal, "done")

    async def _turn(self, server: FakeServer, state: str, signal_id: str, reason: str = "") -> None:
        previous, server.state = server.state, state
        await self._send(server, "status", state)
        if self.ours:
            body = {"state": state, "previous": previous, "reason": reason, "at": _now(), "signal_id": signal_id}
            await self._send(server, "aerie.state", json.dumps(body))
        await self._stats(server)

    async def _progress(self, server: FakeServer, signal_id: str, signal: str, phase: str, reason: str = "") -> None:
        if self.ours:
            body = {"signal_id": signal_id, "signal": signal, "phase": phase, "state": server.state, "reason": reason, "at": _now()}
            await self._send(server, "aerie.power", json.dumps(body))

    async def _stats(self, server: FakeServer) -> None:
        up = server.state != "offline"
        body: dict[str, Any] = {
            "memory_bytes": 134217728 if up else 0,
            "memory_limit_bytes": 536870912,
            "cpu_absolute": 7.2 if up else 0.0,
            "network": {"rx_bytes": 0, "tx_bytes": 0},
            "uptime": 1000 if up else 0,
            "state": server.state,
            "disk_bytes": 0,
        }
        if self.ours:
            body["aerie_players"] = ["ann", "bob"] if server.state == "running" else []
        await self._send(server, "stats", json.dumps(body))

    async def _send(self, server: FakeServer, event: str, *args: str) -> None:
        for socket in server.sockets.copy():
            if not socket.closed:
                await socket.send_json({"event": event, "args": list(args)})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        server = self._of(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                frame = json.loads(message.data)
                if frame["event"] == "auth":
                    read_socket_token(self.token.secret, frame["args"][0], now=datetime.now(UTC))
                    await socket.send_json({"event": "auth success"})
                    await socket.send_json({"event": "status", "args": [server.state]})
                    if socket not in server.sockets:
                        server.sockets.append(socket)
                    await self._stats(server)
        finally:
            if socket in server.sockets:
                server.sockets.remove(socket)
        return socket


def _now() -> str:
    return datetime.now(UTC).isoformat()


@asynccontextmanager
async def fake_node(token: NodeToken, *, ours: bool = True) -> AsyncIterator[FakeNode]:
    """A node that listens on a free loopback port."""
    node = FakeNode(token, ours=ours)
    await node.up()
    try:
        yield node
    finally:
        await node.close()
