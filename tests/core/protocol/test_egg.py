"""Egg files: the community's, ours, and broken ones."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from core.protocol.egg import MOST_BYTES, read
from core.protocol.egg_export import FORMATS, write
from tests.control_plane import an_egg

SHARED = Path(__file__).resolve().parents[4] / "shared" / "eggs"
COMMUNITY = sorted(file for file in SHARED.glob("*") if file.suffix in (".json", ".yaml"))
needs_community = pytest.mark.skipif(not COMMUNITY, reason="the community eggs are not here (../shared/eggs)")


@needs_community
def test_every_community_egg_is_read() -> None:
    assert len(COMMUNITY) >= 80
    for file in COMMUNITY:
        egg = read(file.read_bytes())
        assert egg.name, file.name
        assert egg.docker_images, file.name
        assert egg.startup.strip(), file.name
        assert egg.notes == [], file.name
        assert "\r" not in egg.script, file.name


@needs_community
def test_nothing_of_a_community_egg_in_json_is_changed() -> None:
    for file in COMMUNITY:
        if file.suffix != ".json":
            continue
        raw, egg = json.loads(file.read_bytes()), read(file.read_bytes())
        assert [v.env_variable for v in egg.variables] == [v["env_variable"] for v in raw["variables"]], file.name
        done = json.loads(raw["config"]["startup"]).get("done")
        assert egg.done == (done if isinstance(done, list) else [done]), file.name
        assert egg.stop == (raw["config"]["stop"] or ""), file.name
        assert egg.config_files == (json.loads(raw["config"]["files"]) or {}), file.name
        assert egg.startup == raw.get("startup", next(iter(raw.get("startup_commands", {}).values()), None)), file.name


@needs_community
@pytest.mark.parametrize("kind", FORMATS)
def test_a_community_egg_survives_its_export(kind: str) -> None:
    for file in COMMUNITY:
        egg = read(file.read_bytes())
        again = read(write(egg, kind, "2026-01-01T00:00:00+00:00")[0])
        lost = {"version", "exported_at"}
        if not egg.version.startswith(kind[:4]):
            lost |= {"config_files", "startup_commands"}
        if kind == "PTDL_v2":
            lost |= {"uuid", "tags", "icon", "startup_commands", "variables"}
            assert {v.env_variable: v.rules for v in again.variables} == {v.env_variable: v.rules for v in egg.variables}
        if kind == "PLCN_v3":
            lost |= {"startup_commands"}
        assert again.model_dump(exclude=lost) == egg.model_dump(exclude=lost), file.name


def test_the_demo_eggs_tell_of_players() -> None:
    eggs = {file.stem: read(file.read_bytes()) for file in (Path(__file__).resolve().parents[3] / "demo" / "eggs").glob("*.json")}
    assert {name for name, egg in eggs.items() if egg.players is not None} >= {"luanti", "freeciv"}


def test_placeholders_are_respelled_for_the_other_panel() -> None:
    find = {"a": "{{server.build.env.PW}}:{{server.build.default.port}}", "b": "{{env.PW}} {{server.build.memory}}"}
    config = {"files": json.dumps({"x": {"parser": "properties", "find": find}}), "startup": "{}", "logs": "{}", "stop": "stop"}
    egg = read(an_egg(config=config))
    pelican = read(write(egg, "PLCN_v3", "")[0])
    assert pelican.config_files["x"]["find"] == {
        "a": "{{server.environment.PW}}:{{server.allocations.default.port}}",
        "b": "{{env.PW}} {{server.build.memory_limit}}",
    }
    assert read(write(pelican, "PTDL_v2", "")[0]).config_files == egg.config_files


def test_an_export_says_what_the_format_cannot_hold() -> None:
    body = json.loads(an_egg(meta={"version": "PLCN_v3"}, startup_commands={"One": "a", "Two": "b"}, tags=["x"]))
    body["variables"][0]["rules"] = ["required", "regex:/^a|b$/"]
    _, lost = write(read(json.dumps(body).encode()), "PTDL_v2", "")
    assert len(lost) == 3


def test_a_first_version_egg_with_a_single_image() -> None:
    body = json.loads(an_egg(meta={"version": "PTDL_v1"}, image="quay.io/games/luanti:5"))
    del body["docker_images"]
    egg = read(json.dumps(body).encode())
    assert egg.docker_images == {"quay.io/games/luanti:5": "quay.io/games/luanti:5"}
    body["images"] = ["a/b:1", "c/d:2"]
    assert list(read(json.dumps(body).encode()).docker_images.values()) == ["a/b:1", "c/d:2"]


def test_a_pelican_egg_names_its_commands_and_lists_its_rules() -> None:
    body = json.loads(
        an_egg(meta={"version": "PLCN_v3"}, startup_commands={"Default": "run {{X}}", "Other": "no"}, image="data:image/png;base64,A")
    )
    del body["startup"]
    body["variables"][0]["rules"] = ["required", "regex:/^a|b$/"]
    egg = read(json.dumps(body).encode())
    assert egg.startup == "run {{X}}"
    assert egg.startup_commands == {"Default": "run {{X}}", "Other": "no"}
    assert egg.docker_images == {"Luanti": "~aerie/luanti:latest"}
    assert egg.variables[0].rules == ["required", "regex:/^a|b$/"]
    assert egg.icon == "data:image/png;base64,A"


YAML = """\
meta: {version: PLCN_v3}
name: 1
docker_images: {on: 'ghcr.io/x/y:1'}
startup_commands: {Default: 'java -jar a.jar'}
config:
  files: {a.yml: {parser: yaml, find: {port: 25565, flag: true, ratio: 0.5}}}
  startup: {done: ' Ready '}
  stop: ^C
