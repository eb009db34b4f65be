"""A server's console: type a line, read the last lines. Live lines come from bot/workers/streams.py."""

import unicodedata

from core import log as context
from core.actor import Actor
from core.errors import AerieError, Invalid
from core.models.server import Server
from core.permissions import CONNECT, CONTROL_CONSOLE
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.nodes import Nodes
from core.vocabulary import Outcome

MOST_CHARACTERS = 512
MOST_LINES = 100

_EVENT = "server:console.command"


class Console:
    def __init__(self, access: Access, activity: ActivityLog, nodes: Nodes) -> None:
        self._access = access
        self._activity = activity
        self._nodes = nodes

    async def send(self, actor: Actor, ref: str | int, line: str) -> Server:
        """Type one line. Raises Invalid, NotFound, MissingPermission, ServerOffline and the node's errors."""
        server = await self._access.server(actor, ref, CONTROL_CONSOLE, event=_EVENT)
        context.server.set(server.short)
        try:
            line = checked(line)
        except Invalid as error:
            await self._activity.refused(actor, _EVENT, server, error)
            raise
        row = await self._activity.write(actor, _EVENT, server, metadata={"command": line})
        try:
            await self._nodes.client(server.node).commands(server.uuid, [line])
        except AerieError as error:
            await self._activity.amend(row, Outcome.FAILED, str(error))
            raise
        return server

    async def tail(self, actor: Actor, ref: str | int, lines: int = 50) -> list[str]:
        """The last `lines` lines (1 to 100), oldest first."""
        server = await self._access.server(actor, ref, CONNECT, event="server:console.read")
        if not 1 <= lines <= MOST_LINES:
            raise Invalid(f"The number of lines must be from 1 to {MOST_LINES}.")
        return await self._nodes.client(server.node).logs(server.uuid, lines)


def checked(line: str) -> str:
    """A line fit to be typed. Control characters are refused, not dropped: a hidden line break would be a second command."""
    line = line.strip(" \n\r")
    if not line:
        raise Invalid("There is nothing to send.", hint="Type the command as you would in the game's own console.")
    if len(line) > MOST_CHARACTERS:
        raise Invalid(f"A console line may have {MOST_CHARACTERS} characters at most; this one has {len(line)}.")
    if "\n" in line or "\r" in line:
        raise Invalid("Send one line at a time.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in line):
        raise Invalid("The line holds control characters.", hint="Type it instead of pasting it.")
    return line
