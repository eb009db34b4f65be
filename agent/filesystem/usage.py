"""How much disk a server's files take: a walk by descriptors, run in a thread by its caller.

Never follows a link, so that nothing outside is counted or even looked at.
"""

import os

MOST_DEPTH = 256
"""Folders deeper than this are not counted: each level holds a descriptor."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def usage(root: int) -> int:
    """Bytes of all regular files below the descriptor (apparent size). A hard link counts once, a file that vanishes not at all."""
    return _walk(root, set(), MOST_DEPTH)


def _walk(folder: int, seen: set[tuple[int, int]], depth: int) -> int:
    total, folders = 0, []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        total += _size(entry.stat(follow_symlinks=False), seen)
                except OSError:
                    continue
    except OSError:
        return total
    return total + sum(_below(folder, name, seen, depth) for name in folders if depth)


def _below(folder: int, name: str, seen: set[tuple[int, int]], depth: int) -> int:
    try:
        opened = os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        return 0
    try:
        return _walk(opened, seen, depth - 1)
    finally:
        os.close(opened)


def _size(facts: os.stat_result, seen: set[tuple[int, int]]) -> int:
    if facts.st_nlink > 1:
        if (facts.st_dev, facts.st_ino) in seen:
            return 0
        seen.add((facts.st_dev, facts.st_ino))
    return facts.st_size
