"""What every table of the settings file is made of, and the tables that both programs read.

Values only: core/config.py alone reads the file and the environment.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One table of the settings file. The text under each setting is its line in aerie.example.toml and docs/settings.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LogSection(Section):
    """What is written to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """DEBUG, INFO, WARNING or ERROR: the least that is written."""


class TlsSection(Section):
    """Whom to trust when calling the other program."""

    ca: Path | None = None
    """PEM file of your own certificate authority, trusted beside the system's: by the bot for nodes, by agents for the bot."""
