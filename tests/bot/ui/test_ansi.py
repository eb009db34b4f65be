"""Game output made fit for a code block."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.ui import ansi
from bot.ui.ansi import Level

ALLOWED = re.compile(r"\x1b\[(?:0|1|4|3[0-7]|4[0-7])(?:;(?:0|1|4|3[0-7]|4[0-7]))*m")
HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(codec=None),
        st.sampled_from(["\x1b", "[", "m", ";", "0", "1", "3", "8", "5", "`", "\r", "\x9b", "]", "\x07", "@", "K"]),
    ),
    max_size=700,
)


@given(HOSTILE)
def test_ws_11_only_escapes_that_discord_draws_are_left(line: str) -> None:
    rest = ALLOWED.sub("", ansi.clean(line))
    assert "\x1b" not in rest
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", rest)


@given(HOSTILE)
def test_ws_11_no_line_can_end_the_block_and_none_is_too_long(line: str) -> None:
    shown = ansi.clean(line)
    assert "```" not in shown
    assert "```" not in ALLOWED.sub("", shown)
    assert len(ALLOWED.sub("", shown).replace("\u200b", "")) <= ansi.LONGEST_SHOWN
    shown.encode()  # no lone surrogates: orjson and Discord would refuse them


@given(HOSTILE)
def test_a_coloured_line_ends_uncoloured(line: str) -> None:
    escapes = ALLOWED.findall(ansi.clean(line))
    assert not escapes or escapes[-1] == "\x1b[0m"


@given(HOSTILE)
def test_without_colours_there_is_no_escape(line: str) -> None:
    assert "\x1b" not in ansi.clean(line, colours=False)


@given(HOSTILE)
def test_a_log_line_is_one_line_of_words(line: str) -> None:
    words = ansi.log_line(ansi.last_state(line))
    assert "\x1b" not in words and "\n" not in words and "\r" not in words
    words.encode()


@given(st.binary(max_size=300))
def test_any_bytes_decode(data: bytes) -> None:
    ansi.clean(ansi.decode(data)).encode()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[91mbright", "\x1b[1;31mbright\x1b[0m"),
        ("\x1b[38;5;196mred", "\x1b[31mred\x1b[0m"),
        ("\x1b[38;5;21mblue", "\x1b[34mblue\x1b[0m"),
        ("\x1b[38;2;10;250;10mgreen", "\x1b[32mgreen\x1b[0m"),
        ("\x1b[48;2;250;10;10mon red", "\x1b[41mon red\x1b[0m"),
        ("\x1b[1m\x1b[31mboth\x1b[22m thin", "\x1b[1;31mboth\x1b[0;31m thin\x1b[0m"),
        ("\x1b[2J\x1b[1;1Hclear\x1b[K", "clear"),
        ("\x1b]0;title\x07words", "words"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r50%\r100%", "100%"),
        ("done\r", "done"),
        ("bell\x07 and \x00nul\ttab", "bell and nul\ttab"),
        ("abc\u202edcba", "abcdcba"),
        ("[12:00] [WARN] low", "\x1b[33m[12:00] [WARN] low\x1b[0m"),
        ("[12:00] [ERROR] no", "\x1b[31m[12:00] [ERROR] no\x1b[0m"),
        ("\x1b[m", ""),
        ("\x1b[38;5m", ""),
        ("\x1b[999999999999999999999mx", "x"),
    ],
)
def test_colours_are_reduced_to_what_discord_draws(line: str, shown: str) -> None:
    assert ansi.clean(line) == shown


def test_three_backticks_are_broken_even_when_an_escape_parted_them() -> None:
    assert "```" not in ansi.clean("a ```` b")
    assert "```" not in ansi.clean("`\x1b[5m`\x1b[0m`")


def test_a_line_of_one_megabyte_is_clipped() -> None:
    shown = ansi.clean("x" * 1_000_000)
    assert len(shown) == 300 and shown.endswith("…")
    assert ansi.last_state("y" * 1_000_000).endswith("characters cut)")
    assert len(ansi.clean("\x1b[31m" * 200_000 + "x")) <= 320


@pytest.mark.parametrize(
    "line",
    ["rcon.password=hunter22", 'password: "hunter22"', "Authorization: Bearer hunter22hunter22", "api_key = hunter22", "token=hunter22"],
)
def test_secrets_are_hidden(line: str) -> None:
    assert "hunter22" not in ansi.clean(line) and "•••" in ansi.clean(line)
    assert "hunter22" not in ansi.log_line("\x1b[31m" + line)
    assert "hunter22" not in ansi.clean(line.replace("hunter", "hun\x1b[1mter"))


def test_a_mail_address_is_hidden() -> None:
    assert ansi.mask("login of kim@example.org ok") == "login of ••• ok"


def test_the_level_is_read_from_the_words() -> None:
    assert [ansi.level(line) for line in ("x SEVERE: y", "WARNING[Main]: z", "all good", "[debug] q")] == [
        Level.ERROR,
        Level.WARN,
        Level.INFO,
        Level.DEBUG,
    ]
