"""aerie.example.toml and docs/settings.md hold what core/config.py reads, no more and no less."""

import re
import tomllib
from pathlib import Path

import pytest

from core.config import AgentConfig, BotConfig, load
from tests.house.settings_pages import EXAMPLE, PAGE, Setting, example, page, settings

SETTINGS = list(settings())
WRITE = "Write both pages again: python -m tests.house.settings_pages"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.variable)
def test_each_setting_says_in_one_line_what_it_means(setting: Setting) -> None:
    assert setting.words, f"{setting.variable} has no text under it in its section"


def test_the_example_holds_every_setting_with_its_default_and_nothing_else() -> None:
    with EXAMPLE.open("rb") as file:
        written = tomllib.load(file)
    flat = {(section, key): value for section, table in written.items() if isinstance(table, dict) for key, value in table.items()}
    flat |= {("", key): value for key, value in written.items() if not isinstance(value, dict)}
    assert flat == {(s.section, s.key): s.default for s in SETTINGS if s.default is not None}


def test_settings_without_a_default_stand_there_commented_out() -> None:
    found = set(re.findall(r"^# (\w+) =$", EXAMPLE.read_text(), re.MULTILINE))
    assert found == {setting.key for setting in SETTINGS if setting.default is None}


@pytest.mark.parametrize("program", [BotConfig, AgentConfig])
def test_the_example_can_be_used_as_it_is(program: type[BotConfig] | type[AgentConfig]) -> None:
    assert load(program, EXAMPLE, {}) == program()


@pytest.mark.parametrize(("file", "text"), [(EXAMPLE, example()), (PAGE, page())], ids=["aerie.example.toml", "docs/settings.md"])
def test_the_pages_are_as_the_code_says(file: Path, text: str) -> None:
    assert file.read_text(encoding="utf-8") == text, WRITE
