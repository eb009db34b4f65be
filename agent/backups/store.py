"""The node's folder of backups: `<uuid>.tar.gz` as Wings has them, beside each the list of its files, and a note while one is being made.

A name is made of a UUID alone, so no id can lead anywhere. Nothing is deleted but what bears a backup's name here.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from agent.archives.blocks import Codec
from agent.backups import manifest
from agent.backups.manifest import Summary
from core.errors import AerieError, Invalid, NotFound


def proper(backup: str) -> str:
    """The id, when it is a UUID in its usual spelling. Raises Invalid before anything on the disk is touched."""
    try:
        if str(uuid.UUID(backup)) == backup.lower():
            return backup.lower()
    except ValueError:
        pass
    raise Invalid("A backup's id must be a UUID.")


class Store:
    """`folder` is made when it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def archive(self, backup: str, codec: Codec = Codec.GZIP) -> Path:
        return self.folder / f"{proper(backup)}.tar.{codec.value}"

    def manifest(self, backup: str) -> Path:
        return self.folder / f"{proper(backup)}.files"

    def note(self, backup: str) -> Path:
        """There while the backup is being made; holds its server's uuid."""
        return self.folder / f"{proper(backup)}.making"

    def part(self, backup: str) -> Path:
        return self.folder / f"{proper(backup)}.part"

    def make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, server: str, backup: str) -> tuple[Path, Summary | None]:
        """A server's archive, and what is known of it (nothing, when Wings made it). Raises NotFound, for another server's too."""
        path = next((found for codec in Codec if (found := self.archive(backup, codec)).is_file()), None)
        if path is None:
            raise NotFound("This node has no such backup.")
        try:
            known = manifest.summary(self.manifest(backup))
        except NotFound:
            return path, None
        if known.server != server:
            raise NotFound("This node has no such backup.")
        return path, known

    def listed(self, server: str, backup: str) -> tuple[Path, Summary]:
        """As `find`, for what needs the list of the files. Raises NotFound for an archive without one, too."""
        path, known = self.find(server, backup)
        if known is None:
            raise NotFound("The backup has no list of its files; it may have been made by Wings.")
        return path, known

    def delete(self, server: str, backup: str) -> None:
        """Raises NotFound."""
        path, _ = self.find(server, backup)
        path.unlink(missing_ok=True)
        self.manifest(backup).unlink(missing_ok=True)

    def of(self, server: str) -> Iterator[Summary]:
        """A server's backups that were made here, newest first."""
        found = []
        for path in self.folder.glob("*.files"):
            with contextlib.suppress(AerieError):
                known = manifest.summary(path)
                if known.server == server and self.archive(known.backup, known.codec).is_file():
                    found.append(known)
        yield from sorted(found, key=lambda known: known.made_at, reverse=True)

    def unfinished(self) -> list[tuple[str, str]]:
        """Backup and server of those that were being made when an agent ended. Their parts are taken away, the notes stay."""
        found = []
        for path in self.folder.glob("*.making"):
            with contextlib.suppress(AerieError, OSError):
                backup = proper(path.stem)
                self.part(backup).unlink(missing_ok=True)
                if not self.manifest(backup).exists():
                    for codec in Codec:
                        self.archive(backup, codec).unlink(missing_ok=True)
                found.append((backup, path.read_text(encoding="utf-8").strip()))
        return found


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
