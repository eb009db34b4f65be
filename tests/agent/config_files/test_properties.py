"""What every parser promises, for any text and any value: the value arrives, nothing else does, and a second pass changes nothing."""

import configparser
import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from ruamel.yaml import YAML

from agent.config_files import ini_file, json_file, plain, properties_file, xml_file, yaml_file
from agent.config_files.rules import Rule, Unparsable, rules, written
from core.protocol.settings import Replacement

PARSERS = {
    "file": plain.rewritten,
    "properties": properties_file.rewritten,
    "ini": ini_file.rewritten,
    "json": json_file.rewritten,
    "yaml": yaml_file.rewritten,
    "xml": xml_file.rewritten,
}
EGGS = Path(__file__).resolve().parents[4] / "shared" / "eggs"
NAMES = st.text(string.ascii_letters, min_size=1, max_size=8)
WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
quickly = settings(max_examples=30, deadline=None)


@pytest.mark.parametrize("parser", PARSERS)
@quickly
@given(text=st.text(max_size=300), match=WORDS, value=WORDS, condition=st.none() | WORDS)
def test_no_text_breaks_a_parser(parser: str, text: str, match: str, value: str, condition: str | None) -> None:
    try:
        PARSERS[parser](text, [Rule(match, value, condition)])
    except Unparsable as error:
        assert str(error)


@quickly
@given(old=st.dictionaries(NAMES, WORDS, max_size=5), key=NAMES, value=WORDS)
def test_a_property_arrives_and_the_others_stay(old: dict[str, str], key: str, value: str) -> None:
    text = properties_file.rewritten("# head\n", [Rule(name, word) for name, word in old.items()])
    made = properties_file.rewritten(text, [Rule(key, value)])
    read = {
        parted[0]: parted[1]
        for line in properties_file._logical(made)
        if not properties_file._is_comment(line) and (parted := properties_file._parted(line))
    }
    assert read == {**{name: word.replace("\0", "") for name, word in old.items()}, key: value.replace("\0", "")}
    assert made.startswith("# head\n")
    assert made.isascii()
    assert properties_file.rewritten(made, [Rule(key, value.replace("\0", ""))]) == made


@quickly
@given(section=NAMES, key=NAMES.filter(lambda name: name.lower() != "other"), value=st.text(string.ascii_letters + " .-:/§", max_size=20))
def test_an_ini_value_arrives_and_the_others_stay(section: str, key: str, value: str) -> None:
    text = f"[{section}]\nother = 1\n[zz-last]\nother = 2\n"
    made = ini_file.rewritten(text, [Rule(f"{section}.{key}", value)])
    read = configparser.RawConfigParser()
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(made)
    assert read[section][key] == value.strip()
    assert (read[section]["other"], read["zz-last"]["other"]) == ("1", "2")
    assert ini_file.rewritten(made, [Rule(f"{section}.{key}", value)]) == made


@pytest.mark.parametrize("kind", ["json", "yaml"])
@quickly
@given(
    tree=st.dictionaries(NAMES, NESTED, max_size=4),
    path=st.lists(NAMES, min_size=1, max_size=3),
    value=WORDS | st.booleans() | st.integers(-1000, 1000),
)
def test_a_path_is_set_and_all_else_stays(kind: str, tree: dict[str, Any], path: list[str], value: Any) -> None:
    read: Any = json.loads if kind == "json" else YAML(typ="safe").load
    text = json.dumps(tree)
    try:
        made = PARSERS[kind](text, [Rule(".".join(path), value)])
    except Unparsable:
        assert kind == "yaml"  # YAML forbids some characters that JSON writes plainly
        return
    result, before = read(made), read(text)
    here: Any = result
    for step in path:
        here = here[step]
    if not isinstance(here, dict | list):
        assert written(here) == Rule("", value).text or written(here) == str(value)
    for name in before:
        if name != path[0]:
            assert result[name] == before[name]


@quickly
@given(
    path=st.lists(NAMES, min_size=1, max_size=3), value=st.text(string.printable, max_size=30).filter(lambda text: not text.startswith("["))
)
def test_an_xml_text_arrives_and_stays_text(path: list[str], value: str) -> None:
    made = xml_file.rewritten("<root><keep a='1'>x</keep></root>", [Rule(".".join(["root", *path]), value)])
    root = etree.fromstring(made.encode())
    element = root
    for part in path:
        found = element.find(part)
        assert found is not None
        element = found
    expected = "".join(letter for letter in value if letter >= " " or letter in "\t\n\r")
    assert (element.text or "") == expected
    if path != ["keep"]:
        assert root.findtext("keep", "").startswith("x")


@quickly
@given(lines=st.lists(st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"]), max_size=20), max_size=8), match=NAMES)
def test_lines_that_do_not_match_stay(lines: list[str], match: str) -> None:
    text = "\n".join(lines)
    made = plain.rewritten(text, [Rule(match, "new")]).split("\n")
    assert len(made) == max(1, len(lines))
    for before, after in zip(lines, made, strict=False):
        assert after == before or before.startswith(match)


def every_pattern() -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for egg in sorted(EGGS.glob("*.json")) if EGGS.is_dir() else []:
        files = json.loads(egg.read_text())["config"]["files"]
        for file, entry in ((json.loads(files) if isinstance(files, str) else files) or {}).items():
            if isinstance(entry, dict) and isinstance(entry.get("find"), dict):
                found.append((f"{egg.stem}:{file}", entry["parser"].replace("yml", "yaml"), entry["find"]))
    return found


@pytest.mark.skipif(not EGGS.is_dir(), reason="the folder ../shared/eggs is not here")
def test_every_pattern_of_the_community_eggs_works() -> None:
    patterns = every_pattern()
    assert len(patterns) > 30
    for name, parser, find in patterns:
        made = rules(
            [Replacement(match=match, replace_with=value) for match, value in find.items() if not isinstance(value, dict)], "172.18.0.1"
        )
        start = "{}" if parser == "json" else "\n".join(str(rule.match) for rule in made) if parser == "file" else ""
        text = PARSERS[parser](start, made)
        for rule in made:
            if "*" not in rule.match and rule.text.isalnum():
                assert rule.text in text, (name, rule)
        assert PARSERS[parser](text, made) == text or parser == "file", name
