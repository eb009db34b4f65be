"""WebSocket frames as bytes: built once for all sockets of a server that read in step, many in one piece, to be written in one go.

One aiohttp send per line costs five times what the rest of the console's path costs together; hence our own frames. Knows no socket.
"""

from collections.abc import Iterable, Sequence

import orjson

from agent.server.console import Batch
from core.protocol.socket import Outbound

LINES_PER_FRAME = 1_000
WEIGHT_PER_FRAME = 2_000
"""About half a megabyte of long lines; what a slow reader has not taken yet is held once for each reader."""
KEPT = 16
"""Encoded groups that are remembered for the next socket."""
_LINE_HEAD = orjson.dumps({"event": Outbound.CONSOLE_OUTPUT.value, "args": []})[:-2]
_LINE_TAIL = b"]}"

Group = Sequence[Batch]
"""Neighbouring batches, sent as one."""


def frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def message(event: Outbound, text: str | None) -> bytes:
    """Wings' `{"event", "args"}`; without words there are no args."""
    return orjson.dumps({"event": event.value} if text is None else {"event": event.value, "args": [text]})


def groups(batches: Iterable[Batch]) -> list[list[Batch]]:
    """Neighbouring batches together, up to about LINES_PER_FRAME lines each; a gap in the numbers begins a new group."""
    made: list[list[Batch]] = []
    following = size = weight = 0
    for batch in batches:
        if made and batch.first_seq == following and size < LINES_PER_FRAME and weight < WEIGHT_PER_FRAME:
            made[-1].append(batch)
            size += len(batch.lines)
            weight += batch.weight
        else:
            made.append([batch])
            size, weight = len(batch.lines), batch.weight
        following = batch.first_seq + len(batch.lines)
    return made


class ConsoleFrames:
    """One server's console as frames. Sockets that are as far as each other share what was built."""

    def __init__(self) -> None:
        self._built: dict[tuple[int, int, int], bytes] = {}

    def plain(self, group: Group) -> bytes:
        """One `console output` message per line, as Wings sends them."""
        key = (group[0].first_seq, _last(group), -1)
        return self._built.get(key) or self._remember(key, b"".join(_line_frame(line) for batch in group for line in batch.lines))

    def batched(self, group: Group, dropped: int) -> bytes:
        """One `aerie.console` message: a ConsoleBatch, put together by hand because this is the hottest path of the agent."""
        key = (group[0].first_seq, _last(group), dropped)
        if (built := self._built.get(key)) is not None:
            return built
        lines = group[0].lines if len(group) == 1 else [line for batch in group for line in batch.lines]
        body = orjson.dumps({"first_seq": group[0].first_seq, "lines": lines, "dropped": dropped})
        return self._remember(key, frame(message(Outbound.AERIE_CONSOLE, body.decode())))

    def _remember(self, key: tuple[int, int, int], data: bytes) -> bytes:
        if len(self._built) >= KEPT:
            del self._built[next(iter(self._built))]
        self._built[key] = data
        return data


def _last(group: Group) -> int:
    return group[-1].first_seq + len(group[-1].lines) - 1


def _line_frame(line: str) -> bytes:
    if "\r" in line:
        line = line.replace(" \r", "\r\n")  # Wings: a game that redraws its line is shown line by line
    return frame(_LINE_HEAD + orjson.dumps(line) + _LINE_TAIL)
