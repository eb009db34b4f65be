"""The six parsers: what they change, what they leave alone, and what they refuse."""

import json
from typing import Any

import pytest
from lxml import etree
from ruamel.yaml import YAML

from agent.config_files import ini_file, json_file, plain, properties_file, xml_file, yaml_file
from agent.config_files.rules import Rule, Unparsable, rules
from core.protocol.settings import Replacement


def a_rule(match: str, value: Any, if_value: str | None = None) -> Rule:
    return Rule(match, value, if_value)


# values


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("plain", "plain"),
        (5, 5),
        (True, True),
        (1.5, 1.5),
        (None, ""),
        ("{{config.docker.interface}}:1", "172.18.0.1:1"),
        ("{{ config.docker.network.interface }}", "172.18.0.1"),
        ("{{config.docker.interface}}-{{config.token}}", "172.18.0.1-{{config.token}}"),
        ("{{config.token_id}} {{ config.docker.registries }}", "{{config.token_id}} {{ config.docker.registries }}"),
        ("{{{{config.token}}}}", "{{{{config.token}}}}"),
    ],
)
def test_only_the_interface_can_be_named(given: Any, value: Any) -> None:
    """TPL-1: no secret of the node is ever read for a file."""
    assert rules([Replacement(match="a", replace_with=given)], "172.18.0.1") == [Rule("a", value)]


def test_maps_and_lists_are_no_values() -> None:
    assert rules([Replacement(match="a", replace_with={"b": 1}), Replacement(match="c", replace_with=[1])], "") == []


def test_a_pattern_as_condition_puts_its_groups_in() -> None:
    rule = a_rule("address", "172.18.0.1$2", r"regex:^(127\.0\.0\.1|localhost)(:\d{1,5})?$")
    assert rule.put("localhost:25577") == "172.18.0.1:25577"
    assert rule.put("127.0.0.1") == "172.18.0.1"
    assert rule.put("10.0.0.1:25577") is None
    assert rule.put(None) is None


def test_a_condition_that_is_no_pattern_changes_nothing() -> None:
    assert a_rule("a", "x", "regex:(").put("anything") is None


# file


def test_lines_that_begin_with_the_match_are_replaced_whole() -> None:
    text = "port 1\n  port 2\nname x\r\nport\n"
    assert plain.rewritten(text, [a_rule("port", "port 9"), a_rule("name ", "name y")]) == "port 9\n  port 2\nname y\r\nport 9\n"


def test_a_very_long_line_truncates_nothing() -> None:
    text = "x" * 200_000 + "\nport 1\nlast"
    assert plain.rewritten(text, [a_rule("port", "port 2")]) == "x" * 200_000 + "\nport 2\nlast"


def test_two_rules_for_a_line_are_put_one_after_another() -> None:
    assert plain.rewritten("port", [a_rule("po", "a"), a_rule("port", "b")]) == "ab"


# properties


def test_properties_keep_comments_order_and_what_nobody_asked_for() -> None:
    text = "#Minecraft\n! second\n\nserver-port=1\nmotd = A \\\n   long one\n\nother:x\n"
    made = properties_file.rewritten(text, [a_rule("server-port", 25565), a_rule("motd", "§aHi = there"), a_rule("new key", " x")])
    assert made == "#Minecraft\n! second\n\nserver-port=25565\nmotd=\\u00A7aHi = there\n\nother:x\nnew\\ key=\\ x\n"


def test_a_property_that_is_right_already_is_left_as_it_stands() -> None:
    text = "motd : A \\u00A7 name\r\nx=1\r\n"
    assert properties_file.rewritten(text, [a_rule("motd", "A § name"), a_rule("x", "1")]) == text


def test_properties_know_conditions() -> None:
    text = "level-type=DEFAULT\n"
    assert "minecraft\\:normal" not in properties_file.rewritten(text, [a_rule("level-type", "minecraft:normal", "FLAT")])
    assert properties_file.rewritten(text, [a_rule("level-type", "minecraft:normal", "DEFAULT")]) == "level-type=minecraft:normal\n"
    assert properties_file.rewritten(text, [a_rule("gone", "x", "y")]) == text


def test_a_value_cannot_bring_a_second_property() -> None:
    """TPL-2."""
    made = properties_file.rewritten("a=1\n", [a_rule("a", "x\nevil=1\\"), a_rule("b", "\0y\r\nz=2")])
    assert made.split("\n") == ["a=x\\nevil=1\\\\", "b=y\\r\\nz=2", ""]


