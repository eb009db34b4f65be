"""One SFTP session on its SSH channel: bytes to packets, packets to a thread, answers back in one write.

Packets that came while a thread was busy go to it together, so that a busy session pays for one thread hop per batch and not per packet.
One thread works for a session at a time, which keeps the order that clients rely on. Memory is bounded in both directions: the channel is
not read while much is waiting, and the thread pauses while the client does not read.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import asyncssh

from agent.filesystem.volume import Volume
from agent.sftp.grant import Grant
from agent.sftp.handler import Deed, Handler
from agent.sftp.packets import LARGEST_PACKET, Malformed
from core.clock import Clock
from core.errors import AerieError

log = logging.getLogger(__name__)

MOST_IN_BATCH = 128
"""Packets handed to a thread at once."""
PORTION = 512 * 1024
"""Bytes of answers after which they are written while the thread goes on."""
MOST_WAITING, FEW_WAITING = 8 * 1024 * 1024, 2 * 1024 * 1024
"""Bytes of requests at which the channel is no longer read, and is read again."""
PACKET_COST = 512
"""Bytes that a waiting packet counts beside its own."""


@dataclass(frozen=True)
class Surroundings:
    """What every session needs and none owns."""

    pool: Executor
    clock: Clock
    read_only: bool
    standing: Callable[[Grant], None]
    """Raises AerieError once the grant's server may not be used any more."""
    tell: Callable[[Grant, str, Sequence[Deed]], None]
    """Told who (grant and address) did what."""


class Session(asyncssh.SSHServerSession[bytes]):
    """Born when a signed-in client opens a channel. `end` it from outside at any time."""

    def __init__(self, grant: Grant, volume: Volume, address: str, around: Surroundings, gone: Callable[["Session"], None]) -> None:
        self.grant = grant
        self.volume = volume
        self.used_at = around.clock.monotonic()
        """When the client last sent something (monotonic seconds)."""
        self._address = address
        self._around = around
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._handler: Handler | None = None
        self._inbox = bytearray()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._reading = True
        self._writing = True
        self._busy = False
        self._finished = False
        self._ended = False

    # What asyncssh tells

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        """`sftp` and nothing else; shells, commands and forwarding are refused by what the base class answers."""
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._submit(self._prepare)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.used_at = self._around.clock.monotonic()
        if self._ended:
            return
        self._inbox += data
        try:
            self._cut()
        except Malformed as error:
            self.end(str(error))
            return
        if self._reading and self._waiting_bytes > MOST_WAITING and self._channel is not None:
            self._reading = False
            self._channel.pause_reading()
        self._work_on()

    def eof_received(self) -> bool:
        """The client has said all it wanted: answer what is waiting, then close."""
        self._finished = True
        self._work_on()
        return True

    def pause_writing(self) -> None:
        self._writing = False

    def resume_writing(self) -> None:
        self._writing = True
        self._work_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        self._ended = True
        if not self._busy:
            self._submit(self._put_away)
        self._gone(self)

    # What others ask

    def end(self, reason: str) -> None:
        """Close the whole connection: requests that wait are not carried out any more."""
        if self._ended:
            return
        self._ended = True
        self._waiting.clear()
        if self._channel is not None:
            self._channel.get_connection().disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    # In the loop

    def _cut(self) -> None:
        """Take whole packets out of the inbox. Raises Malformed."""
        at, held = 0, len(self._inbox)
        while held - at >= 4:
            length = int.from_bytes(self._inbox[at : at + 4], "big")
            if not 1 <= length <= LARGEST_PACKET:
                raise Malformed("A packet of this length is not SFTP.")
            if held - at - 4 < length:
                break
            self._waiting.append(bytes(memoryview(self._inbox)[at + 4 : at + 4 + length]))
            self._waiting_bytes += length + PACKET_COST
            at += 4 + length
        if at:
            del self._inbox[:at]

    def _work_on(self) -> None:
        if self._busy or self._handler is None or self._ended or not self._writing:
            return
        if not self._waiting:
            if self._finished and self._channel is not None:
                self._channel.exit(0)
            return
        try:
            self._around.standing(self.grant)
        except AerieError as error:
            self.end(error.message)
            return
        batch = [self._waiting.popleft() for _ in range(min(MOST_IN_BATCH, len(self._waiting)))]
        self._waiting_bytes -= sum(len(packet) + PACKET_COST for packet in batch)
        self._submit(lambda: self._answer(batch))

    def _submit(self, job: Callable[[], None]) -> None:
        self._busy = True
        try:
            self._around.pool.submit(self._guard, job)
        except RuntimeError:  # the pool closed: the agent is ending
            self._busy = False

    def _send(self, answers: list[bytes]) -> None:
        if self._channel is not None and not self._ended:
            self._channel.write(b"".join(answers))

    def _prepared(self, handler: Handler) -> None:
        self._handler = handler
        self._rested()

    def _answered(self, answers: list[bytes], rest: list[bytes], deeds: list[Deed], malformed: str) -> None:
        self._send(answers)
        if deeds:
            self._around.tell(self.grant, self._address, deeds)
        self._waiting.extendleft(reversed(rest))
        self._waiting_bytes += sum(len(packet) + PACKET_COST for packet in rest)
        if not self._reading and self._waiting_bytes < FEW_WAITING and self._channel is not None:
            self._reading = True
            self._channel.resume_reading()
        if malformed:
            self.end(malformed)
        self._rested()

    def _rested(self) -> None:
        """The thread is done: give it more, or let it put everything away."""
        self._busy = False
        if self._channel is None or self._ended:
            self._submit(self._put_away)
        else:
            self._work_on()

    def _failed(self, words: str) -> None:
        self._busy = False
        self.end(words)

    # In a thread

    def _guard(self, job: Callable[[], None]) -> None:
        try:
            job()
        except AerieError as error:
            self._later(self._failed, str(error))
        except Exception:
            log.exception("an SFTP session failed")
            self._later(self._failed, "The session failed on the node.")

    def _later(self, what: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:
            log.debug("an SFTP session outlived the event loop")

    def _prepare(self) -> None:
        files = self.volume.open()
        try:
            self.volume.count_first()
        except BaseException:
            files.close()
            raise
        self._later(self._prepared, Handler(files, self.grant, read_only=self._around.read_only))

    def _answer(self, batch: list[bytes]) -> None:
        handler = self._handler
        assert handler is not None
        handler.files.denied = self.volume.denied()
        with handler.files.rights():
            answers, done, malformed = self._answers(handler, batch)
        deeds, handler.done = handler.done, []
        self._later(self._answered, answers, batch[done:], deeds, malformed)

    def _answers(self, handler: Handler, batch: list[bytes]) -> tuple[list[bytes], int, str]:
        """Answers that are not sent yet, how many packets were answered, and what was wrong with one that was no SFTP."""
        answers: list[bytes] = []
        size = done = 0
        for packet in batch:
            if self._ended or not self._writing:
                break
            done += 1
            try:
                answer = handler.answer(packet)
            except Malformed as error:
                return answers, done, str(error)
            answers.append(answer)
            size += len(answer)
            if size >= PORTION:
                self._later(self._send, answers)
                answers, size = [], 0
        return answers, done, ""

    def _put_away(self) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.close()
