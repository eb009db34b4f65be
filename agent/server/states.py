"""states.json: what the next agent must know of each server to find its place again. One small file, replaced whole, never torn.

A changed state is written within a moment, those that change together in one go; how far consoles have got, every few seconds, since lines
that were read after that are recognised by their numbers. What is on disk already is not written again.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.server.server import Server
from agent.server.standing import SavedState
from core.clock import Clock

log = logging.getLogger(__name__)

TOGETHER_SECONDS = 0.1
POSITIONS_SECONDS = 5.0


class StatesFile:
    """`read` what the last agent left, then `run` as a worker; `save` once more at the end."""

    def __init__(self, file: Path, servers: Callable[[], Iterable[Server]], clock: Clock) -> None:
        self._file = file
        self._servers = servers
        self._clock = clock
        self._changed: set[str] = set()
        self._some = asyncio.Event()
        self._words: dict[str, str] = {}
        """Each server's entry as JSON, as it was put into words last."""
        self._writing = asyncio.Lock()
        self._written = ""
        self._failing = False

    def read(self) -> dict[str, SavedState]:
        """As the last agent left them; or Wings, which keeps `uuid: state`. An entry that makes no sense is left out. Used in a thread."""
        try:
            kept = dict(json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}
        found = {}
        for uuid, value in kept.items():
            with contextlib.suppress(ValueError):
                found[uuid] = SavedState.model_validate({"state": value} if isinstance(value, str) else value)
        return found

    def changed(self, uuid: str) -> None:
        """Something about this server is to be written soon; or it is gone."""
        self._changed.add(uuid)
        self._some.set()

    async def run(self) -> None:
        """Write what changes, for ever."""
        await self.save()
        positions = self._clock.monotonic()
        while True:
            due = positions + POSITIONS_SECONDS - self._clock.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due)):
                    await self._some.wait()
                    await self._clock.sleep(TOGETHER_SECONDS)
            if self._clock.monotonic() - positions >= POSITIONS_SECONDS:
                positions = self._clock.monotonic()
                await self.save()
            else:
                await self._write(self._changed)

    async def save(self) -> None:
        """Write how all stand, consoles' positions too."""
        await self._write(self._changed | {server.uuid for server in self._servers()})

    async def _write(self, uuids: Iterable[str]) -> None:
        async with self._writing:
            uuids = set(uuids)
            self._changed -= uuids
            self._some.clear()
            servers = {server.uuid: server for server in self._servers()}
            for uuid in uuids & servers.keys():
                self._words[uuid] = servers[uuid].saved().model_dump_json()
            self._words = {uuid: self._words[uuid] for uuid in servers if uuid in self._words}
            body = "{" + ",\n".join(f"{json.dumps(uuid)}:{words}" for uuid, words in self._words.items()) + "}"
            if body == self._written:
                return
            try:
                await asyncio.to_thread(self._replace, body)
            except OSError as error:
                if not self._failing:
                    log.error("%s cannot be written: %s. After a restart the agent may not know what ran.", self._file, error.strerror)
                self._failing = True  # tried again with the next change, or when positions are due
            else:
                self._written, self._failing = body, False

    def _replace(self, body: str) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.touch(mode=0o600)  # it holds console lines
        fresh.write_text(body, encoding="utf-8")
        fresh.replace(self._file)
