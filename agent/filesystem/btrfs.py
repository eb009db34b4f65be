"""What of btrfs a server's quota needs: subvolumes, quota groups, and what they count. By ioctl; knows nothing of servers.

Source: linux/btrfs.h and linux/btrfs_tree.h. Runs in threads: a call may wait for the file system's commit. Raises OSError.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

MAGIC = 0x9123683E
"""statfs's type."""
FIRST_INODE = 256
"""The inode number of every subvolume's root."""
GROUP = 1 << 48
"""Added to a subvolume's id: the quota group of level 1 that holds it and whatever is made below it."""
_SUBVOL_CREATE, _SNAP_DESTROY, _SNAP_DESTROY_V2 = 0x5000940E, 0x5000940F, 0x5000943F
_TREE_SEARCH, _INO_LOOKUP = 0xD0009411, 0xD0009412
_QUOTA_CTL, _QGROUP_ASSIGN, _QGROUP_CREATE, _QGROUP_LIMIT, _QUOTA_RESCAN = 0xC0109428, 0x40189429, 0x4010942A, 0x8030942B, 0x4040942C
_FS_INFO = 0x8400941F
_ENABLE = 1
_BY_ID = 1 << 4
_LIMIT_RFER = 1
_NO_LIMIT = (1 << 64) - 1
_ROOT_TREE, _QUOTA_TREE = 1, 8
_ROOT_BACKREF, _ROOT_REF, _QGROUP_STATUS, _QGROUP_INFO, _QGROUP_RELATION = 144, 156, 240, 242, 246
_STATUS_RESCAN, _STATUS_INCONSISTENT = 2, 4
_MAX = (1 << 64) - 1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_subvolume(folder: Path) -> bool:
    """Whether the folder is a subvolume's root."""
    facts = folder.lstat()
    return facts.st_ino == FIRST_INODE and folder.is_dir() and facts.st_dev != folder.parent.stat().st_dev


def subvolume_id(descriptor: int) -> int:
    """Of the subvolume that holds what is open."""
    buffer = bytearray(4096)
    struct.pack_into("=QQ", buffer, 0, 0, FIRST_INODE)
    fcntl.ioctl(descriptor, _INO_LOOKUP, buffer)
    found: int = struct.unpack_from("=Q", buffer)[0]
    return found


def create_subvolume(parent: int, name: bytes) -> None:
    """An empty one, named `name`, in the open folder `parent`."""
    fcntl.ioctl(parent, _SUBVOL_CREATE, bytearray(struct.pack("=q4088s", 0, name)))


def destroy_subvolume(parent: int, name: bytes) -> None:
    """With all that is in it; subvolumes below it must be gone before."""
    fcntl.ioctl(parent, _SNAP_DESTROY, bytearray(struct.pack("=q4088s", 0, name)))


def destroy_by_id(descriptor: int, subvolume: int) -> None:
    """As above, wherever it lies on the file system that is open (Linux 5.7)."""
    fcntl.ioctl(descriptor, _SNAP_DESTROY_V2, bytearray(struct.pack("=qQQ32xQ4032x", 0, 0, _BY_ID, subvolume)))


def file_system(descriptor: int) -> bytes:
    """Its uuid, the same in all its subvolumes."""
    buffer = bytearray(1024)
    fcntl.ioctl(descriptor, _FS_INFO, buffer)
    return bytes(buffer[16:32])


def nested(descriptor: int, subvolume: int) -> list[int]:
    """Ids of the subvolumes right below one: a game may make them without any rights (btrfs lets every owner of a folder)."""
    return [child for _, child, _ in _search(descriptor, _ROOT_TREE, (subvolume, _ROOT_REF, 0), (subvolume, _ROOT_REF, _MAX))]


def subvolumes(descriptor: int, most: int) -> int:
    """How many there are, snapshots too, counted up to `most`."""
    count = 0
    for kind, _, _ in _search(descriptor, _ROOT_TREE, (FIRST_INODE, _ROOT_BACKREF, 0), (_MAX - 256, _ROOT_BACKREF, _MAX)):
        count += kind == _ROOT_BACKREF
        if count >= most:
            break
    return count


