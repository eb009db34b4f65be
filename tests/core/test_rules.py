"""Laravel's rules: what passes, what does not and why, and expressions that would never end."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import rules
from core.rules import check


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("required", ["x", "0"], ["", "  "]),
        ("nullable|string|max:3", ["", "abc"], ["abcd"]),
        ("string|max:20", ["", "x" * 20], ["x" * 21]),
        ("numeric|max:20", ["", "20", "3.5", "-4", "1e1"], ["21", "x", "1e2"]),
        ("integer|min:3", ["3", "+7", "100"], ["2", "3.0", "03", "x"]),
        ("int|between:1,5", ["1", "5"], ["0", "6"]),
        ("string|between:2,3", ["ab", "100"], ["a", "abcd"]),
        ("numeric|between:0.1,64", ["0.1", "64"], ["0.05", "64.1"]),
        ("boolean", ["1", "0", ""], ["true", "false", "yes", "2"]),
        ("bool", ["1"], ["true"]),
        ("in:true,false", ["true"], ["True", "1"]),
        ("in:,beta", ["", "beta"], ["alpha"]),
        ('in:"a,b",c', ["a,b", "c"], ["a"]),
        ("in:gta:iii", ["gta:iii"], ["gta"]),
        ("not_in:a,b", ["c"], ["a"]),
        ("size:32", ["x" * 32], ["x" * 31]),
        ("gt:0", ["1", "0.5"], ["0", "-1"]),
        ("digits:4", ["0123"], ["123", "12345", "12a4"]),
        ("digits_between:1,3", ["1", "123"], ["1234", "a"]),
        ("alpha", ["äß"], ["a1"]),
        ("alpha_num", ["a1é"], ["a-b", "a b"]),
        ("alpha_dash", ["a-b_1"], ["a.b", "a b"]),
        ("url", ["https://x.org/a?b#c", "http://localhost:80"], ["x.org", "://a", "http:// a"]),
        ("regex:/^([\\w\\d._-]+)(\\.jar)$/", ["server.jar"], ["server.txt", "a b.jar"]),
        ("regex:(^a+$)", ["aa"], ["b"]),
        ("regex:/^ABC$/i", ["abc"], ["abcd"]),
        ("not_regex:/x/", ["a"], ["axa"]),
        ("ip", ["10.0.0.1", "::1"], ["10.0.0"]),
        ("ipv4", ["10.0.0.1"], ["::1"]),
        ("uuid", ["0f5b7d1e-0000-4000-8000-000000000001"], ["0f5b"]),
        ("starts_with:a,b", ["ax"], ["c"]),
        ("ends_with:.jar", ["x.jar"], ["jar"]),
        ("json", ["{}"], ["{"]),
        ("email", ["a@b"], ["a"]),
        ("required|nullable", ["x"], [""]),
        ("", ["", "anything"], []),
        ("string|", ["x"], []),
        (" required | Max:2", ["ab"], ["", "abc"]),
        ("nullable:string", ["", "x"], []),
    ],
)
def test_a_rule_takes_and_refuses(text: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        assert check(text.split("|"), value).problems == [], value
    for value in bad:
        assert check(text.split("|"), value).problems, value
    assert check(text.split("|"), "x").notes == []


def test_problems_are_words_for_people() -> None:
    assert check(["max:1"], "ab").problems == ["must have at most 1 character"]
    assert check(["integer", "between:3,15"], "99").problems == ["must be 3 to 15"]
    assert check(["boolean"], "true").problems == ["must be 1 (yes) or 0 (no)"]
    assert check(["in:a,b,"], "c").problems == ["must be one of a, b"]
    assert check(["required", "integer"], "").problems == ["must not be empty"]
    assert check(["digits:1"], "x").problems == ["must be 1 digit"]


@pytest.mark.parametrize(
    "rule", ["frobnicate", "max:x", "between:1", "regex:abc", "regex:/(/", "regex:/a/q", "regex:", "size:nan", "gt:other"]
)
def test_a_rule_that_cannot_be_followed_is_passed_over_with_a_note(rule: str) -> None:
    verdict = check([rule], "12")
    assert verdict.problems == []
    assert len(verdict.notes) == 1


def test_an_expression_that_would_never_end_is_given_up() -> None:
    began = time.monotonic()
    verdict = check([r"regex:/^(a+)+\1?$/"], "a" * 60 + "!")
    assert verdict.problems == ["takes too long to be held against its pattern"]
    assert time.monotonic() - began < 30


def test_an_expression_that_only_others_would_choke_on_is_answered() -> None:
    assert check(["regex:/^(a+)+$/"], "a" * 10_000 + "!").problems == [f"must fit the pattern {'/^(a+)+$/'}"]


def test_what_linear_time_cannot_do_is_answered_all_the_same() -> None:
    assert check([r"regex:/^(?!x)(a|b)\1$/"], "aa").problems == []
    assert check([r"regex:/^(?!x)(a|b)\1$/"], "ab").problems != []
    assert check(["regex:/^ a b $/x"], "ab").problems == []


def test_repeats_within_repeats_are_answered() -> None:
    assert check(["regex:/^([a-z0-9]{3} ?)*$/"], "abc def").problems == []
    assert check(["regex:/^([a-z0-9]{3} ?)*$/"], "ab").problems != []


def test_the_size_of_what_is_looked_at_is_limited() -> None:
    assert check(["string"], "x" * 16_001).problems == ["must have at most 16000 characters"]
    assert check([f"regex:/{'a' * 2000}/"], "x").notes


def test_choices_and_what_must_be_said() -> None:
    assert rules.choices(["required", "in:True,False"]) == ["True", "False"]
    assert rules.choices(["boolean"]) == ["1", "0"]
    assert rules.choices(["string"]) == []
    assert rules.required(["required"])
    assert not rules.required(["nullable"])


KNOWN = st.sampled_from(["max", "min", "between", "in", "digits", "size", "gt", "starts_with", "numeric", "integer", "url", "ip", "uuid"])


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.builds(lambda name, args: f"{name}:{args}", KNOWN, st.text(max_size=12)) | st.text(max_size=12), max_size=4), st.text())
def test_no_rule_and_no_value_is_too_odd(found: list[str], value: str) -> None:
    verdict = check([rule for rule in found if "regex" not in rule], value)
    assert all(isinstance(words, str) for words in [*verdict.problems, *verdict.notes])
    rules.choices(found)


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="/ab()[]|dw+?.^$i", max_size=10), st.text(alphabet="ab1 ", max_size=20))
def test_no_expression_is_too_odd(pattern: str, value: str) -> None:
    check([f"regex:/{pattern}/"], value)