def test_an_empty_properties_file_gets_its_keys() -> None:
    assert properties_file.rewritten("", [a_rule("a", 1), a_rule("b", True)]) == "a=1\nb=true\n"


# ini


def test_ini_sets_keys_in_their_sections_and_keeps_the_rest() -> None:
    text = "; top\nbare = 0\n[a]\nx=1\n; note\ny=2\n\n[/Script/Engine.Game]\nMax=3\nMax=4\n"
    made = ini_file.rewritten(
        text, [a_rule("a.x", 9), a_rule("a.z", "new"), a_rule("[/Script/Engine.Game].Max", 70), a_rule("bare", 5), a_rule("b.k", "v")]
    )
    assert made == "; top\nbare = 5\n[a]\nx=9\n; note\ny=2\nz=new\n\n[/Script/Engine.Game]\nMax=70\nMax=70\n\n[b]\nk=v\n"


def test_an_empty_ini_file_is_written_with_spaces() -> None:
    assert ini_file.rewritten("", [a_rule("SERVER.NAME", "x"), a_rule("SERVER.PORT", 1)]) == "[SERVER]\nNAME = x\nPORT = 1\n"


def test_a_value_cannot_bring_a_section() -> None:
    """TPL-2."""
    assert ini_file.rewritten("[a]\nx = 1\n", [a_rule("a.x", "y\n[evil]\nz=1")]) == "[a]\nx = y [evil] z=1\n"


def test_ini_knows_conditions() -> None:
    assert ini_file.rewritten("[a]\nx = 1\n", [a_rule("a.x", "2", "3"), a_rule("a.y", "2", "1")]) == "[a]\nx = 1\n"
    assert ini_file.rewritten("[a]\nx = 1\n", [a_rule("a.x", "2", "1")]) == "[a]\nx = 2\n"


def test_ini_refuses_a_match_without_a_key() -> None:
    with pytest.raises(Unparsable):
        ini_file.rewritten("", [a_rule("a.", 1)])


# json


def test_json_keeps_order_and_indent_and_types() -> None:
    text = '{\n  "b": "25565",\n  "a": {"on": true, "n": 1, "f": 0.5},\n  "list": [{"x": 1}]\n}\n'
    made = json_file.rewritten(
        text,
        [
            a_rule("b", "25570"),
            a_rule("a.on", "false"),
            a_rule("a.n", "7"),
            a_rule("a.f", "1.25"),
            a_rule("list[0].x", 2),
            a_rule("new.deep", "5"),
        ],
    )
    assert json.loads(made) == {"b": "25570", "a": {"on": False, "n": 7, "f": 1.25}, "list": [{"x": 2}], "new": {"deep": 5}}
    assert made.startswith('{\n  "b"')
    assert made.endswith("}\n")


def test_json_without_changes_is_left_byte_for_byte() -> None:
    text = '{"a":1 ,\n\n"b":2}'
    assert json_file.rewritten(text, [a_rule("a", "9", "8")]) == text


def test_big_whole_numbers_stay_exact() -> None:
    assert json_file.rewritten("{}", [a_rule("steam", "76561198000000001")]) == '{\n    "steam": 76561198000000001\n}'
    assert json.loads(json_file.rewritten('{"zip": null}', [a_rule("zip", "00123")])) == {"zip": "00123"}


@pytest.mark.parametrize("text", ["", "[]", "5", "{", "[" * 100_000, '{"a": ' + "1" * 5000 + "}", "// c\n{}"])
def test_json_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(Unparsable):
        json_file.rewritten(text, [a_rule("a", 1)])


def test_an_index_must_be_there_or_be_the_first() -> None:
    assert json.loads(json_file.rewritten("{}", [a_rule("l[0].host", "x"), a_rule("l[2].host", "y")])) == {"l": [{"host": "x"}]}


def test_a_map_is_never_replaced_by_a_word() -> None:
    assert json.loads(json_file.rewritten('{"a": {"b": 1}}', [a_rule("a", "x")])) == {"a": {"b": 1}}


# yaml

