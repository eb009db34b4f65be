"""Texts stay within Discord's limits and lose nothing they should keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.ui.console import snapshot
from bot.ui.text import CONTENT, clip, code, duration, fence, plain, sentence, size


@given(st.text(max_size=300), st.integers(min_value=0, max_value=200))
def test_a_clipped_text_is_never_longer_than_its_limit(text: str, limit: int) -> None:
    assert len(clip(text, limit)) <= limit


def test_a_short_text_is_left_alone() -> None:
    assert clip("luanti", 6) == "luanti"


def test_a_cut_does_not_part_an_accent_or_a_joined_sign() -> None:
    assert clip("cafe\u0301 au lait", 5) == "caf…"
    family = "👨\u200d👩\u200d👧"
    assert clip(f"ab{family}cdef", 5) == "ab…"


def test_ws_11_markup_and_mentions_of_a_game_do_nothing() -> None:
    text = plain("**@everyone** <@1> `x`\n# big")
    assert "@everyone" not in text
    assert "\n" not in text
    assert r"\*\*" in text


def test_words_in_code_keep_their_underscores_and_cannot_leave_it() -> None:
    assert code("say_hello ~x*") == "`say_hello ~x*`"
    assert code("a `b` \n c\x1b") == "`a ˋbˋ c`"
    assert code(" \n") == ""
    assert code("x" * 300, 40) == "`" + "x" * 39 + "…`"


def test_a_code_block_keeps_the_newest_lines_and_cannot_be_broken_out_of() -> None:
    block = fence([f"line {n} ```" for n in range(1000)], CONTENT)
    assert len(block) <= CONTENT
    assert "line 999" in block
    assert block.count("```") == 2


def test_a_line_longer_than_a_message_is_clipped() -> None:
    assert len(fence(["x" * 1_000_000], CONTENT)) <= CONTENT


@given(st.lists(st.text(max_size=400), max_size=60))
def test_a_snapshot_always_fits_a_message(lines: list[str]) -> None:
    assert 0 < len(snapshot(lines)) <= CONTENT


def test_a_snapshot_drops_colours_and_control_characters() -> None:
    assert snapshot(["\x1b[31mred\x1b[0m \x07bell", "10%\r50%\r100%"]) == "```\nred bell\n100%\n```"
    assert snapshot(["", " "]) == "The console is empty."


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (41.2, "41 s"), (60, "1 min"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (4 * 86400, "4 d 0 h")]
)
def test_durations_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sizes_and_sentences() -> None:
    assert size(312 * 1024**2) == "312 MiB"
    assert size(3 * 1024**3 // 2) == "1.5 GiB"
    assert sentence("it ended") == "it ended."
    assert sentence("Really?") == "Really?"
