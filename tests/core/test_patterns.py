"""Strangers' regular expressions: RE2's language, linear time, Go's replacement texts."""

import time

import pytest

from core.patterns import LONGEST, BadPattern, compiled, expanded


def test_a_pattern_that_hangs_other_engines_answers_at_once() -> None:
    evil = compiled(r"^(a+)+$")
    began = time.process_time()
    assert evil.search("a" * 50_000 + "!") is None
    assert time.process_time() - began < 5  # a backtracking engine would need longer than the universe has


@pytest.mark.parametrize("pattern", ["(", "(?=ahead)x", r"(a)\1", "*", "a" * (LONGEST + 1), "\ud800"])
def test_what_re2_does_not_know_is_refused_with_words(pattern: str) -> None:
    with pytest.raises(BadPattern) as caught:
        compiled(pattern)
    assert str(caught.value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("host$2", "host:25577"),
        ("${1}!", "localhost!"),
        ("$name/${name}", "localhost/localhost"),
        ("$9 $nobody $", "  $"),
        ("plain", "plain"),
    ],
)
def test_groups_are_put_in_as_go_does(template: str, text: str) -> None:
    found = compiled(r"^(?P<name>127\.0\.0\.1|localhost)(:\d{1,5})?$").search("localhost:25577")
    assert found is not None
    assert expanded(template, found) == text


def test_a_group_that_did_not_take_part_is_nothing() -> None:
    found = compiled(r"^(a)(b)?$").search("a")
    assert found is not None
    assert expanded("[$2]", found) == "[]"
    assert found.groupdict() == {}


def test_unicode_is_text() -> None:
    found = compiled(r"^(.)ö").search("äö")
    assert found is not None
    assert found.group(1) == "ä"
