"""The stand-in game is a real server: it becomes ready, takes players and console commands, and leaves when told."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator

import pytest

from demo import fallback
from setup.sockets import free_port


class Running:
    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self.port = process, port

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(10):
            return (await self.process.stdout.readline()).decode().strip()

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")


@pytest.fixture
async def game(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(fallback, "which", lambda *_: None)
    port = free_port()
    command = fallback.startup("luanti").command.replace("{{SERVER_PORT}}", str(port))
    pipe = asyncio.subprocess.PIPE
    running = Running(await asyncio.create_subprocess_exec(*shlex.split(command), stdin=pipe, stdout=pipe), port)
    assert fallback.startup("luanti").done in await running.line()
    yield running
    if running.process.returncode is None:
        running.process.kill()
    await running.process.communicate()


async def test_a_player_joins_plays_and_leaves(game: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", game.port)
    writer.write(b"Ada\n0\n")
    assert await game.line() == "Ada joined the game (1 playing)"
    assert b"Higher." in await reader.readuntil(b"Higher.")
    game.type("list")
    assert await game.line() == "1 playing: Ada"
    writer.close()
    assert await game.line() == "Ada left the game (0 playing)"


async def test_a_console_command_has_an_effect_that_can_be_seen(game: Running) -> None:
    game.type("limit 50")
    assert await game.line() == "Numbers now go up to 50"
    game.type("limit lots")
    assert "Unknown command" in await game.line()


@pytest.mark.parametrize("way", ["quit", "interrupt"])
async def test_it_leaves_cleanly(game: Running, way: str) -> None:
    game.type("quit") if way == "quit" else game.process.send_signal(2)
    assert await game.line() == "Shutting down"
    async with asyncio.timeout(10):
        assert await game.process.wait() == 0


@pytest.mark.parametrize("name", ["luanti", "freeciv"])
def test_every_startup_names_the_port_it_is_given(name: str) -> None:
    assert len(re.findall(r"\{\{SERVER_PORT\}\}", fallback.startup(name).command)) == 1
