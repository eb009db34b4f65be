"""Why something could not be done to a server's files, in words for the person who asked.

Must never name a path of the host: people see their server's folder as `/`.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import AerieError, Conflict, DiskFull, Forbidden, Invalid, LimitReached, NotFound


class OutsideRoot(Forbidden):
    """The path leads, by a link or by `..`, out of the server's folder."""

    code = "outside_root"


class Denied(Forbidden):
    """The egg keeps this file to itself (`file_denylist`)."""

    code = "file_denied"


class NotRegular(Forbidden):
    """A device, pipe, socket or folder where a file was wanted."""

    code = "not_a_file"


class QuotaExceeded(LimitReached):
    """The change would take more than the server's disk limit."""

    code = "quota_exceeded"


class FileFailure(AerieError):
    """The disk could not do it, for a reason without a name of its own."""

    code = "file_failure"


_WORDS: dict[int, tuple[type[AerieError], str]] = {
    errno.ENOENT: (NotFound, "There is no such file or folder."),
    errno.ENOTDIR: (NotFound, "A part of the path is not a folder."),
    errno.EEXIST: (Conflict, "Something with this name is there already."),
    errno.ENOTEMPTY: (Conflict, "The folder is not empty."),
    errno.EISDIR: (NotRegular, "This is a folder."),
    errno.ENXIO: (NotRegular, "This is no regular file."),
    errno.EXDEV: (OutsideRoot, "The path leads out of the server's folder."),
    errno.ELOOP: (OutsideRoot, "The path leads through a link that may not be followed."),
    errno.EAGAIN: (OutsideRoot, "The path changes while it is being followed."),
    errno.EACCES: (Forbidden, "The file's owner or mode forbids it."),
    errno.EPERM: (Forbidden, "The file system forbids it."),
    errno.EROFS: (Forbidden, "The file system is read-only."),
    errno.ENOSPC: (DiskFull, "The node's disk is full."),
    errno.EDQUOT: (QuotaExceeded, "The file system's quota is used up."),
    errno.ENAMETOOLONG: (Invalid, "The name is too long."),
    errno.EINVAL: (Invalid, "The file system cannot do this here."),
    errno.EFBIG: (Invalid, "The file would be too large."),
}


def told(error: OSError) -> AerieError:
    """An operating system's error as one a person may read."""
    kind, words = _WORDS.get(error.errno or 0, (FileFailure, f"The disk could not do it: {error.strerror or 'unknown error'}."))
    return kind(words)


@contextmanager
def translated() -> Iterator[None]:
    """Whatever the operating system refuses inside is raised as an AerieError."""
    try:
        yield
    except OSError as error:
        raise told(error) from error
