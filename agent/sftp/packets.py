"""The packets of SFTP version 3: parsed and built, nothing else. Sources: draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL.

A request is read with `Reader`, which raises `Malformed` for anything too short. Builders answer whole packets, length included.
"""

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum
from os import stat_result

VERSION = 3
LARGEST_PACKET = 256 * 1024
"""Bytes of one packet, as OpenSSH bounds it (SFTP_MAX_MSG_LENGTH)."""
LARGEST_DATA = LARGEST_PACKET - 1024
"""Bytes of data in one READ or WRITE that we promise (OpenSSH's number)."""


class Kind(IntEnum):
    """Packet types."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """What came of a request."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    OP_UNSUPPORTED = 8


READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
"""Flags of OPEN."""
_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 1, 2, 4, 8, 0x80000000
"""Flags of attributes."""

_U32, _U64 = struct.Struct(">I"), struct.Struct(">Q")
_HEAD = struct.Struct(">IBI")
_DATA_HEAD = struct.Struct(">IBII")
_ATTRS = struct.Struct(">IQIIIII")


class Malformed(Exception):
    """A packet that cannot be read."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client wants set; None is left alone. Owners are read and dropped: every file here has the same one."""

    size: int | None = None
    mode: int | None = None
    times: tuple[int, int] | None = None
    """Accessed and modified, in seconds since 1970."""


class Reader:
    """Reads a packet's fields one after another."""

    __slots__ = ("_at", "_packet")

    def __init__(self, packet: bytes, at: int = 0) -> None:
        self._packet = packet
        self._at = at

    def u32(self) -> int:
        try:
            value: int = _U32.unpack_from(self._packet, self._at)[0]
        except struct.error as error:
            raise Malformed("The packet ends too early.") from error
        self._at += 4
        return value

    def u64(self) -> int:
        try:
            value: int = _U64.unpack_from(self._packet, self._at)[0]
        except struct.error as error:
            raise Malformed("The packet ends too early.") from error
        self._at += 8
        return value

    def text(self) -> bytes:
        """A string of the protocol, which is bytes."""
        return bytes(self.view())

    def view(self) -> memoryview:
        """The same without a copy."""
        length = self.u32()
        end = self._at + length
        if end > len(self._packet):
            raise Malformed("The packet ends too early.")
        value = memoryview(self._packet)[self._at : end]
        self._at = end
        return value

    def attributes(self) -> Attributes:
        flags = self.u32()
        size = self.u64() if flags & _SIZE else None
        if flags & _OWNER:
            self.u32(), self.u32()
        mode = self.u32() if flags & _MODE else None
        times = (self.u32(), self.u32()) if flags & _TIMES else None
        if flags & _EXTENDED:
            for _ in range(min(self.u32(), 64)):
                self.text(), self.text()
        return Attributes(size, mode, times)


def text(value: bytes) -> bytes:
    """A string of the protocol."""
    return _U32.pack(len(value)) + value


def packet(kind: Kind, request: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _HEAD.pack(len(body) + 5, kind, request) + body


def version(extensions: dict[bytes, bytes]) -> bytes:
    body = b"".join(text(name) + text(value) for name, value in extensions.items())
    return _HEAD.pack(len(body) + 5, Kind.VERSION, VERSION) + body


def status(request: int, code: Status, words: str = "") -> bytes:
    return packet(Kind.STATUS, request, _U32.pack(code), text(words.encode()), text(b"en"))


def ok(request: int) -> bytes:
    return _HEAD.pack(17, Kind.STATUS, request) + b"\0\0\0\0\0\0\0\0\0\0\0\0"


def data_head(request: int, length: int) -> bytes:
    """What stands before `length` bytes of data."""
    return _DATA_HEAD.pack(length + 9, Kind.DATA, request, length)


def attributes(facts: stat_result) -> bytes:
    """Times are cut to what 32 bits hold."""
    flags = _SIZE | _OWNER | _MODE | _TIMES
    return _ATTRS.pack(
        flags, facts.st_size, facts.st_uid & _MOST, facts.st_gid & _MOST, facts.st_mode, _seconds(facts.st_atime), _seconds(facts.st_mtime)
    )


_MOST = 0xFFFFFFFF


def _seconds(moment: float) -> int:
    return min(max(int(moment), 0), _MOST)


def entry(name: bytes, facts: stat_result | None, moment: str) -> bytes:
    """One line of a listing: name, the same as `ls -l` would show it (`moment` is the time in words), attributes."""
    if facts is None:
        return text(name) + text(name) + _U32.pack(0)
    line = f"{stat.filemode(facts.st_mode)} {facts.st_nlink:>4} {facts.st_uid:<8} {facts.st_gid:<8} {facts.st_size:>12} {moment} "
    return text(name) + text(line.encode() + name) + attributes(facts)


def names(request: int, entries: list[bytes]) -> bytes:
    return packet(Kind.NAME, request, _U32.pack(len(entries)), *entries)


def u64s(*values: int) -> bytes:
    return struct.pack(f">{len(values)}Q", *values)
