"""The demo's eggs and seed agree with each other and with the images."""

import json
import re
from pathlib import Path

import pytest

from core.protocol.egg import read as read_egg
from demo import cast, images
from demo.folder import Folder
from demo.seeding import egg_of
from demo.stage import Stage
from demo.stores import plain
from sandbox.seed import Seed
from setup.engine import Engine

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


def test_the_seed_can_be_read_and_has_the_channels_that_the_demo_fills() -> None:
    (guild,) = Seed.load(DEMO / "seed.json").guilds
    channels = {channel.name for channel in guild.channels}
    assert {f"{server}-console" for server in cast.SERVERS} | {"general", "status", "requests", "alerts"} <= channels
    assert [member.name for member in guild.members] == ["Ada", "Ben", "Cleo", "Dora", "Eli"]


def test_the_egg_for_importing_names_images_that_are_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    engine = Engine("unix:///x.sock", "DOCKER_HOST", "20.10", None)
    egg = egg_of(Stage(folder, folder.remember(), engine, "", plain(folder, "")), "numbers")
    known = set(images.tags().values())
    assert set(egg["docker_images"].values()) <= known
    assert egg["scripts"]["installation"]["container"] in known
    assert read_egg(json.dumps(egg).encode()).script


def test_every_server_is_made_of_an_egg_with_variables_it_has() -> None:
    for part in cast.SERVERS.values():
        egg = json.loads((DEMO / "eggs" / f"{part.egg}.json").read_text())
        assert set(part.variables) <= {variable["env_variable"] for variable in egg["variables"]}
        assert part.node in cast.NODES
