"""Streams of independent blocks: any tool reads them whole, and we from any place."""

import gzip
import io
import os
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives import blocks
from agent.archives.blocks import BlockReader, BlockWriter, Codec


def packed(data: bytes, codec: Codec, portion: int = 100_000) -> tuple[bytes, list[int]]:
    out = io.BytesIO()
    with BlockWriter(out, codec) as writer:
        for at in range(0, len(data), portion):
            writer.write(data[at : at + portion])
    assert writer.size == len(out.getvalue())
    return out.getvalue(), writer.offsets


def plain(data: bytes, codec: Codec) -> bytes:
    """As another tool would read it."""
    if codec is Codec.GZIP:
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("size", [0, 1, blocks.BLOCK, 2 * blocks.BLOCK + 12345])
def test_other_tools_read_it_whole(codec: Codec, size: int) -> None:
    data = random.Random(size).randbytes(min(size, 1000)) * (size // 1000 + 1)
    body, offsets = packed(data[:size], codec)
    assert plain(body, codec) == data[:size]
    assert len(offsets) == max(1, -(-size // blocks.BLOCK))


@pytest.mark.parametrize("codec", list(Codec))
@settings(max_examples=40)
@given(st.binary(max_size=5000), st.integers(0, 6000), st.integers(1, 3000), st.sampled_from([1, 7, 100, 1000]))
def test_it_is_read_from_any_place_without_the_rest(codec: Codec, data: bytes, at: int, size: int, block: int) -> None:
    was, blocks.BLOCK = blocks.BLOCK, max(block, len(data) // 50)
    try:
        body, offsets = packed(data, codec, portion=333)
        read: list[tuple[int, int]] = []

        def read_at(offset: int, length: int) -> bytes:
            read.append((offset, length))
            return body[offset : offset + length]

        reader = BlockReader(read_at, offsets, len(body), codec)
        reader.seek(at)
        out = bytearray()
        while len(out) < size and (part := reader.read(size - len(out))):
            out += part
        assert bytes(out) == data[at : at + size]
        needed = len({number // blocks.BLOCK for number in range(at, min(at + size, len(data)))})
        assert len(read) <= needed + 1
    finally:
        blocks.BLOCK = was


@pytest.mark.parametrize("codec", list(Codec))
def test_a_changed_or_cut_block_is_an_error(codec: Codec) -> None:
    body, offsets = packed(os.urandom(10_000), codec)
    for broken in (body[:-3], body[:50] + bytes([body[50] ^ 1]) + body[51:]):
        reader = BlockReader(lambda offset, length, data=broken: data[offset : offset + length], offsets, len(body), codec)  # type: ignore[misc]
        with pytest.raises(ValueError):
            reader.read()
