"""Looking into a backup: its list of files, one file out of it, and whether all of it is still what went in. Runs in threads."""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from agent.archives.blocks import BlockReader, ReadAt
from agent.backups import manifest
from agent.backups.manifest import Kept, Summary
from core.errors import NotFound, RuntimeFailure

PORTION = 1024 * 1024


class Torn(RuntimeFailure):
    """The backup is not what was made: a disk or a transport has changed it."""

    code = "backup_broken"


def read_at(descriptor: int) -> ReadAt:
    """Reading from an open archive on this machine."""
    return lambda offset, length: os.pread(descriptor, length, offset)


def one_file(source: ReadAt, summary: Summary, wanted: Kept) -> Iterator[bytes]:
    """One file's contents, checked as they go; reads only the blocks that hold it. Raises Torn, at the latest at the end."""
    reader = BlockReader(source, summary.offsets, summary.size, summary.codec)
    reader.seek(wanted.at)
    digest, left = hashlib.sha256(), wanted.size
    try:
        with _tar(reader, 512 * 20) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member is not None and member.isreg() else None
            if content is None or member is None or member.size != wanted.size:
                raise Torn("The backup's archive does not hold what its list says.")
            while left and (data := content.read(min(PORTION, left))):
                digest.update(data)
                left -= len(data)
                yield data
    except (ValueError, tarfile.TarError, EOFError, OSError) as error:
        raise Torn(f"The backup is damaged: {error}.", hint="Take another backup.") from error
    if left or digest.hexdigest() != wanted.sha256:
        raise Torn("The file in the backup is not what was kept.", hint="Take another backup.")


class _Whole:
    """A block reader that answers as many bytes as it is asked for, as tarfile expects."""

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader

    def read(self, size: int = -1, /) -> bytes:
        out = bytearray()
        while len(out) < size and (data := self._reader.read(size - len(out))):
            out += data
        return bytes(out)


def _tar(reader: BlockReader, ahead: int) -> tarfile.TarFile:
    """`ahead`: bytes read at once."""
    source = cast(IO[bytes], _Whole(reader))
    return tarfile.open(fileobj=source, mode="r|", bufsize=ahead, encoding="utf-8", errors="surrogateescape")


def find(path: Path, wanted: str) -> Kept:
    """A file of a backup by its path. Raises NotFound."""
    name = wanted.strip("/")
    for one in manifest.kept(path):
        if one.path == name:
            return one
    raise NotFound("The backup holds no such file.")


def listing(path: Path, folder: str) -> tuple[set[str], list[Kept]]:
    """Folders and files directly in a folder of the backup. Raises NotFound when nothing lies there."""
    prefix = folder.strip("/") + "/" if folder.strip("/") else ""
    folders: set[str] = set()
    files: list[Kept] = []
    for one in manifest.kept(path):
        if one.path.startswith(prefix):
            name, slash, _ = one.path[len(prefix) :].partition("/")
            if slash:
                folders.add(name)
            else:
                files.append(one)
    if prefix and not folders and not files:
        raise NotFound("The backup holds no such folder.")
    return folders, files


def prove(archive: Path, manifest_path: Path, summary: Summary) -> int:
    """Take everything out, hold each file's hash and the archive's own against what was noted; answers how many files. Raises Torn.

    Nothing is written: each file is read from the archive as a restore would read it.
    """
    descriptor = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_size != summary.size or _sha1(descriptor) != summary.checksum:
            raise Torn("The backup's archive has changed since it was made.", hint="Make a new backup, and look at the node's disk.")
        source, count = read_at(descriptor), 0
        expected = manifest.kept(manifest_path)
        reader = BlockReader(source, summary.offsets, summary.size, summary.codec)
        with _tar(reader, PORTION) as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]
                if not member.isreg() or (content := tar.extractfile(member)) is None:
                    continue
                known = next(expected, None)
                digest = hashlib.sha256()
                while data := content.read(PORTION):
                    digest.update(data)
                if known is None or (known.path, known.size, known.sha256) != (member.name, member.size, digest.hexdigest()):
                    raise Torn(f"{member.name[:200]} in the backup is not what was kept.", hint="Make a new backup.")
                count += 1
        if next(expected, None) is not None or count != summary.files:
            raise Torn("The backup's archive holds fewer files than were kept.", hint="Make a new backup.")
        return count
    except (ValueError, tarfile.TarError, EOFError) as error:
        raise Torn(f"The backup is damaged: {error}.", hint="Make a new backup, and look at the node's disk.") from error
    finally:
        os.close(descriptor)


def _sha1(descriptor: int) -> str:
    digest, at = hashlib.sha1(usedforsecurity=False), 0
    while data := os.pread(descriptor, 4 * PORTION, at):
        digest.update(data)
        at += len(data)
    return digest.hexdigest()
