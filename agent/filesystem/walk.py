"""Everything below a folder of a server, by descriptors: for archives and backups. Runs in threads.

Links are shown, never followed; another file system mounted inside is left out; what vanishes meanwhile is passed over.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from agent.filesystem.refusals import NotRegular, translated
from agent.filesystem.replacement import PREFIX
from agent.filesystem.root import is_regular, normal
from agent.filesystem.rooted import Rooted

MOST_DEPTH = 256
"""Folders deeper than this are left out: each level holds a descriptor."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """Something in a folder. `folder` is a descriptor that stays good until the next one is asked for."""

    path: bytes
    """From the server's root."""
    facts: os.stat_result
    folder: int
    name: bytes

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.facts.st_mode)

    @property
    def is_file(self) -> bool:
        return is_regular(self.facts)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.facts.st_mode)

    def open(self) -> int:
        """Of a regular file, to read; the caller closes it. Raises OSError, or NotRegular when it has become something else."""
        descriptor = os.open(self.name, _READ, dir_fd=self.folder)
        if not is_regular(os.fstat(descriptor)):
            os.close(descriptor)
            raise NotRegular("This is no regular file.")
        return descriptor

    def target(self) -> bytes:
        """Where a link points. Raises OSError."""
        return os.readlink(self.name, dir_fd=self.folder)


def nothing(path: bytes, *, is_folder: bool) -> bool:
    """For `left_out`: take everything."""
    return False


LeftOut = Callable[..., bool]
"""`(path, *, is_folder)`: whether it is left out, a folder with all that is in it."""


def walk(files: Rooted, path: bytes, left_out: LeftOut = nothing) -> Iterator[Found]:
    """`path` itself (unless it is the root) and all below it, a folder before what is in it, names in order. Raises as `Rooted` does."""
    where = normal(path)
    if where:
        with files.parent(path) as (folder, name), translated():
            place = b"/".join(filter(None, (files.inside(folder), name)))
            yield from _one(folder, name, place, os.fstat(folder).st_dev, left_out, 0)
        return
    with translated():
        yield from _inside(files.descriptor, b"", os.fstat(files.descriptor).st_dev, left_out, 0)


def _one(folder: int, name: bytes, path: bytes, device: int, left_out: LeftOut, depth: int) -> Iterator[Found]:
    try:
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return
    found = Found(path, facts, folder, name)
    if left_out(path, is_folder=found.is_folder):
        return
    if not found.is_folder:
        yield found
        return
    if facts.st_dev != device or depth >= MOST_DEPTH:
        return
    yield found
    with suppress(OSError):
        opened = os.open(name, _FOLDER, dir_fd=folder)
        try:
            yield from _inside(opened, path, device, left_out, depth + 1)
        finally:
            os.close(opened)


def _inside(folder: int, path: bytes, device: int, left_out: LeftOut, depth: int) -> Iterator[Found]:
    for name in sorted(map(os.fsencode, os.listdir(folder))):
        if not name.startswith(PREFIX):  # something of ours that is being made
            yield from _one(folder, name, b"/".join(filter(None, (path, name))), device, left_out, depth)
