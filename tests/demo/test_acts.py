"""The tour's steps: none counts that was not seen, what cannot be shown is said, and a node's hand-made servers are swept too."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from core.clock import SystemClock
from demo import cast
from demo.acts.scene import line_of, says
from demo.folder import Folder
from demo.stage import played
from demo.tour import ACTS
from demo.transcript import TourFailed, Transcript
from sandbox.person import NotSeen


def _transcript() -> tuple[Transcript, io.StringIO]:
    words = io.StringIO()
    return Transcript(Console(file=words, width=120), SystemClock(), []), words


async def test_a_step_whose_effect_was_not_seen_ends_the_tour() -> None:
    transcript, words = _transcript()

    async def work() -> str:
        raise NotSeen("nothing came")

    with pytest.raises(TourFailed, match="Ada waves"):
        await transcript.step("Ada", "waves", work)
    assert "nothing came" in words.getvalue()
    assert "✓" not in words.getvalue()


async def test_skipped_steps_are_named_with_their_reason_and_not_counted_as_seen() -> None:
    transcript, words = _transcript()

    async def work() -> str:
        return "she waved"

    await transcript.step("Ada", "waves", work)
    transcript.skip("Ada", "sails", "needs Docker: there is no sea")
    transcript.end()
    text = words.getvalue()
    assert "needs Docker: there is no sea" in text
    assert "All 1 steps" in text
    assert "1 were skipped" in text


def test_every_part_has_its_act_and_enough_is_shown_without_docker() -> None:
    steps = [step for _, act in ACTS for step in act]
    assert len(steps) >= 30
    assert sum(not step.docker for step in steps) >= 25
    assert len({(step.who, step.act) for step in steps}) == len(steps)


def test_words_are_looked_for_in_any_case_and_the_last_line_is_told() -> None:
    message = {"content": "aifill is 2\nAifill is 3", "components": []}
    assert says("AIFILL", "3")(message)
    assert not says("aifill", "4")(message)
    assert says("4", "3", any_of=True)(message)
    assert line_of(message, "ifill") == "Aifill is 3"


def test_servers_that_people_made_are_swept_with_the_demos_own(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    remembered = folder.remember()
    made = "0b6d2c52-7a4c-4b0e-9a53-111111111111"
    (folder.agent_data(cast.NODES[1]) / "volumes" / made).mkdir(parents=True)
    (folder.agent_data(cast.NODES[1]) / "volumes" / ".sftp").mkdir()
    names = played(folder, remembered)
    assert {made, f"{made}_installer", *remembered.servers.values()} <= set(names)
    assert not [name for name in names if "sftp" in name]
    assert f"{made}_installer" in played(folder, None)
