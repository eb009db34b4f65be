"""Hard limits by ext4's and xfs's project quotas: every file and folder of a server is of the server's project, which has a limit.

Nothing is moved or copied: what is there is marked where it lies, folder by folder from the top, and what is made later follows its folder.
Marked again before each start, since a file's owner may take the mark away.
"""

import errno
import os
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from agent.filesystem.hard_quota import NoHardQuota, opened, refuses
from agent.filesystem.project_calls import limit_project, project_of, read_project, set_project, without_privilege
from agent.filesystem.project_ids import LAST, ProjectIds
from agent.filesystem.scan import MOST_DEPTH

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PROBE_LIMIT = 256 * 1024
_NOT_HERE = {
    errno.ESRCH: "project quotas are off: the file system is not mounted with prjquota",
    errno.ENOTTY: "the file system knows no projects",
    errno.EOPNOTSUPP: "the file system was made without projects (ext4 needs the features project and quota)",
    errno.ENOSYS: "project quotas are off: the file system is not mounted with prjquota, or the kernel was built without them",
    errno.EINVAL: "the file system knows no project quotas",
    errno.EPERM: "the agent may not: it needs root's rights on the machine itself",
}


class ProjectQuota:
    """See HardQuota. `data` is the folder of all servers, `file` where their project ids are kept."""

    name = "project quotas"
    lags = False
    moves = False

    def __init__(self, data: Path, file: Path, *, asking: bool = False) -> None:
        """Tries it, by a folder of a moment. Raises NoHardQuota."""
        self._data = data
        try:
            self._try()
            self._ids = ProjectIds(file, self._unused)
            if not asking:
                self._give_back()
        except ValueError as error:
            raise NoHardQuota(f"{file} is damaged: it must be repaired, or removed with all servers offline") from error
        except OSError as error:
            raise NoHardQuota(_NOT_HERE.get(error.errno or 0, f"the file system refuses: {error.strerror}")) from error

    def _try(self) -> None:
        number = LAST + 1 + secrets.randbelow(0xFFFF)  # never a server's
        folder = self._data / f".aerie-probe-{secrets.token_hex(6)}"
        with opened(self._data) as data:
            read_project(data, number)
            folder.mkdir(mode=0o700)
            try:
                with opened(folder) as descriptor:
                    set_project(descriptor, number, folder=True)
                    if project_of(descriptor) != number:
                        raise NoHardQuota("the file system forgets which project a folder is of")
                limit_project(data, number, _PROBE_LIMIT, 0)
                with without_privilege():
                    held = refuses(folder / "x", 4 * _PROBE_LIMIT)
                if not held:
                    raise NoHardQuota("project quotas are counted, but not enforced: the file system is not mounted with prjquota")
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):
                    limit_project(data, number, 0, 0)

    def _unused(self, number: int) -> bool:
        with opened(self._data) as data:
            known = read_project(data, number)
        return not (known.space or known.inodes or known.limit or known.inode_limit)

    def holds(self, folder: Path) -> bool:
        number = self._ids.get(folder.name)
        if number is None:
            return False
        try:
            with opened(folder) as descriptor:
                return project_of(descriptor) == number
        except FileNotFoundError:
            return False

    def take_in(self, folder: Path) -> None:
        number = self._ids.take(folder.name)
        folder.mkdir(parents=True, exist_ok=True)
        with opened(folder) as descriptor:
            _mark(descriptor, number, os.fstat(descriptor).st_dev, MOST_DEPTH)

    def limit(self, folder: Path, size: int, inodes: int) -> None:
        number = self._ids.get(folder.name)
        if number is not None:
            with opened(self._data) as data:
                limit_project(data, number, size, inodes)

    def used(self, folder: Path) -> int | None:
        number = self._ids.get(folder.name)
        if number is None:
            return None
        with opened(self._data) as data:
            return read_project(data, number).space

    def remove(self, folder: Path) -> None:
        """The id is free for another server once nothing bears it any more, which is looked at again at each start of the agent."""
        shutil.rmtree(folder, ignore_errors=True)
        number = self._ids.get(folder.name)
        if number is None:
            return
        with opened(self._data) as data:
            limit_project(data, number, 0, 0)
        self._give_back()

    def _give_back(self) -> None:
        self._ids.give_back(lambda uuid: not (self._data / uuid).exists())


def _mark(folder: int, number: int, device: int, depth: int) -> None:
    """Folder first, so that what is made in it meanwhile is marked, too. Links, pipes and devices take next to nothing and stay."""
    set_project(folder, number, folder=True)
    inner: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    _mark_file(folder, entry.name, number, device)
    for name in inner if depth else ():
        try:
            opened = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                continue
            raise
        try:
            if os.fstat(opened).st_dev == device:
                _mark(opened, number, device, depth - 1)
        finally:
            os.close(opened)


def _mark_file(folder: int, name: str, number: int, device: int) -> None:
    try:
        opened = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return
        raise
    try:
        facts = os.fstat(opened)
        if facts.st_dev == device and stat.S_ISREG(facts.st_mode):
            set_project(opened, number, folder=False)
    finally:
        os.close(opened)
