"""Pterodactyl's permission keys and the panel's rule for `*`."""

import re
from pathlib import Path

import pytest

from core.permissions import ADMIN_SOCKET, ALL, CONNECT, CONTROL_CONSOLE, CONTROL_STOP, MEANINGS, PRESETS, allows, meaning

REFERENCE = Path(__file__).parents[3] / "shared/reference/panel-features.md"


@pytest.mark.parametrize("permission", MEANINGS)
def test_the_star_grants_every_key(permission: str) -> None:
    assert allows({ALL}, permission)


@pytest.mark.parametrize("permission", ADMIN_SOCKET)
def test_the_star_grants_nothing_that_begins_with_admin(permission: str) -> None:
    assert not allows({ALL}, permission)
    assert allows({ALL, permission}, permission)


def test_a_key_grants_itself_alone() -> None:
    assert allows([CONNECT], CONNECT)
    assert not allows([CONNECT], CONTROL_CONSOLE)
    assert not allows([], CONNECT)
    assert not allows(["control"], CONTROL_STOP)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_hold_known_keys(preset: str) -> None:
    assert PRESETS[preset] <= MEANINGS.keys() | {ALL}
    assert allows(PRESETS[preset], CONNECT)


def test_each_preset_holds_the_one_before_it() -> None:
    assert PRESETS["viewer"] < PRESETS["moderator"]
    assert PRESETS["operator"] < PRESETS["moderator"]


def test_a_viewer_changes_nothing() -> None:
    assert not {key for key in PRESETS["viewer"] if key.startswith("control.")}


def test_an_unknown_key_is_its_own_meaning() -> None:
    assert meaning("control.start") == "start it"
    assert meaning("teleport.away") == "teleport.away"


@pytest.mark.parametrize(
    ("permission", "words"),
    [
        ("control.stop", "stop Luanti"),
        ("control.console", "send commands to Luanti’s console"),
        (CONNECT, "see Luanti, its state and its console"),
        ("file.sftp", "use SFTP on Luanti"),
        (ALL, "manage Luanti"),
    ],
)
def test_a_meaning_names_what_it_is_about_once(permission: str, words: str) -> None:
    assert meaning(permission, "Luanti") == words


def test_a_meaning_of_a_whole_community_reads_as_english() -> None:
    assert meaning("control.console", "every server here", "every server’s") == "send commands to every server’s console"
    assert meaning("user.update", "every server here", "every server’s") == "change who may use every server here"


def test_the_panels_keys_are_all_known() -> None:
    if not REFERENCE.exists():
        pytest.skip("../shared is not here")
    groups = "|".join({key.partition(".")[0] for key in MEANINGS})
    named = set(re.findall(rf"(?:^\| |(?<= · ))((?:{groups})\.[a-z_-]+)(?= [|·])", REFERENCE.read_text(), re.MULTILINE))
    assert named
    assert named == set(MEANINGS)
