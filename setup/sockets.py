"""Places for unix sockets and ports: a socket's path has a limit of 107 bytes, and a port may be taken.

Must never promise a port: between asking and using, somebody else may take it, so whoever binds must still look at the error.
"""

import fcntl
import hashlib
import os
import socket
import tempfile
from pathlib import Path
from typing import Self, TextIO

LONGEST_PATH = 107  # bytes of a unix socket's path on Linux; macOS has 103
ROOM = 47  # what dockerd and others add to the folder they are given


def short_folder(folder: Path, room: int = ROOM) -> Path:
    """The folder itself when socket paths in it stay short enough, else a short one whose name is made from it."""
    folder = folder.resolve()
    if len(os.fsencode(folder)) + room <= LONGEST_PATH - 4:
        return folder
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    place = "/run" if os.access("/run", os.W_OK) else "/tmp"  # noqa: S108
    return Path(place) / f"aerie-{mark}"


class Claims:
    """Ports agreed upon before anything listens there, so that two demos that start at once do not choose the same.

    A context manager; each claim is a locked file in the machine's folder for temporary files, given up when the block ends.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        self._held: list[TextIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._held:
            file.close()

    def take(self, port: int) -> bool:
        """Claim a port; false when another demo has."""
        try:
            file = (self._folder / f"aerie-port-{port}.lock").open("a")
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._held.append(file)
        return True


def free_port(preferred: int = 0, host: str = "127.0.0.1", udp: bool = False) -> int:
    """`preferred` when nothing listens there, else any free port; with `udp` free for both protocols."""
    for port in (preferred, *([0] * 20)):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                stream.bind((host, port))
                number = int(stream.getsockname()[1])
                if udp:
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                        datagrams.bind((host, number))
                return number
        except OSError:
            continue
    raise OSError(f"No free port could be found at {host}.")
