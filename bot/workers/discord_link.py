"""The connection to Discord: signed in, kept up, tried again with growing pauses; everything else works on while it is down.

A wrong token ends the tries: asking again and again with it would get our address banned. Must never stop the process.
"""

import logging

import aiohttp
import discord

from bot.client import AerieClient
from core.clock import Clock

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0  # s; doubles
LONGEST_PAUSE = 300.0
WRONG = "Discord does not accept the bot's token. Set [discord] token (AERIE_DISCORD__TOKEN) to the one from its developer portal."
MISSING = "No Discord token is set, so nobody can talk to the bot. Set [discord] token (AERIE_DISCORD__TOKEN)."
_TOKEN_CLOSE = 4004


class DiscordLink:
    """`run` is the worker; `state` is `connecting`, `ready`, `waiting` or `refused`, and `reason` says why."""

    def __init__(self, client: AerieClient, token: str, clock: Clock) -> None:
        self._client = client
        self._token = token
        self._clock = clock
        self._state = "connecting"
        self.reason = ""

    @property
    def state(self) -> str:
        return "ready" if self._state == "connecting" and self._client.is_ready() else self._state

    @property
    def ready(self) -> bool:
        return self.state == "ready"

    async def run(self) -> None:
        """Connect, and connect again; returns only when Discord refused the token."""
        if not self._token:
            self._refused(MISSING)
            return
        pause = FIRST_PAUSE
        while True:
            began = self._clock.monotonic()
            self._state = "connecting"
            if self._client.is_closed():
                self._client.clear()
                self._client.http.connector = discord.utils.MISSING  # closed with the session, and clear() keeps it
            try:
                async with self._client:  # sets up its loop anew, and closes it
                    await self._client.start(self._token)
                self.reason = "the connection was closed"
            except discord.LoginFailure:
                self._refused(WRONG)
                return
            except discord.ConnectionClosed as error:
                if error.code == _TOKEN_CLOSE:
                    self._refused(WRONG)
                    return
                self.reason = f"Discord closed the connection (code {error.code})"
            except discord.PrivilegedIntentsRequired:
                self._refused("Discord refuses the bot's intents, although it asks for none that are privileged.")
                return
            except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
                self.reason = f"Discord cannot be reached: {str(error) or type(error).__name__}"
            if self._clock.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            self._state = "waiting"
            log.warning("%s; trying again in %.0f s", self.reason, pause)
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _refused(self, reason: str) -> None:
        self._state, self.reason = "refused", reason
        log.error("%s", reason)
