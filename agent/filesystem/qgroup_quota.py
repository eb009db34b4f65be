"""Hard limits by btrfs: each server's folder is a subvolume in a quota group of its own, which counts what is nested in it, too.

The group's number is the subvolume's, so that there is nothing to remember and nothing to collide: btrfs never gives an id twice.
"""

import errno
import os
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from agent.filesystem import btrfs
from agent.filesystem.hard_quota import NoHardQuota, opened, refuses
from agent.filesystem.syscalls import exchange, sync_file_system

MOST_SUBVOLUMES = 64
"""Of a file system with more, quotas are not turned on by us: counting many snapshots costs it dearly."""
_FRESH = ".aerie-new-"
"""Before a uuid: a subvolume that is being filled, or a folder whose files it has got. Never the only place of anything."""
_COPY_SECONDS = 3600.0
_PROBE_LIMIT = 1024 * 1024
_CP = ("/usr/bin/cp", "/bin/cp")


class QgroupQuota:
    """See HardQuota. `data` is the folder of all servers."""

    name = "btrfs quota groups"
    lags = True
    moves = True

    def __init__(self, data: Path, *, asking: bool = False) -> None:
        """Tries it, by a subvolume of a moment; turns quotas on where they are off, unless only `asking`. Raises NoHardQuota."""
        self._data = data
        try:
            with opened(data) as descriptor:
                self._turn_on(descriptor, asking=asking)
                self._try(descriptor)
        except OSError as error:
            raise NoHardQuota(f"btrfs refuses quota groups here: {error.strerror}") from error
        for leftover in data.glob(f"{_FRESH}*") if not asking else ():
            self._destroy(leftover)

    @staticmethod
    def _turn_on(descriptor: int, *, asking: bool) -> None:
        try:
            if btrfs.quotas_on(descriptor):
                return
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP):
                raise NoHardQuota("the file system is not btrfs") from error
            raise
        if _is_the_machines_own(descriptor):
            raise NoHardQuota(
                "quotas are off on this btrfs, which is the machine's own and not only Aerie's, so that turning them on is yours to decide "
                "(btrfs quota enable)"
            )
        if btrfs.subvolumes(descriptor, MOST_SUBVOLUMES) >= MOST_SUBVOLUMES:
            raise NoHardQuota(
                f"quotas are off on this btrfs, which has {MOST_SUBVOLUMES} subvolumes and snapshots or more: whether they shall be "
                "counted, which takes time at each change, is yours to say (btrfs quota enable)"
            )
        if asking:
            raise NoHardQuota("quotas are off on this btrfs; the agent turns them on when it starts")
        btrfs.turn_quotas_on(descriptor)

    def _try(self, descriptor: int) -> None:
        name = f".aerie-probe-{secrets.token_hex(6)}"
        folder = self._data / name
        btrfs.create_subvolume(descriptor, name.encode())
        try:
            self._enter(folder)
            self.limit(folder, _PROBE_LIMIT, 0)
            if not refuses(folder / "x", 4 * _PROBE_LIMIT):
                raise NoHardQuota("btrfs took quota groups, but let more be written than they allow")
        finally:
            self._destroy(folder)

    def holds(self, folder: Path) -> bool:
        try:
            if not btrfs.is_subvolume(folder):
                return False
            with opened(self._data) as data:
                return btrfs.group_bytes(data, btrfs.GROUP | self._subvolume(folder)) is not None
        except FileNotFoundError:
            return False

    def take_in(self, folder: Path) -> None:
        with opened(self._data) as parent:
            try:
                plain = not btrfs.is_subvolume(folder)
            except FileNotFoundError:
                btrfs.create_subvolume(parent, os.fsencode(folder.name))
                plain = False
            if plain:
                self._convert(parent, folder)
        self._enter(folder)

    def _convert(self, parent: int, folder: Path) -> None:
        """A copy that shares every block, in a subvolume; then both change places in one step, and the old folder goes."""
        fresh = folder.with_name(_FRESH + folder.name)
        if fresh.exists():
            self._destroy(fresh)
        btrfs.create_subvolume(parent, os.fsencode(fresh.name))
        try:
            self._enter(fresh)  # while it is empty: what is copied then counts from the first block
            program = next((place for place in _CP if Path(place).exists()), "cp")
            done = subprocess.run(  # noqa: S603 (both are names of ours)
                [program, "-a", "--reflink=always", "--", f"{folder}/.", f"{fresh}/"],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_COPY_SECONDS, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise OSError(errno.EIO, f"its files could not be brought into a subvolume: {said[-1] if said else 'cp failed'}")
            sync_file_system(parent)  # what the old folder holds is given up only when the new one is on the disk
            exchange(fresh, folder)
        except subprocess.TimeoutExpired as error:
            raise OSError(errno.ETIMEDOUT, "its files could not be brought into a subvolume in time") from error
        finally:
            self._destroy(fresh)

    def _enter(self, folder: Path) -> None:
        subvolume = self._subvolume(folder)
        with opened(self._data) as data:
            btrfs.create_group(data, btrfs.GROUP | subvolume)
            self._enter_all(data, subvolume, btrfs.GROUP | subvolume)

    def _enter_all(self, data: int, subvolume: int, group: int) -> None:
        """It and what a game has nested in it, which would escape otherwise."""
        if not btrfs.is_member(data, subvolume, group):
            btrfs.assign(data, subvolume, group)
        for child in btrfs.nested(data, subvolume):
            self._enter_all(data, child, group)

    @staticmethod
    def _subvolume(folder: Path) -> int:
        with opened(folder) as descriptor:
            return btrfs.subvolume_id(descriptor)

    def limit(self, folder: Path, size: int, inodes: int) -> None:
        """Inodes need no limit here: they take bytes that count."""
        with opened(self._data) as data:
            btrfs.limit_group(data, btrfs.GROUP | self._subvolume(folder), size)

    def used(self, folder: Path) -> int | None:
        subvolume = self._subvolume(folder)
        with opened(self._data) as data:
            self._enter_all(data, subvolume, btrfs.GROUP | subvolume)
            return btrfs.group_bytes(data, btrfs.GROUP | subvolume) if btrfs.quotas_true(data) else None

    def remove(self, folder: Path) -> None:
        self._destroy(folder)

    def _destroy(self, folder: Path) -> None:
        try:
            if not btrfs.is_subvolume(folder):
                shutil.rmtree(folder, ignore_errors=True)
                return
        except FileNotFoundError:
            return
        subvolume = self._subvolume(folder)
        with opened(self._data) as parent:
            group, members = btrfs.GROUP | subvolume, [subvolume]
            self._destroy_nested(parent, subvolume, members)
            btrfs.destroy_subvolume(parent, os.fsencode(folder.name))
            with suppress(OSError):  # one that stays is empty, and its number never comes again
                for member in members:
                    btrfs.assign(parent, member, group, belongs=False)
                btrfs.remove_group(parent, group)
            for member in members:
                with suppress(OSError):  # btrfs removes it by itself later, or keeps it empty
                    btrfs.remove_group(parent, member)

    def _destroy_nested(self, parent: int, subvolume: int, members: list[int]) -> None:
        for child in btrfs.nested(parent, subvolume):
            self._destroy_nested(parent, child, members)
            btrfs.destroy_by_id(parent, child)
            members.append(child)


def _is_the_machines_own(descriptor: int) -> bool:
    """Whether it holds the root folder, too."""
    try:
        with opened(Path("/")) as root:
            return btrfs.file_system(root) == btrfs.file_system(descriptor)
    except OSError:
        return False
