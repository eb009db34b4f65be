"""The demo's eggs and seed agree with each other and with the images."""

import json
import re
from pathlib import Path

import pytest

from demo import images
from sandbox.seed import Seed

DEMO = Path(__file__).parents[2] / "demo"
LINES = {
    "luanti": (
        "2026-11-24 11:55:26: ACTION[Server]: Ada [172.17.0.1] joins game. List of players: Ada",
        "2026-11-24 11:55:36: ACTION[Server]: Ada leaves game. List of players: ",
    ),
    "freeciv": (
        "2: Ada has connected from 172.17.0.1.",
        "2: Lost connection: Ada from 172.17.0.1 (client disconnected) (player Ada).",
    ),
}


@pytest.mark.parametrize("game", LINES)
def test_player_patterns_match_what_the_servers_printed(game: str) -> None:
    players = json.loads((DEMO / "eggs" / f"{game}.json").read_text())["aerie"]["players"]
    for kind, line in zip(("join", "leave"), LINES[game], strict=True):
        found = re.search(players[kind], line)
        assert found is not None
        assert found["name"] == "Ada"


@pytest.mark.parametrize("game", LINES)
def test_an_eggs_image_is_local_and_made_by_the_demo(game: str) -> None:
    egg = json.loads((DEMO / "eggs" / f"{game}.json").read_text())
    (image,) = egg["docker_images"].values()
    assert image.partition(":")[0] == images.tags()[game].partition(":")[0]
    assert json.loads(egg["config"]["startup"])["done"]


def test_the_seed_can_be_read_and_has_a_console_channel_for_each_game() -> None:
    (guild,) = Seed.load(DEMO / "seed.json").guilds
    channels = {channel.name for channel in guild.channels}
    assert {f"{game}-console" for game in LINES} | {"general", "status"} <= channels
    assert [member.name for member in guild.members] == ["Ada", "Ben", "Cleo"]
