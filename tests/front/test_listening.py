"""What `aerie doctor` says of ports and certificates."""

import asyncio
import socket
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from front.listening import certificate, http_port, sftp_port
from tests.certificates import Authority


def _held() -> tuple[socket.socket, int]:
    """A port that something silent listens on."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen(5)
    return holder, holder.getsockname()[1]


async def test_a_free_port_is_well() -> None:
    holder, port = _held()
    holder.close()
    assert (await http_port("endpoint", "127.0.0.1", port)).well


async def test_a_port_that_one_of_ours_answers_on_is_well() -> None:
    server = TestServer(web.Application(), host="127.0.0.1")
    await server.start_server()
    try:
        found = await http_port("endpoint", "127.0.0.1", server.port or 0)
    finally:
        await server.close()
    assert found.well
    assert "runs" in found.words


async def test_a_port_that_something_else_holds_is_told() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.net\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for found in (await http_port("api", "127.0.0.1", port), await sftp_port("127.0.0.1", port)):
            assert not found.well
            assert str(port) in found.fix


async def test_an_address_that_is_not_this_machines_is_told() -> None:
    assert not (await sftp_port("192.0.2.1", 2022)).well


async def test_certificates_are_read(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.pair(), authority.pair("other")
    assert (await certificate("api", (pair.certificate, pair.key), authority.file)).well
    assert (await certificate("api", (None, None), None)).well
    assert not (await certificate("api", (pair.certificate, other.key), None)).well
    assert not (await certificate("api", (pair.certificate, pair.key), tmp_path / "none.pem")).well
