"""What a process gets of its server's variables, whatever people called them (DOC-1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.variables import LONGEST, environment, left_out
from core.protocol.settings import ServerSettings

UUID = "11111111-2222-4333-8444-555555555555"
FIXED = ("TZ", "STARTUP", "SERVER_MEMORY", "SERVER_IP", "SERVER_PORT")


def server(variables: dict[str, object], **rest: object) -> ServerSettings:
    return ServerSettings.model_validate({"uuid": UUID, "invocation": "./run", "environment": variables, **rest})


def made(variables: dict[str, object]) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in environment(server(variables), "UTC"))


@pytest.mark.parametrize("name", [*FIXED, *(name.lower() for name in FIXED), "Startup", "sErVeR_iP"])
def test_doc_1_fixed_names_win_in_any_spelling(name: str) -> None:
    assert made({name: "evil"})[name.upper()] == made({})[name.upper()]
    assert [entry.partition("=")[0] for entry in environment(server({name: "evil"}), "UTC")] == list(FIXED)


@pytest.mark.parametrize("name", ["A=B", "A B", "a-b", "1A", "", "A\nB", "A\0", "ß", "Ａ", "A\n", "$X", "LD;PRELOAD"])
def test_doc_1_names_that_no_shell_takes_are_left_out_and_told(name: str) -> None:
    assert set(made({name: "x"})) == set(FIXED)
    (told,) = left_out(server({name: "x"}))
    assert repr(name) in told


def test_doc_1_a_value_with_a_nul_is_left_out_and_the_start_up_line_loses_its_own() -> None:
    assert "LEVEL" not in made({"level": "a\0b"})
    assert "secret" not in " ".join(left_out(server({"level": "secret\0"})))
    assert "STARTUP=./run me" in environment(server({}, invocation="./run\0 me"), "UTC")


@pytest.mark.parametrize(("value", "told"), [("a\nB=1", "a B=1"), ("a\r\n\r\nb", "a b"), ("a=b=c", "a=b=c"), ("", ""), ("ü 😀", "ü 😀")])
def test_doc_1_a_value_is_one_line_and_may_hold_anything_else(value: str, told: str) -> None:
    assert made({"motd": value})["MOTD"] == told


def test_doc_1_of_two_twins_the_one_in_capitals_wins_and_neither_comes_twice() -> None:
    entries = environment(server({"level": "small", "LEVEL": "large", "Level": "mixed"}), "UTC")
    assert [entry for entry in entries if entry.startswith("LEVEL=")] == ["LEVEL=large"]


def test_a_value_that_would_keep_the_process_from_starting_is_left_out() -> None:
    assert "BIG" not in made({"big": "x" * (LONGEST + 1)})
    assert made({"big": "x" * LONGEST})["BIG"]


def test_numbers_and_nothing_are_written_as_people_do() -> None:
    assert (
        made({"a": 5, "b": True, "c": None, "d": 5.0, "e": 1.5}).items() >= {"A": "5", "B": "true", "C": "", "D": "5", "E": "1.5"}.items()
    )


def test_the_interface_stands_in_for_the_loopback() -> None:
    local = server({}, allocations={"default": {"ip": "127.0.0.1", "port": 25565}})
    assert "SERVER_IP=172.18.0.1" in environment(local, "UTC", "172.18.0.1")
    assert "SERVER_IP=127.0.0.1" in environment(local, "UTC")
    other = server({}, allocations={"default": {"ip": "fd00::5", "port": 25565}})
    assert {"SERVER_IP=fd00::5", "SERVER_PORT=25565"} <= set(environment(other, "UTC", "172.18.0.1"))


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=30), max_size=8))
def test_whatever_people_write_each_name_comes_once_and_each_entry_is_one_line(variables: dict[str, str]) -> None:
    entries = environment(server(dict(variables)), "UTC")
    names = [entry.partition("=")[0] for entry in entries]
    assert len(names) == len(set(names))
    assert names[:5] == list(FIXED)
    assert not [entry for entry in entries if "\0" in entry or "\n" in entry]
