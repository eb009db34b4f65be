"""Finding one's place again: the engine's log laid over what came through the new attachment."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.server.catchup import missing, unread

START = datetime(2026, 11, 24, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def log(*words: str) -> list[tuple[datetime, str]]:
    return [(at(number), line) for number, line in enumerate(words)]


def test_what_follows_the_known_tail_is_unread() -> None:
    assert unread(log("a", "b", "c", "d"), ["a", "b"], at(1.5)) == log("a", "b", "c", "d")[2:]


def test_a_line_written_but_not_read_before_the_end_is_not_lost() -> None:
    assert [words for _, words in unread(log("a", "b", "c"), ["a"], at(1.5))] == ["b", "c"]


def test_without_a_tail_the_time_decides_and_without_a_time_everything_is_new() -> None:
    assert [words for _, words in unread(log("x", "y", "z"), ["gone by rotation"], at(0.5))] == ["y", "z"]
    assert unread(log("x", "y"), [], None) == log("x", "y")


@given(st.lists(st.sampled_from(["tick", "tock", "boom"]), min_size=1, max_size=12), st.data())
def test_nothing_is_lost_or_doubled_wherever_the_attachment_begins(words: list[str], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(words)))
    numbered = [f"{number} {word}" for number, word in enumerate(words)]
    reach = data.draw(st.integers(begin, len(words)))  # the log was read before the attachment brought the rest
    lines, torn = missing(log(*numbered[:reach]), at(max(0, begin - 1)), numbered[begin:])
    assert not torn
    assert lines + numbered[begin:] == numbered


def test_a_torn_first_line_is_taken_from_the_log() -> None:
    assert missing(log("one", "two words", "three"), at(1), ["words", "three"]) == (["one", "two words"], True)
