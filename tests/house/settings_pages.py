"""Writes aerie.example.toml and docs/settings.md from the settings of both programs: `python -m tests.house.settings_pages`.

Knows how a setting is shown to people; what there is to set stands in core/section.py, core/bot_settings.py and core/agent_settings.py.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from core.config import AgentConfig, BotConfig, Config
from core.section import Section

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "aerie.example.toml"
PAGE = ROOT / "docs/settings.md"

HEAD = """\
# Every setting of Aerie with its default. Copy to aerie.toml and keep the lines you change; an unchanged line may go.
# One file may serve both programs: each takes its own sections. A line that begins with # is a setting without a default.
# Any setting can come from the environment instead: AERIE_DISCORD__TOKEN, or AERIE_DISCORD__TOKEN_FILE naming a file.
"""

PAGE_HEAD = """\
# Settings

Read once at start, later wins: defaults, the TOML file (`--config`, else `AERIE_CONFIG`, else `aerie.toml` in the current folder),
environment variables. `[discord] token` is `AERIE_DISCORD__TOKEN` in the environment; with `_FILE` at the end the variable names a file
that holds the value. Lists are parted by commas there. A setting that cannot be used stops the program with one sentence that names it;
`aerie doctor` checks the rest.

`aerie.example.toml` holds the same settings, ready to copy. Both pages are written from the settings in `core/` by
`python -m tests.house.settings_pages`, and a test compares them.
"""


TABLE = ("| setting | default | meaning |", "|---|---|---|")


@dataclass(frozen=True)
class Setting:
    """One setting: where it stands, what it is without anybody's doing, and what it means."""

    section: str
    key: str
    default: Any
    words: str
    program: str
    secret: bool = False

    @property
    def text(self) -> str:
        """The default as TOML; empty when there is none."""
        return "" if self.default is None else json.dumps(self.default, ensure_ascii=False)

    @property
    def variable(self) -> str:
        return "AERIE_" + "__".join(part for part in (self.section, self.key) if part).upper()


def settings() -> Iterator[Setting]:
    """Every setting of both programs, in the order of core/config.py; those of no section come first, as TOML wants it."""
    for program in (BotConfig, AgentConfig):
        for name, field in program.model_fields.items():
            if _section(field) is None:
                yield _setting("", name, field, _program(program, name))
    for program in (BotConfig, AgentConfig):
        for name, field in program.model_fields.items():
            section = _section(field)
            if section is not None and not (program is AgentConfig and name in BotConfig.model_fields):
                for key, inner in section.model_fields.items():
                    yield _setting(name, key, inner, _program(program, name))


def section_words(name: str) -> str:
    """What a section is about, in one line."""
    for program in (BotConfig, AgentConfig):
        if name in program.model_fields and (section := _section(program.model_fields[name])) is not None:
            return _line(section.__doc__)
    raise LookupError(name)


def example() -> str:
    """The whole of aerie.example.toml."""
    lines, current = [HEAD], ""
    for setting in settings():
        if setting.section != current:
            current = setting.section
            lines.append(f"\n[{current}]  # {setting.program}: {section_words(current)}")
        lines.append(f"# {setting.words}")
        lines.append(f"{setting.key} = {setting.text}" if setting.text else f"# {setting.key} =")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole of docs/settings.md."""
    lines, current = [PAGE_HEAD, "## In no section\n", *TABLE], ""
    for setting in settings():
        if setting.section != current:
            current = setting.section
            lines += [
                f"\n## [{current}]: {setting.program}\n{section_words(current)}\n",
                "| setting | default | meaning |",
                "|---|---|---|",
            ]
        shown = f"`{setting.text}`" if setting.text else "none"
        words = setting.words.replace("|", "\\|") + (" **Secret.**" if setting.secret else "")
        lines.append(f"| `{setting.key}` | {shown} | {words} |")
    return "\n".join(lines) + "\n"


def _section(field: FieldInfo) -> type[Section] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _program(program: type[Config], name: str) -> str:
    return "both programs" if name in Config.model_fields else {BotConfig: "bot", AgentConfig: "agent"}[program]


def _setting(section: str, key: str, field: FieldInfo, program: str) -> Setting:
    default = field.get_default(call_default_factory=True)
    plain = default.get_secret_value() if isinstance(default, SecretStr) else str(default) if isinstance(default, Path) else default
    secret = field.annotation is SecretStr or SecretStr in get_args(field.annotation)
    words = _line(field.description)
    if get_origin(field.annotation) is Literal and not all(str(choice) in words for choice in get_args(field.annotation)):
        words += f" One of {', '.join(get_args(field.annotation))}."
    return Setting(section, key, plain, words, program, secret)


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    EXAMPLE.write_text(example(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
