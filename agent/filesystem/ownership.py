"""Gives a server's files to its user: by descriptors, folder by folder, so that no link planted by a game or an install script is followed.

What is another file system's (a mount below the folder) is left alone. Runs in a thread, with root's rights.
"""

import errno
import os
import stat
from pathlib import Path

from agent.filesystem.scan import MOST_DEPTH

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PRIVATE = 0o700
"""A server's folder is its own user's alone (Wings)."""


def hand_over(folder: Path, uid: int, gid: int) -> None:
    """Everything in `folder`, and itself, becomes the user's; files lose setuid and setgid. Raises OSError for the first that refused.

    A file that vanishes meanwhile is no trouble; one that refuses (an immutable file) does not keep the rest from being handed over.
    """
    root = os.open(folder, _FOLDER)
    try:
        refused = _give(root, uid, gid, os.fstat(root).st_dev, MOST_DEPTH)
        os.fchown(root, uid, gid)
        os.fchmod(root, PRIVATE)
    finally:
        os.close(root)
    if refused is not None:
        raise refused


def _give(folder: int, uid: int, gid: int, device: int, depth: int) -> OSError | None:
    refused: OSError | None = None
    inner: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
                if facts.st_dev != device:
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    inner.append(entry.name)
                if (facts.st_uid, facts.st_gid) != (uid, gid):
                    os.chown(entry.name, uid, gid, dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    refused = refused or error
    for name in inner if depth else ():
        try:
            opened = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:  # a link or a file by now, or gone: what it was is given already
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                refused = refused or error
            continue
        try:
            refused = _give(opened, uid, gid, device, depth - 1) or refused
        finally:
            os.close(opened)
    return refused
