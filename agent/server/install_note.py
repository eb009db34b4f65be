"""That an installation is under way, written where it survives the agent: one small file per server. Used in a thread.

A note without an outcome, found at boot, means that the agent died in the middle; one with an outcome, that it died before telling it.
"""

import contextlib
import os
from pathlib import Path

from pydantic import ValidationError

from core.protocol.remote import InstallReport
from core.protocol.settings import Wire


class InstallNote(Wire):
    """What was being done to which server, and what came of it."""

    uuid: str
    reinstall: bool = False
    outcome: InstallReport | None = None


class InstallNotes:
    """The notes in one folder. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, note: InstallNote) -> None:
        """Whole or not at all, and on the disk when this returns."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._folder / f"{note.uuid}.new"
        with fresh.open("w", encoding="utf-8") as out:
            out.write(note.model_dump_json())
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._file(note.uuid))
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, uuid: str) -> None:
        self._file(uuid).unlink(missing_ok=True)

    def all(self) -> list[InstallNote]:
        """Every note there is; one that cannot be read still says which server it was about."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for file in sorted(self._folder.glob("*.json")):
                try:
                    found.append(InstallNote.model_validate_json(file.read_bytes()))
                except ValidationError:
                    found.append(InstallNote(uuid=file.stem))
        return found

    def _file(self, uuid: str) -> Path:
        return self._folder / f"{uuid}.json"
