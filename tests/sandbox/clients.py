"""The clients the sandbox's tests use: discord.py's own, and a bare HTTP client with the bot's token."""

import asyncio
import io
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import discord
import orjson
from aiohttp import ClientSession, FormData
from discord import app_commands

from sandbox.app import Sandbox


class Bot(discord.Client):
    """A plain client with a command tree; what it hears is kept."""

    def __init__(self, intents: discord.Intents, **options: Any) -> None:
        super().__init__(intents=intents, max_messages=None, **options)
        self.tree = app_commands.CommandTree(self)
        self.is_up = asyncio.Event()
        self.heard: list[discord.Message] = []
        self.resumes = 0
        self.readies = 0

    async def on_ready(self) -> None:
        self.readies += 1
        self.is_up.set()

    async def on_resumed(self) -> None:
        self.resumes += 1

    async def on_message(self, message: discord.Message) -> None:
        self.heard.append(message)

    def text_channel(self, name: str = "general") -> discord.TextChannel:
        """A text channel by name."""
        found = next(channel for channel in self.get_all_channels() if channel.name == name)
        assert isinstance(found, discord.TextChannel)
        return found


class StartBot(Protocol):
    """`async with start_bot(set_up) as bot`; `set_up(bot)` adds commands before they are synced."""

    def __call__(
        self, set_up: Callable[[Bot], object] | None = None, *, intents: discord.Intents | None = None, sync: bool = True, **options: Any
    ) -> AbstractAsyncContextManager[Bot]: ...


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: Any
    headers: dict[str, str]


class Api:
    """A bare client of the REST API with the bot's token."""

    def __init__(self, box: Sandbox, session: ClientSession) -> None:
        self._box = box
        self._session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, *, files: dict[str, bytes] | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        sent: dict[str, Any] = {}
        all_headers = {"Authorization": f"Bot {self._box.token}", **(headers or {})}
        if files:
            form = FormData(quote_fields=False)
            form.add_field("payload_json", orjson.dumps(body or {}).decode())
            for index, (name, data) in enumerate(files.items()):
                form.add_field(f"files[{index}]", io.BytesIO(data), filename=name, content_type="application/octet-stream")
            sent["data"] = form
        elif body is not None:
            sent["data"] = orjson.dumps(body)
            all_headers["Content-Type"] = "application/json"
        async with self._session.request(method, self._box.api_url + path, headers=all_headers, **sent) as answer:
            raw = await answer.read()
            is_json = answer.headers.get("Content-Type") == "application/json"
            return Reply(answer.status, orjson.loads(raw) if is_json and raw else raw.decode(), dict(answer.headers))
