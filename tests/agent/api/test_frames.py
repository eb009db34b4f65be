"""Frames are built once, many at a time, and say what plain Wings frames say."""

import json

from agent.api.frames import LINES_PER_FRAME, ConsoleFrames, frame, groups
from agent.server.console import Batch
from core.protocol.socket import ConsoleBatch


def _payloads(data: bytes) -> list[bytes]:
    found = []
    while data:
        assert data[0] == 0x81
        size, head = data[1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[2:head], "big")
        found.append(data[head : head + size])
        data = data[head + size :]
    return found


def test_frames_of_every_size_are_read_back() -> None:
    sizes = (0, 125, 126, 65535, 65536)
    assert [len(payload) for payload in _payloads(b"".join(frame(b"x" * size) for size in sizes))] == list(sizes)


def test_plain_lines_are_one_message_each() -> None:
    lines = ['say "hi"', "\x1b[31mred\x1b[0m", "ünï\ufffd", "y" * 70_000]
    data = ConsoleFrames().plain([Batch(1, lines[:1]), Batch(2, lines[1:])])
    assert [json.loads(payload) for payload in _payloads(data)] == [{"event": "console output", "args": [line]} for line in lines]


def test_batches_bear_number_and_loss() -> None:
    (payload,) = _payloads(ConsoleFrames().batched([Batch(8, ["a"]), Batch(9, ["b"])], 7))
    body = json.loads(payload)
    assert body["event"] == "aerie.console"
    assert ConsoleBatch.model_validate_json(body["args"][0]) == ConsoleBatch(first_seq=8, lines=["a", "b"], dropped=7)


def test_sockets_in_step_share_what_was_built_and_others_do_not() -> None:
    frames = ConsoleFrames()
    group = [Batch(1, ["a"])]
    assert frames.batched(group, 0) is frames.batched(group, 0)
    assert frames.batched(group, 0) != frames.batched(group, 1)
    assert frames.plain(group) != frames.batched(group, 0)


def test_a_gap_or_enough_lines_begin_a_new_group() -> None:
    many = ["x"] * LINES_PER_FRAME
    batches = [Batch(1, ["a"]), Batch(2, ["b"]), Batch(9, many), Batch(9 + LINES_PER_FRAME, ["c"])]
    assert groups(batches) == [batches[:2], batches[2:3], batches[3:]]


def test_a_game_that_redraws_its_line_is_shown_line_by_line_as_by_wings() -> None:
    group = [Batch(1, ["10% \r20% \rdone", "a\rb"])]
    assert [json.loads(payload)["args"] for payload in _payloads(ConsoleFrames().plain(group))] == [["10%\r\n20%\r\ndone"], ["a\rb"]]
    body = json.loads(_payloads(ConsoleFrames().batched(group, 0))[0])
    assert json.loads(body["args"][0])["lines"] == group[0].lines
