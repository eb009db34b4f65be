"""Every event that is written into the activity log has its words (bot/ui/happenings.py)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.ui.happenings import WORDS
from core.permissions import MEANINGS

ROOT = Path(__file__).parents[2]
KINDS = {event.partition(":")[0] for event in WORDS}
EVENT = re.compile(rf"(?:{'|'.join(sorted(KINDS))}):[a-z][a-z0-9.-]*")
WRITERS = sorted((ROOT / "core" / "services").glob("*.py")) + sorted((ROOT / "bot").rglob("*.py"))
NODES_REPORT = {
    "server:console.command",
    "server:power.start",
    "server:power.stop",
    "server:power.restart",
    "server:power.kill",
    "server:sftp.write",
    "server:sftp.create",
    "server:sftp.create-directory",
    "server:sftp.rename",
    "server:sftp.delete",
    "server:file.uploaded",
}


def _written() -> Iterator[tuple[str, bool]]:
    """Events in the code, and whether they are only the beginning of one: an f-string's first part."""
    for file in WRITERS:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) and isinstance(start := node.values[0] if node.values else None, ast.Constant):
                if EVENT.fullmatch(str(start.value)):
                    yield str(start.value), True
            elif isinstance(node, ast.Constant) and id(node) not in parts and isinstance(node.value, str) and EVENT.fullmatch(node.value):
                yield node.value, False


def test_the_search_finds_events() -> None:
    assert {("server:console.command", False), ("server:power.", True), ("guild:grant", False)} <= set(_written())


@pytest.mark.parametrize(("event", "beginning"), sorted(set(_written())))
def test_an_event_that_is_written_has_its_words(event: str, beginning: bool) -> None:
    permission = event.removeprefix("server:") in MEANINGS  # a refusal without a name of its own
    assert event in WORDS or permission or (beginning and any(known.startswith(event) for known in WORDS)), (
        f"{event} has no words in bot/ui/happenings.py"
    )


def test_what_nodes_report_has_its_words() -> None:
    assert WORDS.keys() >= NODES_REPORT


@pytest.mark.parametrize("event", WORDS)
def test_words_fit_into_a_sentence(event: str) -> None:
    for words in WORDS[event]:
        assert words[0].islower()
        assert not words.endswith(".")
        assert words.format(it="X")
