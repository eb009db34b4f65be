"""Our agent under a stock Pterodactyl panel 1.11: the panel's own calls and answers, letter for letter, in the order it makes them.

The panel here is a script of raw JSON (tests/golden, from the references), not of our types: what we write must please it, not us.
"""

import asyncio
import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent import outbox
from agent.app import running
from core.clock import SystemClock
from core.config import AgentConfig
from tests.agent.api.test_install import scripts_run

GOLDEN = Path(__file__).parents[1] / "golden"
SERVER = "8d3f01ab-55c1-4a37-9b53-6b1c51d9a001"
USER = "5c0a7a52-94c4-4f0d-8a53-1b1d9cf1ab10"
TOKEN_ID, TOKEN = "abcdefghijklmnop", "0123456789" * 6 + "0123"
GAME = 'echo "[Server] Done (1.2s)! For help, type help"; while read -r line; do [ "$line" = stop ] && exit 0; echo "you said $line"; done'
SCRIPT = '#!/bin/bash\r\necho "fetching $SERVER_JARFILE"\r\necho ready > installed.txt\r\n'
SECONDS = 60
"""Until a journey that hangs fails."""


class StockPanel:
    """`/api/remote` as panel 1.11 answers it; every call that it does not know is kept in `strange`."""

    def __init__(self) -> None:
        self.suspended = False
        self.called: list[tuple[str, Any]] = []
        self.strange: list[str] = []
        self.url = ""

    def configuration(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads((GOLDEN / "panel_server.json").read_text())
        body["settings"] |= {"invocation": GAME, "suspended": self.suspended, "mounts": []}
        return body

    async def answer(self, request: web.Request) -> web.Response:
        path, text = request.path.removeprefix("/api/remote"), await request.text()
        if request.headers.get("Authorization") != f"Bearer {TOKEN_ID}.{TOKEN}":
            return web.json_response({"errors": [{"code": "HttpException", "status": "403", "detail": ""}]}, status=403)
        assert request.headers["Accept"] == "application/vnd.pterodactyl.v1+json"
        assert request.headers["Content-Type"] == "application/json"
        self.called.append((f"{request.method} {path}", json.loads(text) if text else None))
        match f"{request.method} {path.replace(SERVER, 'ITS')}":
            case "GET /servers":
                page = json.loads((GOLDEN / "panel_servers_page.json").read_text())
                return web.json_response(page)  # a new node has none
            case "GET /servers/ITS":
                return web.json_response(self.configuration())
            case "GET /servers/ITS/install":
                return web.json_response({"container_image": "~installers:debian", "entrypoint": "bash", "script": SCRIPT})
            case "POST /servers/reset" | "POST /activity" | "POST /servers/ITS/install":
                return web.Response(status=204)
        self.strange.append(f"{request.method} {path}")
        return web.json_response({"errors": [{"code": "NotFoundHttpException", "status": "404", "detail": ""}]}, status=404)

    async def asked(self, call: str, times: int = 1) -> Any:
        """The body of the so-manyeth call of this name, once it has come."""
        async with asyncio.timeout(SECONDS):
            while len(found := [body for name, body in self.called if name == call]) < times:
                await asyncio.sleep(0.02)
        return found[times - 1]

    def token(self, *permissions: str) -> str:
        """A websocket token as lcobucci/jwt writes it for panel 1.11: `aud` a list, no `scope`, the id in the header too."""
        now = int(SystemClock().now().timestamp())
        claims = json.loads((GOLDEN / "panel_claims_socket.json").read_text())
        del claims["scope"]
        claims |= {"iat": now, "nbf": now - 300, "exp": now + 600, "permissions": list(permissions), "aud": [claims["aud"]]}
        claims["jti"] = hashlib.md5(f"1{SERVER}".encode(), usedforsecurity=False).hexdigest()
        head = {"typ": "JWT", "alg": "HS256", "jti": claims["jti"]}
        parts = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims))
        return (parts + b"." + urlsafe_b64encode(hmac.digest(TOKEN.encode(), parts, "sha256")).rstrip(b"=")).decode()


