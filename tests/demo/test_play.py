"""The demo's sandbox runs as a child process, with the demo's community, and is gone afterwards."""

import sys
from pathlib import Path

import pytest

from demo.children import NotStarted, Program, answers
from demo.folder import Folder
from demo.play import HOST, playing, sandbox_program
from demo.stage import Stage, write_seed
from demo.stores import plain
from sandbox.person import Person


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = Folder(tmp_path)
    made = Stage(folder, folder.remember(), None, "no engine is needed here", plain(folder, "not needed"))
    write_seed(made)
    return made


async def test_people_find_the_demos_community_at_its_address(stage: Stage) -> None:
    async with playing(stage, [sandbox_program(stage)]) as play:
        async with Person.connect(play.address, "Cleo") as cleo:
            assert {"general", "freeciv-console"} <= {channel["name"] for channel in cleo.channels}
        port = stage.remembered.ports["sandbox"]
    assert await answers(HOST, port, "/sandbox/people") == 0


async def test_one_program_that_fails_stops_the_others_and_is_named(stage: Stage) -> None:
    async def never() -> bool:
        return False

    broken = Program("broken", [sys.executable, "-c", "raise SystemExit('no database')"], never)
    with pytest.raises(NotStarted, match=r"broken ends as soon as it starts(.|\n)*no database"):
        async with playing(stage, [sandbox_program(stage), broken]):
            pass
    assert await answers(HOST, stage.remembered.ports["sandbox"], "/sandbox/people") == 0
