"""What lies in a folder, as the file manager shows it. Runs in threads.

A file is looked into only to tell its kind, and only while that stays cheap; whatever cannot be read is left out, never the whole listing.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from agent.filesystem import mime
from agent.filesystem.refusals import translated
from agent.filesystem.root import is_regular
from agent.filesystem.rooted import Rooted

MOST_ENTRIES = 100_000
MOST_LOOKED_INTO = 2_000
"""Files of one folder whose first bytes are read; the others are told as octets."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link (not followed)."""

    name: str
    facts: os.stat_result
    mime: str


def entries(files: Rooted, path: bytes) -> tuple[list[Entry], bool]:
    """At most MOST_ENTRIES, folders first, then by name; and whether there are more. Names that are no UTF-8 keep their bytes, escaped."""
    folder = files.open_listing(path)
    try:
        with translated():
            found = list(islice(_found(folder, files.inside(folder), files), MOST_ENTRIES + 1))
    finally:
        os.close(folder)
    shown = found[:MOST_ENTRIES]
    shown.sort(key=lambda entry: (not stat.S_ISDIR(entry.facts.st_mode), entry.name.casefold(), entry.name))
    return shown, len(found) > MOST_ENTRIES


def _found(folder: int, where: bytes, files: Rooted) -> Iterator[Entry]:
    looked = 0
    with os.scandir(folder) as scan:
        for one in scan:
            raw = os.fsencode(one.name)
            if files.denied is not None and files.denied.denies(b"/".join(filter(None, (where, raw)))):
                continue
            with suppress(OSError):
                facts = one.stat(follow_symlinks=False)
                look = is_regular(facts) and looked < MOST_LOOKED_INTO
                looked += look
                yield Entry(raw.decode("utf-8", "backslashreplace"), facts, _kind(folder, raw, facts, look=look))


def entry_of(name: str, facts: os.stat_result, descriptor: int) -> Entry:
    """An entry of a regular file that is open for reading."""
    return Entry(name, facts, mime.kind(os.pread(descriptor, mime.LOOKED_AT, 0)))


def _kind(folder: int, name: bytes, facts: os.stat_result, *, look: bool) -> str:
    if stat.S_ISDIR(facts.st_mode):
        return mime.FOLDER
    if not look:
        return mime.UNKNOWN
    try:
        opened = os.open(name, _READ, dir_fd=folder)
    except OSError:
        return mime.UNKNOWN
    try:
        if not is_regular(os.fstat(opened)):
            return mime.UNKNOWN
        return mime.kind(os.pread(opened, mime.LOOKED_AT, 0))
    finally:
        os.close(opened)