WATERFALL = """\
# my proxy
listeners:
- query_port: 25577  # default
  host: 0.0.0.0:25577
servers:
  lobby:
    motd: '&1Just another'
    address: localhost:25565
    restricted: false
  away:
    address: 10.1.1.1:25565
online_mode: true
"""


def test_yaml_keeps_comments_order_and_quotes() -> None:
    interface = {"regex": r"regex:^(127\.0\.0\.1|localhost)(:\d{1,5})?$"}
    made = yaml_file.rewritten(
        WATERFALL,
        [
            a_rule("listeners[0].query_port", "30000"),
            a_rule("listeners[0].host", "0.0.0.0:30000"),
            a_rule("servers.*.address", "172.18.0.1$2", interface["regex"]),
            a_rule("online_mode", "false"),
        ],
    )
    expected = WATERFALL.replace("25577  # default", "30000  # default").replace("host: 0.0.0.0:25577", "host: 0.0.0.0:30000")
    expected = expected.replace("localhost:25565", "172.18.0.1:25565").replace("online_mode: true", "online_mode: false")
    assert made == expected


def test_yaml_begins_from_nothing() -> None:
    assert (
        yaml_file.rewritten("", [a_rule("server.port", "25565"), a_rule("console.prompt", "")])
        == "server:\n  port: 25565\nconsole:\n  prompt: ''\n"
    )


@pytest.mark.parametrize("text", ["- a\n- b", "a: [", "\tb: 1", "just words", "a: 1\n---\nb: 2", "[" * 5000])
def test_yaml_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(Unparsable):
        yaml_file.rewritten(text, [a_rule("a", 1)])


def test_yaml_makes_no_objects_and_expands_no_bombs() -> None:
    """TPL-2: tags stay text, aliases stay aliases."""
    text = "a: !!python/object/apply:os.system ['touch /tmp/aerie-evil']\nl1: &l1 [x, x]\nl2: &l2 [*l1, *l1]\nl3: [*l2, *l2]\nb: 1\n"
    made = yaml_file.rewritten(text, [a_rule("b", "2")])
    assert "!!python/object/apply:os.system" in made
    assert made.count("*l") == 4


def test_a_value_stays_one_value_in_yaml() -> None:
    evil = "x\nevil: !!python/object:os.system\n# {a: b}"
    made = yaml_file.rewritten("a: 1\n", [a_rule("a", evil)])
    assert YAML(typ="safe").load(made) == {"a": evil}


# xml


def test_xml_sets_text_and_attributes_and_keeps_comments() -> None:
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<config>\n  <!-- keep -->\n'
        '  <net port="1"><host>a</host></net>\n  <mods><mod/><mod/></mods>\n</config>\n'
    )
    made = xml_file.rewritten(
        text,
        [
            a_rule("config.net", "[port='2']"),
            a_rule("config.net.host", "b & <c>"),
            a_rule("config.mods.*", "on"),
            a_rule("config.new.deep", "x"),
        ],
    )
    root = etree.fromstring(made.encode())
    assert made.startswith('<?xml version="1.0" encoding="utf-8"?>\n<config>')
    assert "<!-- keep -->" in made
    assert root.find("net").get("port") == "2"  # type: ignore[union-attr]
    assert root.findtext("net/host") == "b & <c>"
    assert [mod.text for mod in root.findall("mods/mod")] == ["on", "on"]
    assert root.findtext("new/deep") == "x"


def test_xml_begins_from_nothing_and_touches_no_other_root() -> None:
    made = xml_file.rewritten("", [a_rule("a.b", "1")])
    assert made == '<?xml version="1.0" encoding="UTF-8"?>\n<a>\n  <b>1</b>\n</a>\n'
    assert xml_file.rewritten("<x/>", [a_rule("a.b", "1")]) == "<x/>"


BILLION = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>'
OUTSIDE = '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><l>&x;</l>'


@pytest.mark.parametrize("text", [BILLION, OUTSIDE, "<a>", "words", "<a/><b/>"])
def test_xml_refuses_entities_and_what_it_cannot_read(text: str) -> None:
    """TPL-2: neither billion laughs nor foreign files."""
    with pytest.raises(Unparsable):
        xml_file.rewritten(text, [a_rule("l.x", "1")])


def test_xml_refuses_a_path_that_is_none() -> None:
    with pytest.raises(Unparsable):
        xml_file.rewritten("<a/>", [a_rule("a.b[1]/..", "1")])