class Node:
    """The agent as the panel's guzzle client and the panel's page reach it."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json", "Content-Type": "application/json"}
        async with self.http.request(method, path, json=body, headers=headers, timeout=aiohttp.ClientTimeout(15)) as answer:
            text = await answer.text()
            assert answer.headers["X-Request-Id"]
            return answer.status, json.loads(text) if text else None

    async def until(self, state: str) -> dict[str, Any]:
        """What the panel's own view of the server says, once its state is this."""
        async with asyncio.timeout(SECONDS):
            while (found := await self.call("GET", f"/api/servers/{SERVER}"))[1]["state"] != state:
                await asyncio.sleep(0.05)
        return dict(found[1])


@asynccontextmanager
async def a_panel_and_its_node(folder: Path) -> AsyncIterator[tuple[StockPanel, Node]]:
    panel = StockPanel()
    app = web.Application()
    app.router.add_route("*", "/api/remote/{rest:.*}", panel.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    panel.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    wanted = AgentConfig.model_validate(
        {
            "api": {"host": "127.0.0.1", "port": 0},
            "remote": {"url": panel.url, "token_id": TOKEN_ID, "token": TOKEN, "timeout": 5},
            "system": {"root_directory": folder, "data": folder / "volumes", "check_permissions_on_boot": False},
            "docker": {"runtime": "process"},
            "sftp": {"enabled": False},
            "crash": {"enabled": False},
        }
    )
    try:
        async with running(wanted) as agent, aiohttp.ClientSession(agent.url) as http:
            yield panel, Node(http)
    finally:
        await runner.cleanup()


async def page_of(socket: aiohttp.ClientWebSocketResponse, event: str, holds: str = "") -> list[str]:
    """The next such event as the panel's page sees it; it knows Wings' events alone."""
    known = {
        "auth success",
        "status",
        "stats",
        "console output",
        "install output",
        "install started",
        "install completed",
        "daemon message",
    }
    known |= {"daemon error", "jwt error", "token expiring", "token expired", "deleted"}
    async with asyncio.timeout(SECONDS):
        while True:
            frame = json.loads((await socket.receive()).data)
            assert frame["event"] in known
            assert all(isinstance(word, str) for word in frame.get("args", []))
            if frame["event"] == event and holds in "".join(frame.get("args", [])):
                return list(frame.get("args", []))


async def test_our_agent_under_a_stock_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts_run(monkeypatch)
    monkeypatch.setattr(outbox, "ACTIVITY_SECONDS", 0.0)
    async with a_panel_and_its_node(tmp_path) as (panel, node):
        # the node is added: its page shows what it is
        assert [name for name, _ in panel.called[:2]] == ["GET /servers", "POST /servers/reset"]
        status, system = await node.call("GET", "/api/system")
        assert (status, set(system)) == (200, {"architecture", "cpu_count", "kernel_version", "os", "version"})

        # an administrator creates a server
        assert await node.call("POST", "/api/servers", {"uuid": SERVER, "start_on_completion": True}) == (202, None)
        report = await panel.asked(f"POST /servers/{SERVER}/install")
        assert report == {"successful": True, "reinstall": False}
        shown = await node.until("running")
        assert (tmp_path / "volumes" / SERVER / "installed.txt").read_text() == "ready\n"
        assert (tmp_path / "volumes" / SERVER / "server.properties").read_text() == "server-ip=0.0.0.0\n"
        assert shown["is_suspended"] is False
        assert isinstance(shown["utilization"]["uptime"], int)

        # its owner opens the console: the page connects, signs in, asks for logs and stats, types, stops it
        async with node.http.ws_connect(f"/api/servers/{SERVER}/ws", origin=panel.url) as socket:
            await socket.send_json({"event": "auth", "args": [panel.token("*")]})
            assert await page_of(socket, "auth success") == []
            assert await page_of(socket, "status") == ["running"]
            await socket.send_json({"event": "send logs", "args": [None]})
            await page_of(socket, "console output", "For help")
            await socket.send_json({"event": "send stats", "args": [None]})
            assert set(json.loads((await page_of(socket, "stats"))[0])) == {
                *("memory_bytes", "memory_limit_bytes", "cpu_absolute", "network", "uptime", "state", "disk_bytes")
            }
            await socket.send_json({"event": "send command", "args": ["say hi"]})
            await page_of(socket, "console output", "you said say hi")
            await socket.send_json({"event": "set state", "args": ["stop"]})
            await page_of(socket, "status", "stopping")
            await page_of(socket, "status", "offline")

            # somebody takes the owner's rights away
            denied = {"jtis": [hashlib.md5(f"1{SERVER}".encode(), usedforsecurity=False).hexdigest()]}
            assert await node.call("POST", f"/api/servers/{SERVER}/ws/deny", denied) == (204, None)
            await socket.send_json({"event": "send stats", "args": [None]})
            assert "created too far in past (denylist)" in (await page_of(socket, "jwt error"))[0]

        # what the owner did is in the panel's activity, in the panel's form
        deeds: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(SECONDS):
            while set(deeds) != {"server:console.command", "server:power.stop"}:
                deeds = {one["event"]: one for name, body in panel.called if name == "POST /activity" for one in body["data"]}
                await asyncio.sleep(0.02)
        golden = json.loads((GOLDEN / "wings_activity.json").read_text())["data"][0]
        assert set(deeds["server:console.command"]) == set(golden)
        assert deeds["server:console.command"]["metadata"] == golden["metadata"]
        assert (deeds["server:power.stop"]["user"], deeds["server:power.stop"]["server"]) == (USER, SERVER)
        assert all(entry["timestamp"].endswith("Z") for entry in deeds.values())  # a fraction is borne before a Z alone

        # the panel's own buttons and its API
        assert await node.call("POST", f"/api/servers/{SERVER}/power", {"action": "start"}) == (202, None)
        await node.until("running")
        assert await node.call("POST", f"/api/servers/{SERVER}/commands", {"commands": ["list"]}) == (204, None)
        assert (await node.call("GET", f"/api/servers/{SERVER}/logs?size=20"))[0] == 200
        update = json.loads((GOLDEN / "panel_update.json").read_text()) | {"token_id": TOKEN_ID, "token": TOKEN, "remote": panel.url}
        status, answer = await node.call("POST", "/api/update", update)
        assert (status, type(answer["applied"])) == (200, bool)

        # it is suspended, and let go on
        panel.suspended = True
        assert await node.call("POST", f"/api/servers/{SERVER}/sync") == (204, None)
        assert (await node.until("offline"))["is_suspended"] is True
        status, answer = await node.call("POST", f"/api/servers/{SERVER}/power", {"action": "start"})
        assert (status, type(answer["error"])) == (400, str)
        panel.suspended = False
        assert await node.call("POST", f"/api/servers/{SERVER}/sync") == (204, None)

        # it is installed again, killed in the middle of its life, and deleted
        assert await node.call("POST", f"/api/servers/{SERVER}/reinstall") == (202, None)
        report = await panel.asked(f"POST /servers/{SERVER}/install", 2)
        assert report == {"successful": True, "reinstall": True}
        assert await node.call("POST", f"/api/servers/{SERVER}/power", {"action": "start"}) == (202, None)
        await node.until("running")
        assert await node.call("POST", f"/api/servers/{SERVER}/power", {"action": "kill"}) == (202, None)
        await node.until("offline")
        assert (await node.call("POST", f"/api/servers/{SERVER}/commands", {"commands": ["list"]}))[0] == 502
        assert await node.call("DELETE", f"/api/servers/{SERVER}") == (204, None)
        assert (await node.call("GET", f"/api/servers/{SERVER}"))[0] == 404
        assert panel.strange == []
