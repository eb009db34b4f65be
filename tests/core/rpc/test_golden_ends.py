"""The control plane's end of the wire: it reads what Wings writes (tests/golden) and writes, letter for letter, what Wings reads."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.clock import ManualClock
from core.errors import NodeError
from core.protocol.agent import CreateServer
from core.rpc.client import NodeAddress, NodeClient
from core.rpc.pool import NodePool
from core.tokens import NodeToken
from core.vocabulary import PowerSignal, ServerState

GOLDEN = Path(__file__).parents[2] / "golden"
UUID = "8d3f01ab-55c1-4a37-9b53-6b1c51d9a001"
USER = "5c0a7a52-94c4-4f0d-8a53-1b1d9cf1ab10"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


@asynccontextmanager
async def wings(answer: str = "", status: int = 200) -> AsyncIterator[tuple[NodeClient, list[Any]]]:
    """A node that answers everything with this golden body, and what it was sent."""
    sent: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        text = await request.text()
        sent.append(json.loads(text) if text else None)
        body = (GOLDEN / f"{answer}.json").read_bytes() if answer else b""
        return web.Response(status=status, body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    async with TestServer(app) as server, NodePool(ManualClock()) as pool:
        address = NodeAddress(1, "kite", str(server.make_url("")).rstrip("/"), NodeToken("i" * 16, "s" * 64))
        yield pool.client(address), sent


async def test_what_wings_answers_is_read() -> None:
    async with wings("wings_system_v2") as (client, _):
        system = await client.system()
        assert (system.version, system.docker.runc.version[:7], system.system.memory_bytes) == ("1.11.11", "51d5e94", 33568751616)
        assert (system.aerie, client.derived) == (None, False)
    async with wings("wings_server") as (client, _):
        server = await client.server(UUID)
        assert (server.state, server.utilization.uptime, server.configuration.uuid) == (ServerState.RUNNING, 53211, UUID)
        assert server.aerie is None
    for name, lines in (("wings_logs", 2), ("wings_logs_empty", 0)):
        async with wings(name) as (client, _):
            assert len(await client.logs(UUID)) == lines
    async with wings("wings_update_applied") as (client, _):
        assert await client.update({"debug": True})
    async with wings("wings_error", 500) as (client, _):
        with pytest.raises(NodeError) as failed:
            await client.servers()
        assert failed.value.request_id == golden("wings_error")["request_id"]


Call = Callable[[NodeClient], Awaitable[Any]]
CALLS: dict[str, tuple[int, Call]] = {
    "wings_create": (202, lambda client: client.create(CreateServer(uuid=UUID, start_on_completion=True))),
    "wings_power": (202, lambda client: client.power(UUID, PowerSignal.RESTART)),
    "wings_commands": (204, lambda client: client.commands(UUID, ["say hi", "stop"])),
    "wings_deny": (204, lambda client: client.deny(UUID, ["9e107d9d372bb6826bd81d3542a419d6"])),
    "panel_deauthorize": (204, lambda client: client.deauthorize(USER, [UUID])),
}
"""What the panel sends, by its golden body: what Wings answers, and our call."""


@pytest.mark.parametrize("name", CALLS)
async def test_what_wings_reads_is_written(name: str) -> None:
    status, call = CALLS[name]
    async with wings(status=status) as (client, sent):
        await call(client)
    assert sent == [golden(name)]


@pytest.mark.parametrize("call", ["delete", "sync", "install", "reinstall"])
async def test_calls_without_words_have_no_body(call: str) -> None:
    async with wings(status=202) as (client, sent):
        await {
            "delete": lambda: client.delete(UUID),
            "sync": lambda: client.sync(UUID),
            "install": lambda: client.install(UUID, again=False),
            "reinstall": lambda: client.install(UUID, again=True),
        }[call]()
    assert sent == [None]


async def test_a_changed_configuration_is_written_as_the_panel_writes_it() -> None:
    async with wings("wings_update_applied") as (client, sent):
        assert await client.update(golden("panel_update"))
    assert sent == [golden("panel_update")]
