"""Whose rights file work is done with: a thread takes on the file rights of whoever owns the server's folder.

Root would be let through everywhere; so before a thread touches a server's files it gives up root's file rights (setfsuid(2), setfsgid(2):
they count for the calling thread alone, and Linux takes the capabilities over files away with them). What the code's own confinement ever
missed, the kernel then still refuses, since nothing of the host belongs to that user. Costs about 8 µs both ways.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Forbidden

_libc = ctypes.CDLL(None, use_errno=True)
_ASK = 0xFFFFFFFF
"""An id that is never valid: the call changes nothing and answers the present one."""


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Run the block with the file rights of `uid` and `gid`, in this thread alone; must not await inside, nor begin a thread: it would
    inherit them for good.

    Nothing changes when the process is not root (it has no other rights to take on) or the folder is root's own.
    """
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    _libc.setfsgid(ctypes.c_uint(gid))
    _libc.setfsuid(ctypes.c_uint(uid))
    try:
        if rights() != (uid, gid):
            raise Forbidden("The agent could not give up its own rights over files, so it does not touch them.")
        yield
    finally:
        _libc.setfsuid(ctypes.c_uint(0))  # first: it brings the right to change the group back
        _libc.setfsgid(ctypes.c_uint(0))


def rights() -> tuple[int, int]:
    """The uid and gid with which this thread touches files."""
    return _libc.setfsuid(ctypes.c_uint(_ASK)), _libc.setfsgid(ctypes.c_uint(_ASK))
