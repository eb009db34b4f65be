"""Putting a backup back: looked at first, then, with the server stopped, the old files away and the kept ones in. Runs in threads.

A note on the disk says what is being put back and which safety backup holds what was there; an agent that dies in between leaves the note,
and the next one does the step again. So there is the old state or the new one in the end, never half of each.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pydantic

from agent.archives.caps import Caps, Meter, Metered
from agent.archives.formats import BEGINNING, BROKEN, decompressor, is_tar, packing_of
from agent.archives.unpack import unpack_from
from agent.backups.manifest import Summary
from agent.backups.read import Torn, prove
from agent.backups.store import Store, sync_folder
from agent.filesystem import trees
from agent.filesystem.rooted import Rooted

CAPS = Caps(ratio=5000, free_bytes=1024**3, members=5_000_000, depth=250, seconds=24 * 3600.0)
"""Wide: what is put back was a server's own; its disk limit holds all the same."""
_PORTION = 1024 * 1024


class Note(pydantic.BaseModel):
    """A restore under way."""

    server: str
    backup: str
    archive: str
    """The archive's file name in the folder of the backups."""
    truncate: bool
    safety: str = ""
    """Id of the backup of what was there before; empty when there is none."""
    fetched: bool = False
    """Whether the archive was fetched for this alone and goes away afterwards."""


def note_path(store: Store, server: str) -> Path:
    return store.folder / f"{server}.restoring"


def write_note(store: Store, note: Note) -> None:
    """On the disk when this returns."""
    path = note_path(store, note.server)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(note.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(store.folder)


def notes(store: Store) -> list[Note]:
    """Restores that were cut short."""
    found = []
    for path in store.folder.glob("*.restoring"):
        with suppress(OSError, ValueError):
            found.append(Note.model_validate_json(path.read_text(encoding="utf-8")))
    return found


def check(archive: Path, manifest: Path, known: Summary | None, seconds: Callable[[], float]) -> None:
    """Whether an archive can be put back, before anything is touched: ours by its list, another's by reading it whole. Raises Torn."""
    if known is not None:
        prove(archive, manifest, known)
        return
    try:
        with archive.open("rb") as file:
            stream = Metered(decompressor(file, packing_of(file.read(BEGINNING))), Meter(CAPS, archive.stat().st_size, seconds))
            file.seek(0)
            beginning = stream.read(BEGINNING)
            if not is_tar(beginning):
                raise Torn("The backup's archive is no tar.")
            while stream.read(_PORTION):
                pass
    except BROKEN as error:
        raise Torn(f"The backup is damaged: {error}.", hint="Take another backup.") from error


def put_back(files: Rooted, archive: Path, seconds: Callable[[], float], *, truncate: bool) -> int:
    """Replace the server's files by the archive's; answers how many came out. Raises AerieError, then half is there: see `Note`."""
    with archive.open("rb") as file, files.rights():  # in this order: the folder of the backups is closed to the server's user
        if truncate:
            wipe(files)
        return unpack_from(file, files, b"/", Meter(CAPS, os.fstat(file.fileno()).st_size, seconds), links=True)


def wipe(files: Rooted) -> None:
    """Remove all that is in the root, not the root itself."""
    for name in os.listdir(files.descriptor):  # noqa: PTH208 (a descriptor)
        with suppress(FileNotFoundError):
            trees.remove_tree(files, os.fsencode(name))
