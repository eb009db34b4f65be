"""What an egg or a user may try with configuration files: secrets by placeholder, values that break out, patterns and files without end."""

import configparser
import json
import time
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from ruamel.yaml import YAML

from agent.config_files.rewrite import LARGEST, LARGEST_YAML, PARSERS, rewrite_below
from agent.config_files.rules import Rule, Unparsable, rules
from core.patterns import BadPattern, compiled
from core.protocol.settings import ConfigFile, Replacement
from tests.agent.config_files.test_rewrite import OWNER, changed

SECRETS = [
    "{{config.token}}",
    "{{ config.token_id }}",
    "{{config.docker.registries}}",
    "{{config.remote}}",
    "{{config.docker}}",
    "{{config.docker.network}}",
    "{{config.docker.network.interfaces.v4.gateway}}",
    "{{config.docker.interface.x}}",
    "{{config.Docker.Interface}}",
    "{{{{config.token}}}}",
    "{{config.{{config.docker.interface}}}}",
    "{{config.docker.interface}}{{config.token}}",
    "\uff5b\uff5bconfig.token\uff5d\uff5d",
    "{{\u200bconfig.token}}",
    "${config.token}",
    "$1{{config.token}}",
    "%(token)s",
    "{{server.build.env.RCON}}",
    "{{env.RCON}}",
]
HOSTILE = [
    "two\nlines",
    "two\r\nlines",
    "a=b",
    "a: b",
    "# a comment",
    "; a comment",
    '"quoted"',
    "it's",
    "tail\\",
    "\\n\\u0041",
    "[section]",
    "- item",
    "!!python/object/apply:os.system [id]",
    "&anchor",
    "*alias",
    "&xxe;",
    "]]><x/>",
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    "$1 ${1} \\1 \\g<0>",
    "{{x}}",
    "null",
    "{}",
    "  ",
    "\u2028\u2029\x85",
]
BEFORE = {
    "properties": "first=1\nvalue=old\nlast=2\n",
    "ini": "[main]\nfirst = 1\nvalue = old\nlast = 2\n",
    "json": '{"main": {"first": "1", "value": "old", "last": "2"}}',
    "yaml": "main:\n  first: '1'\n  value: old\n  last: '2'\n",
    "xml": "<main><first>1</first><value>old</value><last>2</last></main>",
}


@pytest.mark.parametrize("text", SECRETS)
def test_tpl_1_nothing_but_the_interface_is_ever_put_in(text: str) -> None:
    (made,) = rules([Replacement(match="a", replace_with=text)], "172.18.0.1")
    assert made.value == text.replace("{{config.docker.interface}}", "172.18.0.1")


def test_tpl_1_values_and_conditions_are_not_looked_through_a_second_time(tmp_path: Path) -> None:
    """A placeholder put together from two values, or by a condition's groups, stays words."""
    file = tmp_path / "a.properties"
    file.write_text("a=token\nb={{config.\n")
    config = ConfigFile.model_validate(
        {
            "file": "a.properties",
            "parser": "properties",
            "replace": [
                {"match": "a", "if_value": "regex:^(.*)$", "replace_with": "{{config.$1}}"},
                {"match": "c", "replace_with": "{{config"},
                {"match": "d", "replace_with": ".docker.interface}}"},
            ],
        }
    )
    assert rewrite_below(tmp_path, OWNER, [config], "172.18.0.1") == []
    assert "172.18.0.1" not in file.read_text()
    assert "a={{config.token}}" in file.read_text()


def _read(parser: str, text: str) -> dict[str, Any]:
    """The values of a file as the program of its format reads them."""
    match parser:
        case "properties":
            return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines() if "=" in line)}
        case "ini":
            read = configparser.RawConfigParser(strict=True, interpolation=None)
            read.read_string(text)
            return dict(read["main"])
        case "json":
            return dict(json.loads(text)["main"])
        case "yaml":
            return dict(YAML(typ="safe", pure=True).load(text)["main"])
        case _:
            tree = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
            return {child.tag: child.text for child in tree}


