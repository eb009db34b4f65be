"""A server's console: type a line, read the last lines, find old ones. Live lines come from bot/workers/streams.py."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core import log as context
from core.actor import Actor
from core.clock import Clock
from core.errors import AerieError, Invalid, NotFound
from core.models.server import Server
from core.permissions import CONNECT, CONTROL_CONSOLE
from core.protocol.history import HistoryPage
from core.protocol.socket import ConsolePlace
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.nodes import Nodes
from core.vocabulary import Outcome

MOST_CHARACTERS = 512
MOST_LINES = 100
MOST_SOUGHT = 40
"""Characters of what is looked for."""

_EVENT = "server:console.command"
_READ = "server:console.read"
_AGO = re.compile(r"(\d{1,4}) ?(min|m|h|d|w)[a-z]*(?: ago)?")
_UNITS = {"m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class Finding:
    """One page of old lines, the newest first; `page.cursor` asks for the next."""

    server: Server
    page: HistoryPage


class Console:
    def __init__(self, access: Access, activity: ActivityLog, nodes: Nodes, clock: Clock) -> None:
        self._access = access
        self._activity = activity
        self._nodes = nodes
        self._clock = clock

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

    async def tail(self, actor: Actor, ref: str | int, lines: int = 50, upto: ConsolePlace | None = None) -> list[str]:
        """The last `lines` lines (1 to 100), oldest first; no newer ones than `upto`, where the node knows that place."""
        server = await self._access.server(actor, ref, CONNECT, event=_READ)
        if not 1 <= lines <= MOST_LINES:
            raise Invalid(f"The number of lines must be from 1 to {MOST_LINES}.")
        if upto is not None and upto.after is not None:
            try:
                page = await self._nodes.client(server.node).console(server.uuid, before=str(upto.after + 1), limit=str(lines))
            except NotFound:
                pass
            else:
                if page.boot == upto.boot:
                    return [line.text for line in reversed(page.lines)]
        return await self._nodes.client(server.node).logs(server.uuid, lines)

    async def search(
        self, actor: Actor, ref: str | int, text: str = "", *, since: datetime | None = None, cursor: str = "", lines: int = 12
    ) -> Finding:
        """Old lines that hold these words in any case, one page, the newest first. Raises NotFound where the node keeps none."""
        server = await self._access.server(actor, ref, CONNECT, event=_READ)
        if len(text) > MOST_SOUGHT:
            raise Invalid(f"Look for {MOST_SOUGHT} characters at most; this has {len(text)}.")
        query = {"text": text, "since": str(int(since.timestamp() * 1000)) if since else "", "cursor": cursor, "limit": str(lines)}
        try:
            page = await self._nodes.client(server.node).console(server.uuid, **{name: value for name, value in query.items() if value})
        except NotFound as error:
            raise NotFound(
                f"The node {server.node.name} keeps no old console lines of this server.",
                hint="`/console tail` shows its newest; an agent of Aerie of today keeps them all for a while.",
            ) from error
        return Finding(server, page)

    def moment(self, words: str) -> datetime | None:
        """What a person means by 30m, 2h, 3d, 1w, or a date with or without a time (UTC); None for nothing. Raises Invalid."""
        words = words.strip().casefold()
        if not words:
            return None
        if (ago := _AGO.fullmatch(words)) is not None:
            return self._clock.now() - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        try:
            moment = datetime.fromisoformat(words)
        except ValueError:
            hint = "Write 30m, 2h, 3d, or a date such as 2026-01-31 or 2026-01-31 18:00 (UTC)."
            raise Invalid("That is no time I know.", hint=hint) from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
