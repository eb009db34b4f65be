"""Making one backup: the server's files into an archive of independent blocks, their hashes into its manifest. Runs in a thread.

The archive appears under its name once it is whole and on the disk; a note tells a later agent of one that was cut short.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import IO, cast

from pathspec import GitIgnoreSpec

from agent.archives.blocks import BlockWriter, Codec
from agent.archives.pack import pack
from agent.backups import manifest
from agent.backups.manifest import Kept, Summary
from agent.backups.store import Store, sync_folder
from agent.filesystem.rooted import Rooted
from agent.filesystem.walk import Found, walk
from core.errors import AerieError, Conflict, DiskFull, NotFound

IGNORE_FILE = b".pteroignore"
LARGEST_IGNORE = 64 * 1024
SPARE = 64 * 1024 * 1024
"""Bytes that must stay free on the disk of the backups."""


class Cancelled(Conflict):
    """Somebody ended it."""

    code = "cancelled"


def ignored(files: Rooted, given: str) -> GitIgnoreSpec:
    """What is left out: the patterns given, else those in the server's own .pteroignore (a plain file of modest size, Wings)."""
    return GitIgnoreSpec.from_lines((given or _own_patterns(files)).splitlines())


def _own_patterns(files: Rooted) -> str:
    try:
        if not stat.S_ISREG(files.facts(IGNORE_FILE, follow=False).st_mode):
            return ""
        descriptor = files.open_read(IGNORE_FILE)
    except AerieError:
        return ""
    try:
        return os.read(descriptor, LARGEST_IGNORE).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


class _Hashed:
    """The archive's file, hashed on its way; checks now and then whether it should go on."""

    def __init__(self, out: IO[bytes], check: Callable[[], None]) -> None:
        self._out = out
        self._check = check
        self.sha1 = hashlib.sha1(usedforsecurity=False)

    def write(self, data: bytes) -> int:
        self._check()
        self.sha1.update(data)
        return self._out.write(data)


def make(
    files: Rooted,
    store: Store,
    *,
    server: str,
    backup: str,
    ignore: str,
    now: datetime,
    codec: Codec = Codec.GZIP,
    reason: str = "",
    progress: Callable[[int], None] = lambda plain: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Summary:
    """Raises Conflict when there is such a backup, DiskFull, Cancelled, NotFound. `progress` hears of the bytes read so far.

    Files are read with the rights of the folder's owner, which the caller must not have taken on yet; the archive is written with ours.
    """
    store.make_folder()
    try:
        store.find(server, backup)
    except NotFound:
        pass
    else:
        raise Conflict("There is such a backup already.")
    kept: list[Kept] = []
    read = 0

    def each(found: Found, at: int, size: int, digest: str) -> None:
        nonlocal read
        read += size
        facts = found.facts
        kept.append(Kept(os.fsdecode(found.path), at, size, digest, stat.S_IMODE(facts.st_mode), facts.st_mtime))
        progress(read)

    def check() -> None:
        if cancelled():
            raise Cancelled("The backup was ended.")
        room = os.fstatvfs(file.fileno())
        if room.f_bavail * room.f_frsize < SPARE:
            raise DiskFull("The node's disk is too full for the backup.", hint="Delete old backups, or give the node more room.")

    part = store.part(backup)
    store.note(backup).write_text(server, encoding="utf-8")
    try:
        part.touch(mode=0o600)
        with part.open("wb", buffering=0) as file:
            check()
            hashed = _Hashed(cast(IO[bytes], file), check)
            with files.rights(), BlockWriter(cast(IO[bytes], hashed), codec) as writer:
                packed = pack(_readable(files, ignored(files, ignore)), cast(IO[bytes], writer), each=each)
            os.fsync(file.fileno())
        made = Summary(
            server=server, backup=backup, made_at=now, codec=codec, size=writer.size, checksum=hashed.sha1.hexdigest(),
            offsets=writer.offsets, files=packed.files, plain=packed.size, reason=reason,
            torn=[os.fsdecode(path) for path in packed.torn], unreadable=[os.fsdecode(path) for path in packed.unreadable],
        )  # fmt: skip
        part.rename(store.archive(backup, codec))
        manifest.write(store.manifest(backup), made, kept)
        sync_folder(store.folder)
        return made
    except OSError as error:
        raise DiskFull(f"The backup could not be written: {error.strerror}.", hint="Look at the node's disk.") from error
    finally:
        part.unlink(missing_ok=True)
        if not store.manifest(backup).exists():
            store.archive(backup, codec).unlink(missing_ok=True)


def _readable(files: Rooted, spec: GitIgnoreSpec) -> Iterable[Found]:
    def left_out(path: bytes, *, is_folder: bool) -> bool:
        text = path.decode("utf-8", "replace")
        return spec.match_file(text + "/" if is_folder else text)

    return walk(files, b"/", left_out)
