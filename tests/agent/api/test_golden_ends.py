"""The node's end of the wire: it reads what a panel writes (tests/golden) and writes, field for field, what a panel reads."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from agent.api.frames import message
from agent.credentials import Credentials
from agent.remote import Remote, connected
from core.agent_settings import RemoteSection
from core.clock import SystemClock
from core.protocol.remote import ActivityReport, InstallReport, SftpAuth
from core.protocol.socket import JWT_EXPIRED, Outbound, StatsFrame
from tests.agent.api.conftest import Bench, settings

GOLDEN = Path(__file__).parents[2] / "golden"
UUID = "8d3f01ab-55c1-4a37-9b53-6b1c51d9a001"
FRAMES = {
    "wings_frame_auth_success": (Outbound.AUTH_SUCCESS, None),
    "wings_frame_console": (Outbound.CONSOLE_OUTPUT, "\x1b[33m[Server] Ada joined\x1b[0m"),
    "wings_frame_status": (Outbound.STATUS, "running"),
    "wings_frame_token_expiring": (Outbound.TOKEN_EXPIRING, None),
    "wings_frame_jwt_error": (Outbound.JWT_ERROR, JWT_EXPIRED),
    "wings_frame_throttled": (Outbound.THROTTLED, "send command"),
    "wings_frame_stats": (Outbound.STATS, StatsFrame().model_dump_json(exclude_none=True)),
}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_written_as_wings_writes_them(name: str) -> None:
    event, text = FRAMES[name]
    assert json.loads(message(event, text)) == golden(name)


def test_every_golden_frame_of_wings_is_written_here() -> None:
    assert {file.stem for file in GOLDEN.glob("wings_frame_*.json")} == FRAMES.keys()


@pytest.mark.parametrize(
    ("name", "route", "status"),
    [
        ("wings_create", "/api/servers", 202),
        ("wings_commands", f"/api/servers/{UUID}/commands", 502),
        ("wings_power", f"/api/servers/{UUID}/power", 202),
        ("wings_deny", f"/api/servers/{UUID}/ws/deny", 204),
        ("panel_deauthorize", "/api/deauthorize-user", 204),
    ],
)
async def test_what_a_panel_sends_is_read(bench: Bench, name: str, route: str, status: int) -> None:
    bench.panel.servers[UUID] = settings(UUID)
    async with bench.http.post("/api/servers", data=(GOLDEN / "wings_create.json").read_bytes()) as answer:
        assert answer.status == 202
    if name == "wings_commands":  # it may be starting already; what is offline is asked
        route, bench.panel.servers[bench.uuid] = bench.path("/commands"), settings(bench.uuid)
    if name == "wings_power":
        route = bench.path("/power")
    async with bench.http.post(route, data=(GOLDEN / f"{name}.json").read_bytes()) as answer:
        assert answer.status == status


@asynccontextmanager
async def panel(folder: Path, answer: str = "", status: int = 200) -> AsyncIterator[tuple[Remote, list[tuple[str, Any]]]]:
    """A panel that answers everything with this golden body, and what it was sent."""
    sent: list[tuple[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        text = await request.text()
        sent.append((f"{request.method} {request.path_qs.removeprefix('/api/remote')}", json.loads(text) if text else None))
        body = (GOLDEN / f"{answer}.json").read_bytes() if answer else b""
        return web.Response(status=status, body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    wanted = RemoteSection(url=f"http://127.0.0.1:{runner.addresses[0][1]}", token_id="i" * 16, token=SecretStr("s" * 64))
    try:
        credentials = Credentials(wanted, folder / "credentials.json")
        async with connected(wanted, credentials, SystemClock(), folder / "servers.json") as remote:
            yield remote, sent
    finally:
        await runner.cleanup()


async def test_what_a_panel_answers_is_read(tmp_path: Path) -> None:
    async with panel(tmp_path, "panel_servers_page") as (remote, sent):
        assert await remote.servers() == []
        assert sent == [("GET /servers?page=1&per_page=50", None)]
    for name in ("panel_server", "panel_server_php"):
        async with panel(tmp_path, name) as (remote, _):
            assert (await remote.server(UUID)).settings.uuid == UUID
    async with panel(tmp_path, "panel_install") as (remote, sent):
        assert (await remote.install_script(UUID)).script.startswith("#!/bin/bash")
        assert sent == [(f"GET /servers/{UUID}/install", None)]
    async with panel(tmp_path, "panel_sftp_auth") as (remote, sent):
        grant = await remote.sftp_auth(SftpAuth.model_validate(golden("wings_sftp_auth")))
        assert grant is not None
        assert grant.model_dump() == golden("panel_sftp_auth")
        assert sent == [("POST /sftp/auth", golden("wings_sftp_auth"))]
    async with panel(tmp_path, "panel_error", 403) as (remote, _):
        assert await remote.sftp_auth(SftpAuth.model_validate(golden("wings_sftp_auth"))) is None


async def test_what_a_panel_reads_is_written(tmp_path: Path) -> None:
    async with panel(tmp_path, status=204) as (remote, sent):
        await remote.reset()
        await remote.deliver(f"/servers/{UUID}/install", InstallReport(successful=True, reinstall=False).model_dump(exclude_none=True))
        report = ActivityReport.model_validate(golden("wings_activity"))
        await remote.deliver("/activity", report.model_dump(mode="json"))
    assert sent == [
        ("POST /servers/reset", None),
        (f"POST /servers/{UUID}/install", golden("wings_install_report")),
        ("POST /activity", golden("wings_activity")),
    ]