@pytest.mark.parametrize("parser", BEFORE)
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_tpl_2_a_value_is_one_value_in_every_format(parser: str, value: str) -> None:
    match = "value" if parser == "properties" else "main.value"
    try:
        made = PARSERS[parser](BEFORE[parser], [Rule(match, value)])
    except Unparsable:
        return  # a format that cannot hold it leaves its file alone
    read = _read(parser, made)
    assert list(read) == ["first", "value", "last"]
    assert (read["first"], read["last"]) == ("1", "2")
    if parser in ("json", "yaml", "xml") and value.strip():
        assert str(read["value"]).replace("\r\n", "\n") == value.replace("\r\n", "\n") or value in ("null", "{}")


@pytest.mark.parametrize("parser", PARSERS)
def test_tpl_2_half_characters_and_nul_break_nothing(parser: str, tmp_path: Path) -> None:
    for value in ("nul\0here", "\ud800", "\x1b[31m"):
        trouble = changed(tmp_path, f"made.{parser}", parser, **{"root.value": value})
        assert all("left alone" in words for words in trouble)


def test_tpl_2_no_document_brings_entities_or_objects(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("swordfish")
    (tmp_path / "root").mkdir()
    documents = {
        "a.xml": f'<!DOCTYPE r [<!ENTITY e SYSTEM "file://{secret}">]><r><value>&e;</value></r>',
        "b.xml": '<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;&a;">]><r><value>&b;</value></r>',
        "c.yaml": "r: !!python/object/apply:os.system ['id']\n",
    }
    for name, text in documents.items():
        (tmp_path / "root" / name).write_text(text)
        trouble = changed(tmp_path / "root", name, name.rpartition(".")[2], **{"r.value": "new"})
        left = (tmp_path / "root" / name).read_text()
        assert "swordfish" not in left
        assert trouble or left != text


def test_tpl_3_no_pattern_of_an_egg_takes_longer_than_its_text() -> None:
    began = time.process_time()
    for pattern in (r"^(a+)+$", r"^(a|aa)+$", r"^(.*a){25}$", r"((a*)*)*b"):
        rule = Rule("a", "x", f"regex:{pattern}")
        assert rule.put("a" * 30_000 + "!") is None or pattern.startswith("^(.*a)")
    assert time.process_time() - began < 10  # another engine would need longer than the universe has


@pytest.mark.parametrize("pattern", ["(a){1000}{1000}", "((((((a{100}){100}){100}){100})))", "x" * 5000, "(?P<" + "n" * 3000 + ">a)"])
def test_tpl_3_a_pattern_that_would_grow_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        compiled(pattern)
    assert Rule("a", "x", f"regex:{pattern}").put("a") is None


ANCHORS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
"""Nine levels of nine: half a thousand million if it were written out."""


@pytest.mark.parametrize("parser", PARSERS)
def test_res_4_a_file_of_five_gigabytes_is_left_alone_unread(tmp_path: Path, parser: str) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as made:
        made.truncate(5 * 1024**3)  # sparse: it takes no room
    (trouble,) = changed(tmp_path, "huge", parser, a="b")
    assert "larger than" in trouble
    assert file.stat().st_size == 5 * 1024**3


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        ("json", "[" * 200_000 + "]" * 200_000),
        ("json", '{"a":' * 200_000 + "1" + "}" * 200_000),
        ("yaml", "[" * 20_000 + "]" * 20_000),
        ("yaml", "".join(" " * n + "a:\n" for n in range(1000))),
        ("yaml", ANCHORS),
        ("xml", "<a>" * 100_000 + "</a>" * 100_000),
        ("json", "9" * 100_000),
    ],
    ids=["json lists", "json maps", "yaml lists", "yaml maps", "yaml anchors", "xml", "json number"],
)
def test_res_4_depth_and_bombs_end_soon_and_change_nothing_else(tmp_path: Path, parser: str, text: str) -> None:
    assert len(text) <= (LARGEST_YAML if parser == "yaml" else LARGEST)
    file = tmp_path / "deep"
    file.write_text(text)
    began = time.process_time()
    trouble = changed(tmp_path, "deep", parser, **{"z.value": "new"})
    assert time.process_time() - began < 30
    assert trouble or file.stat().st_size <= len(text) * 3 + 1000
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert changed(tmp_path, "other.json", "json", a="b") == []
    assert json.loads(other.read_text()) == {"a": "b"}
