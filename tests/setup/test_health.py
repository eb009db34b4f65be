"""The health check of the containers: our programs' answers count, a closed port does not."""

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.tls import ServerTls
from setup.health import answers
from tests.certificates import Authority


async def _server(status: int, tls: ServerTls | None = None) -> TestServer:
    async def health(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/health", health)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(ssl=tls.context if tls else None)
    return server


@pytest.mark.parametrize(("status", "well"), [(200, True), (401, True), (503, False)])
async def test_a_program_that_answers_is_well(status: int, well: bool) -> None:
    server = await _server(status)
    try:
        assert await asyncio.to_thread(answers, server.port or 0) is well
    finally:
        await server.close()


async def test_tls_is_tried_too(tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair()
    server = await _server(200, ServerTls(pair.certificate, pair.key, "api"))
    try:
        assert await asyncio.to_thread(answers, server.port or 0)
    finally:
        await server.close()


def test_a_closed_port_is_not_well() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening
        assert not answers(held.getsockname()[1])