variables:
  - {name: A, env_variable: A, default_value: on, rules: [string], user_viewable: true}
  - {name: B, env_variable: B, default_value: 0755}
  - {name: C, env_variable: C, default_value: 12:30}
  - {name: D, env_variable: D, default_value: true}
  - {name: E, env_variable: E, default_value: ~}
  - {name: F, env_variable: F, default_value: '1.10'}
  - {name: G, env_variable: G, default_value: 1.10}
  - {name: H, env_variable: H, default_value: {}}
  - {name: I, env_variable: I, default_value: 2024-01-01}
"""


def test_yaml_words_stay_what_a_shell_would_expect() -> None:
    egg = read(YAML.encode())
    assert egg.name == "1"
    assert [v.default_value for v in egg.variables] == ["on", "0755", "12:30", "true", "", "1.10", "1.10", "{}", "2024-01-01"]
    assert egg.docker_images == {"on": "ghcr.io/x/y:1"}
    assert egg.config_files["a.yml"]["find"] == {"port": 25565, "flag": True, "ratio": 0.5}
    assert (egg.done, egg.stop) == ([" Ready "], "^C")


def test_texts_keep_their_blanks_and_values_become_shell_text() -> None:
    variables = [
        {"name": "a", "env_variable": "lower_Case", "default_value": True, "user_viewable": 1, "rules": "required|"},
        {"name": "b", "env_variable": "HOSTNAME", "default_value": 25565, "user_viewable": "0"},
        {"name": "c", "env_variable": "EMPTY", "default_value": None, "rules": ""},
    ]
    config = {"files": [], "startup": {"done": [" Ready ", "regex:^x"]}, "logs": [], "stop": "^^C"}
    egg = read(an_egg(variables=variables, config=config))
    assert egg.done == [" Ready ", "regex:^x"]
    assert [v.default_value for v in egg.variables] == ["true", "25565", ""]
    assert [v.user_viewable for v in egg.variables] == [True, False, False]
    assert egg.variables[0].rules == ["required"]
    assert egg.config_files == {}


def test_what_is_odd_is_noted_and_read() -> None:
    twice = [{"name": "x", "env_variable": "A", "default_value": "1"}, {"name": "y", "env_variable": "A", "default_value": "2"}]
    files = json.dumps({"a": {"parser": "properties"}, "b": "x", "c": {"parser": "sgml", "find": {}}})
    egg = read(an_egg(variables=twice, config={"files": files, "startup": "{}", "stop": ""}, icon="data:text/html;base64,x"))
    assert [(v.env_variable, v.default_value) for v in egg.variables] == [("A", "2")]
    assert list(egg.config_files) == ["c"]
    assert len(egg.notes) == 5


def deep(levels: int) -> bytes:
    return an_egg(config={"files": json.loads('{"a":' * levels + "1" + "}" * levels)})


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nmeta: {version: PLCN_v3}\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b'{\n"a": 1,\n}', "line 3"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "one object"),
        (b"just words", "one object"),
        (b"a: [1, 2\nb: c", "neither JSON nor YAML"),
        (b"a: 1\n---\nb: 2", "several YAML documents"),
        (BOMB, "YAML aliases"),
        (b"- " + b"[" * 100 + b"]" * 100, "levels deep"),
        (b"x:\n" + b"- 1\n" * 10_001, "values"),
        (b"x: " + b"y" * 300_000, "256 KiB"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too long"),
        (b" " * (MOST_BYTES + 1), "larger than 1 MiB"),
        (deep(50), "levels deep"),
        (b"[" + b"0," * 11_000 + b"0]", "values"),
        (an_egg(meta={"version": "PTDL_v9"}), "meta.version"),
        (an_egg(meta=None), "meta.version"),
        (an_egg(meta={"version": ["PTDL_v2"]}), "meta.version"),
        (an_egg(docker_images={}), "no container image"),
        (an_egg(docker_images={"x": "a b; rm"}), "not the name of a container image"),
        (an_egg(docker_images={"x": 5}), "not the name of a container image"),
        (an_egg(startup=None), "no start command"),
        (an_egg(startup_commands="x"), "startup_commands"),
        (an_egg(name=""), "name"),
        (an_egg(name=["x"]), "name"),
        (an_egg(name="x" * 192), "name"),
        (an_egg(name="a\x00b"), "name holds a character"),
        (an_egg(description={"a": 1}), "description"),
        (an_egg(features=7), "features"),
        (an_egg(features=[["x"]]), "features"),
        (an_egg(config=3), "config"),
        (an_egg(config={"files": "{", "startup": "{}"}), "config.files"),
        (an_egg(config={"startup": "[1]"}), "config.startup"),
        (an_egg(config={"startup": {"done": {"a": 1}}}), "config.startup.done"),
        (an_egg(scripts={"installation": {"script": ["x"]}}), "scripts.installation.script"),
        (an_egg(variables="x"), "variables must be a list"),
        (an_egg(variables=["x"]), "Variable 1"),
        (an_egg(variables=[{"env_variable": "X"}] * 201), "201 variables"),
        (an_egg(variables=[{"name": "x"}]), "Variable 1"),
        (an_egg(variables=[{"name": "x", "env_variable": "SERVER_PORT"}]), "sets itself"),
        (an_egg(variables=[{"name": "x", "env_variable": "A B"}]), "Variable 1"),
        (an_egg(variables=[{"name": "x", "env_variable": "A", "user_viewable": "maybe"}]), "variables[0].user_viewable"),
        (an_egg(variables=[{"name": "x", "env_variable": "A", "rules": 4}]), "variables[0].rules"),
        (an_egg(aerie={"players": {"join": "(?P<name>x", "leave": "(?P<name>x)"}}), "regular expression"),
        (an_egg(aerie={"players": {"join": "x", "leave": "y"}}), "no group"),
        (an_egg(aerie={"players": {"join": "(?P<name>x)"}}), "leave"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_egg_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(body)
    assert words in caught.value.message


FUZZ = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(
    {*json.loads(an_egg()), "startup_commands", "images", "image", "icon", "tags", "features", "uuid", "aerie", "file_denylist"}
)


@FUZZ
@given(st.dictionaries(st.sampled_from([field for field in FIELDS if field != "meta"]), ANY, max_size=4))
def test_any_field_of_any_kind_is_read_or_refused(changes: dict[str, object]) -> None:
    try:
        egg = read(an_egg(**changes))
    except Invalid:
        return
    for kind in FORMATS:
        assert read(write(egg, kind, "")[0]).name == egg.name


@FUZZ
@given(st.lists(st.dictionaries(st.sampled_from(["name", "env_variable", "default_value", "rules", "sort"]), ANY, max_size=5), max_size=3))
def test_any_variable_is_read_or_refused(variables: list[dict[str, object]]) -> None:
    try:
        egg = read(an_egg(variables=variables))
    except Invalid:
        return
    assert len(egg.variables) <= len(variables)


@FUZZ
@given(st.binary(max_size=200) | st.text(alphabet="{}[]:-&*!|>'\"#%@`,? \n\tab1~", max_size=80).map(str.encode))
@example(b"? [a]\n: b")
@example(b"!!python/object/apply:os.system ['true']")
@example(b"%YAML 9.9\n---\na")
@example(b"a: !!binary x")
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read(body)
