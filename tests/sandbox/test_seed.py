"""Seeds: what may stand in them, and how mistakes are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.clock import Clock
from sandbox.seed import Seed, SeedError, demo_seed
from sandbox.state import State

GUILD: dict[str, Any] = {"owner": "Ada", "members": [{"name": "Ada"}], "channels": [{"name": "general"}]}


def seed(**changes: Any) -> dict[str, Any]:
    return {"guilds": [{**GUILD, **changes}]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "guilds"),
        ({"guilds": []}, "guilds"),
        (seed(owner="Eve"), "owner 'Eve' is not among the members"),
        (seed(members=[{"name": "Ada"}, {"name": "Ada"}]), "share a name"),
        (seed(members=[{"name": "Ada", "roles": ["King"]}]), "role 'King'"),
        (seed(roles=[{"name": "x", "permissions": ["fly"]}]), "unknown permission 'fly'"),
        (seed(roles=[{"name": "x", "color": "red"}]), "color"),
        (seed(channels=[{"name": "x", "type": 7}]), "channel type must be"),
        (seed(channels=[{"name": "x", "category": "y"}]), "no category listed before"),
        (seed(channels=[{"name": "x", "overwrites": [{"allow": ["view_channel"]}]}]), "must name a role or a member"),
        (seed(nonsense=1), "nonsense"),
        ({**seed(), "application": {"privileged_intents": ["all"]}}, "unknown privileged intent"),
    ],
)
def test_a_mistake_is_told_with_its_place(data: Any, words: str) -> None:
    with pytest.raises(SeedError, match=words):
        Seed.parse(data)


def test_a_seed_is_read_from_json_and_toml(tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text(json.dumps(seed()))
    (tmp_path / "seed.toml").write_text('[[guilds]]\nowner = "Ada"\nmembers = [{name = "Ada"}]\nchannels = [{name = "general"}]\n')
    assert Seed.load(tmp_path / "seed.json") == Seed.load(tmp_path / "seed.toml")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SeedError, match="not valid json"):
        Seed.load(tmp_path / "broken.json")
    with pytest.raises(SeedError, match="cannot read"):
        Seed.load(tmp_path / "none.json")


def test_the_seed_of_the_demo_is_sound() -> None:
    path = Path(__file__).parent.parent.parent / "demo" / "seed.json"
    state = State(Seed.load(path), Clock())
    assert len(state.people()) >= 3


def test_roles_are_listed_from_the_highest_down() -> None:
    state = State(demo_seed(), Clock())
    guild = next(iter(state.guilds.values()))
    positions = {role.name: role.position for role in guild.roles.values()}
    assert positions["Aerie"] > positions["Moderator"] > positions["Player"] > positions["@everyone"] == 0


def test_a_sandbox_started_again_keeps_the_ids_of_its_community() -> None:
    first, second = (State(demo_seed(), Clock()) for _ in range(2))
    assert first.application_id == second.application_id
    assert list(first.guilds) == list(second.guilds)
    assert [channel.id for channel in first.channels()] == [channel.id for channel in second.channels()]
    assert [person.id for person in first.people()] == [person.id for person in second.people()]
