"""What an installer said, as people are shown it."""

from bot.ui.making import last_lines


def test_an_installers_last_words_are_plain_and_tell_no_secret() -> None:
    said = ["\x1b[31mfetching\x1b[0m\r\n", "10 %\r50 %\r\n", "api_key=abcdef123\n", "```\tdone \x07"]
    assert last_lines(said) == "\n```\nfetching\n10 %\n50 %\napi_key=•••\n`\u200b`` done\n```"


def test_only_the_newest_lines_are_shown_and_nothing_for_none() -> None:
    assert last_lines([f"line {n}" for n in range(20)]).splitlines()[2:4] == ["line 12", "line 13"]
    assert last_lines(["\x1b[2J", "\r\n"]) == ""