def quotas_on(descriptor: int) -> bool:
    key = (0, _QGROUP_STATUS, 0)
    try:
        return any(kind == _QGROUP_STATUS for kind, _, _ in _search(descriptor, _QUOTA_TREE, key, key))
    except FileNotFoundError:
        return False


def quotas_true(descriptor: int) -> bool:
    """Whether the counts can be believed: not while they are being made anew. Lost ones are asked to be."""
    for kind, _, item in _search(descriptor, _QUOTA_TREE, (0, _QGROUP_STATUS, 0), (0, _QGROUP_STATUS, 0)):
        if kind == _QGROUP_STATUS:
            flags = struct.unpack_from("<QQQ", item)[2]
            if flags & _STATUS_INCONSISTENT and not flags & _STATUS_RESCAN:
                fcntl.ioctl(descriptor, _QUOTA_RESCAN, bytes(64))
            return not flags & (_STATUS_RESCAN | _STATUS_INCONSISTENT)
    return False


def turn_quotas_on(descriptor: int) -> None:
    fcntl.ioctl(descriptor, _QUOTA_CTL, struct.pack("=QQ", _ENABLE, 0))


def create_group(descriptor: int, group: int) -> None:
    """One that is there already is no error."""
    try:
        fcntl.ioctl(descriptor, _QGROUP_CREATE, struct.pack("=QQ", 1, group))
    except FileExistsError:
        return


def remove_group(descriptor: int, group: int) -> None:
    fcntl.ioctl(descriptor, _QGROUP_CREATE, struct.pack("=QQ", 0, group))


def assign(descriptor: int, member: int, group: int, *, belongs: bool = True) -> None:
    """Count `member` (a subvolume's id) into the group, or no more. The descriptor must be another subvolume's, lest a full one refuse."""
    fcntl.ioctl(descriptor, _QGROUP_ASSIGN, struct.pack("=QQQ", belongs, member, group))


def is_member(descriptor: int, member: int, group: int) -> bool:
    key = (member, _QGROUP_RELATION, group)
    return any((kind, other) == key[1:] for kind, other, _ in _search(descriptor, _QUOTA_TREE, key, key))


def limit_group(descriptor: int, group: int, size: int) -> None:
    """Bytes; 0 lifts the limit."""
    fcntl.ioctl(descriptor, _QGROUP_LIMIT, struct.pack("=QQQQQQ", group, _LIMIT_RFER, size or _NO_LIMIT, 0, 0, 0))


def group_bytes(descriptor: int, group: int) -> int | None:
    """What a group's members take, as of the last commit (each half minute at the latest); None when there is no such group."""
    for kind, found, item in _search(descriptor, _QUOTA_TREE, (0, _QGROUP_INFO, group), (0, _QGROUP_INFO, group)):
        if kind == _QGROUP_INFO and found == group:
            taken: int = struct.unpack_from("<QQ", item)[1]
            return taken
    return None


def _search(descriptor: int, tree: int, first: tuple[int, int, int], last: tuple[int, int, int]) -> Iterator[tuple[int, int, bytes]]:
    """Items from key to key (object, kind, offset): each one's kind, offset and bytes."""
    while True:
        buffer = bytearray(4096)
        struct.pack_into("=QQQQQQQIII", buffer, 0, tree, first[0], last[0], first[2], last[2], 0, _MAX, first[1], last[1], 4096)
        fcntl.ioctl(descriptor, _TREE_SEARCH, buffer)
        count, at, key = struct.unpack_from("=I", buffer, 64)[0], 104, first
        for _ in range(count):
            _, thing, offset, kind, length = struct.unpack_from("=QQQII", buffer, at)
            at += 32
            yield kind, offset, bytes(buffer[at : at + length])
            at += length
            key = (thing, kind, offset)
        if not count or key >= last:
            return
        first = (key[0], key[1], key[2] + 1) if key[2] < _MAX else (key[0], key[1] + 1, 0)
