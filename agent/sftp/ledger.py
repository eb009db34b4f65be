"""What sessions did, gathered into Wings' activity entries: one per person, server, address and event within a minute.

A thousand uploads become ten lines, not a thousand. Must never hold an entry much longer than a minute.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.sftp.grant import Grant
from agent.sftp.handler import Deed
from core.clock import Clock
from core.protocol.remote import ActivityEntry

HOLD_SECONDS = 60.0
MOST_FILES = 100
"""Files named in one entry."""

Tell = Callable[[ActivityEntry], Awaitable[None]]
"""Takes an entry on its way to the control plane."""


@dataclass
class _Gathered:
    began: float
    at: datetime
    files: list[Any] = field(default_factory=list)


class Ledger:
    """`note` deeds; `send_due` tells those that are full or a minute old, `send_all` every one."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self._clock = clock
        self._tell = tell
        self._gathered: dict[tuple[str, str, str, str], _Gathered] = {}
        self._full: list[ActivityEntry] = []

    def note(self, grant: Grant, ip: str, deeds: Sequence[Deed]) -> None:
        for deed in deeds:
            key = (grant.user, grant.server, ip, deed.event)
            entry = self._gathered.setdefault(key, _Gathered(self._clock.monotonic(), self._clock.now()))
            entry.files.append({"from": deed.path, "to": deed.to} if deed.event == "rename" else deed.path)
            if len(entry.files) >= MOST_FILES:
                self._end(key)

    async def send_due(self) -> None:
        for key, entry in list(self._gathered.items()):
            if self._clock.monotonic() - entry.began >= HOLD_SECONDS:
                self._end(key)
        await self._send()

    async def send_all(self) -> None:
        for key in list(self._gathered):
            self._end(key)
        await self._send()

    def _end(self, key: tuple[str, str, str, str]) -> None:
        entry = self._gathered.pop(key)
        user, server, ip, event = key
        self._full.append(
            ActivityEntry(
                user=user or None,
                server=server,
                event=f"server:sftp.{event}",
                metadata={"files": entry.files},
                ip=ip or None,
                timestamp=entry.at,
            )
        )

    async def _send(self) -> None:
        """What cannot be told now stays for the next time."""
        while self._full:
            await self._tell(self._full[0])
            self._full.pop(0)
