"""Egg files: the community's, ours, and broken ones."""

import json
from pathlib import Path

import pytest

from core.errors import Invalid
from core.protocol.egg import MOST_BYTES, read
from tests.control_plane import an_egg

SHARED = Path(__file__).resolve().parents[4] / "shared" / "eggs"
COMMUNITY = sorted(SHARED.glob("*.json"))


@pytest.mark.skipif(not COMMUNITY, reason="the community eggs are not here (../shared/eggs)")
def test_every_community_egg_is_read() -> None:
    for file in COMMUNITY:
        raw = json.loads(file.read_bytes())
        egg = read(file.read_bytes())
        assert egg.name, file.name
        assert egg.docker_images, file.name
        assert [v.env_variable for v in egg.variables] == [v["env_variable"] for v in raw["variables"]], file.name
        done = json.loads(raw["config"]["startup"]).get("done")
        assert egg.done == (done if isinstance(done, list) else [done]), file.name
        assert egg.stop == (raw["config"]["stop"] or ""), file.name
        assert "\r" not in egg.script, file.name


@pytest.mark.skipif(not SHARED.exists(), reason="the community eggs are not here (../shared/eggs)")
def test_an_egg_in_yaml_is_told_apart() -> None:
    for file in SHARED.glob("*.yaml"):
        with pytest.raises(Invalid, match=r"not JSON.*as JSON"):
            read(file.read_bytes())


def test_the_demo_eggs_tell_of_players() -> None:
    for file in (Path(__file__).resolve().parents[3] / "demo" / "eggs").glob("*.json"):
        assert read(file.read_bytes()).players is not None


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
    assert egg.docker_images == {"Luanti": "~aerie/luanti:latest"}
    assert egg.variables[0].rules == ["required", "regex:/^a|b$/"]


def test_texts_keep_their_blanks_and_values_become_shell_text() -> None:
    variables = [
        {"name": "a", "env_variable": "lower_Case", "default_value": True, "user_viewable": 1, "rules": "required|"},
        {"name": "b", "env_variable": "HOSTNAME", "default_value": 25565},
        {"name": "c", "env_variable": "EMPTY", "default_value": None, "rules": ""},
    ]
    config = {"files": [], "startup": {"done": [" Ready ", "regex:^x"]}, "logs": [], "stop": "^^C"}
    egg = read(an_egg(variables=variables, config=config))
    assert egg.done == [" Ready ", "regex:^x"]
    assert [v.default_value for v in egg.variables] == ["true", "25565", ""]
    assert egg.variables[0].rules == ["required"]
    assert egg.config_files == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "one JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b" " * (MOST_BYTES + 1), "larger than"),
        (an_egg(meta={"version": "PTDL_v9"}), "meta.version"),
        (an_egg(meta=None), "meta.version"),
        (an_egg(docker_images={}), "no container image"),
        (an_egg(docker_images={"x": "a b; rm"}), "not the name of a container image"),
        (an_egg(startup=None), "no start command"),
        (an_egg(name=""), "name"),
        (an_egg(config={"files": "{", "startup": "{}"}), "config.files"),
        (an_egg(config={"startup": "[1]"}), "config.startup"),
        (an_egg(variables=[{"name": "x", "env_variable": "SERVER_PORT"}]), "sets itself"),
        (an_egg(variables=[{"name": "x", "env_variable": "A B"}]), "Variable 1"),
        (an_egg(variables=[{"name": "x", "env_variable": "A"}, {"name": "y", "env_variable": "A"}]), "twice"),
        (an_egg(aerie={"players": {"join": "(?P<name>x", "leave": "(?P<name>x)"}}), "regular expression"),
        (an_egg(aerie={"players": {"join": "x", "leave": "y"}}), "no group"),
        (an_egg(aerie={"players": {"join": "(?P<name>x)"}}), "leave"),
    ],
)
def test_a_broken_egg_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(body)
    assert words in caught.value.message
