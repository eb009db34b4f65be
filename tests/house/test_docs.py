"""Docs that describe the code of today: files and links exist, every slash command has its line, every word of the field is explained."""

import re
from pathlib import Path

import pytest

from bot.commands.access import AccessCommands
from bot.commands.account import AccountCommands
from bot.commands.activity import activity
from bot.commands.alert import AlertCommands
from bot.commands.backup import BackupCommands
from bot.commands.console import ConsoleCommands
from bot.commands.egg import EggCommands
from bot.commands.node import NodeCommands
from bot.commands.request import RequestCommands
from bot.commands.server import ServerCommands
from bot.commands.settings import SettingsCommands
from core.permissions import MEANINGS, PRESETS
from core.vocabulary import (
    ActorKind,
    AlertSender,
    AlertSeverity,
    AlertStatus,
    KeyKind,
    Outcome,
    PowerPhase,
    PowerSignal,
    RequestState,
    Resource,
    ServerState,
    ServerStatus,
    StopType,
)

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = [
    command
    for group in (
        ServerCommands(),
        ConsoleCommands(),
        AccessCommands(),
        AccountCommands(),
        AlertCommands(),
        BackupCommands(),
        EggCommands(),
        NodeCommands(),
        RequestCommands(),
        SettingsCommands(),
    )
    for command in group.walk_commands()
    if hasattr(command, "parameters")
] + [activity]


def _shown(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _rows() -> dict[str, list[str]]:
    """Cells of docs/commands.md, by the command's full name."""
    rows = [line.split("|")[1:-1] for line in (ROOT / "docs/commands.md").read_text().splitlines() if line.startswith("| `/")]
    return {row[0].strip(" `/"): [cell.strip() for cell in row] for row in rows}


@pytest.mark.parametrize("page", PAGES, ids=_shown)
def test_files_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:agent|bot|core|demo|front|sandbox|setup|tests|docs|migrations)/[\w./-]*)`", page.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=_shown)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_the_tour_names_the_files_of_one_restart() -> None:
    tour = (ROOT / "docs/tour.md").read_text()
    for name in ("bot/commands/server.py", "core/services/power.py", "core/protocol/agent.py", "agent/server/power.py", "bot/app.py"):
        assert name in tour


def test_every_command_has_its_line_and_every_line_its_command() -> None:
    assert set(_rows()) == {command.qualified_name for command in COMMANDS}


def test_options_of_commands_are_as_the_page_says() -> None:
    rows = _rows()
    said = {name: {option for option in row[1].split(", ") if option} for name, row in rows.items()}
    assert said == {command.qualified_name: {option.display_name for option in command.parameters} for command in COMMANDS}


def test_permissions_of_commands_exist() -> None:
    assert {row[3].strip("`") for row in _rows().values()} - {""} <= MEANINGS.keys()


def test_every_level_is_explained() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    assert not [preset for preset in PRESETS if f"*{preset}*" not in page]


@pytest.mark.parametrize(
    "kind",
    [
        ActorKind,
        AlertSender,
        AlertSeverity,
        AlertStatus,
        KeyKind,
        Outcome,
        PowerPhase,
        PowerSignal,
        RequestState,
        Resource,
        ServerState,
        ServerStatus,
        StopType,
    ],
    ids=lambda kind: kind.__name__,
)
def test_the_glossary_explains_every_word_of_the_vocabulary(kind: type[ServerState]) -> None:
    page = (ROOT / "docs/glossary.md").read_text()
    assert not [word.value for word in kind if f"*{word.value}*" not in page]


@pytest.mark.parametrize("decision", sorted((ROOT / "docs/decisions").glob("*.md")), ids=_shown)
def test_a_decision_is_short_and_numbered(decision: Path) -> None:
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", decision.name)
    assert len(decision.read_text().splitlines()) <= 40
