"""Points discord.py at Discord or at a sandbox: two class attributes, nothing else.

They belong to the process, not to a client, so one process speaks to one of the two. Must be called before a client connects.
"""

import discord
import yarl
from discord.gateway import DiscordWebSocket

_REST = discord.http.Route.BASE
_GATEWAY = DiscordWebSocket.DEFAULT_GATEWAY


def point_at(sandbox_url: str) -> None:
    """Use the sandbox at this address (for instance http://127.0.0.1:8300); empty means Discord itself."""
    url = sandbox_url.rstrip("/")
    discord.http.Route.BASE = f"{url}/api/v10" if url else _REST
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"{url.replace('http', 'ws', 1)}/gateway") if url else _GATEWAY
