"""SFTP requests on one server's files: each packet in, its answer out. Runs in a thread, one packet of a session after another.

Every operation asks the grant first and then `Rooted`, which confines it. What people should later read in the activity log is noted in
`done`. Must never answer with a path of the host.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.filesystem.refusals import OutsideRoot, told
from agent.filesystem.root import normal
from agent.filesystem.rooted import FILE_MODE, FOLDER_MODE, Rooted, open_or_create
from agent.sftp import grant as may
from agent.sftp import packets
from agent.sftp.grant import Grant
from agent.sftp.handles import MOST_HANDLES, Handles, Listing, OpenFile
from agent.sftp.packets import Attributes, Kind, Malformed, Reader, Status
from core.errors import AerieError, BadRequest, Forbidden, NotFound

PORTION = 200
"""Names per answer to READDIR."""
EXTENSIONS: dict[bytes, bytes] = {
    b"posix-rename@openssh.com": b"1",
    b"statvfs@openssh.com": b"2",
    b"fstatvfs@openssh.com": b"2",
    b"hardlink@openssh.com": b"1",
    b"fsync@openssh.com": b"1",
    b"lsetstat@openssh.com": b"1",
    b"limits@openssh.com": b"1",
}
_BLOCK = 4096
_LONGEST_NAME = 255


class Unsupported(AerieError):
    """An operation this server does not offer."""

    code = "unsupported"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something worth a line in the activity log: Wings' event and the path, or both paths of a rename."""

    event: str
    path: str
    to: str = ""


class Handler:
    """The state of one session: its open handles and its deeds. `close` it."""

    def __init__(self, files: Rooted, grant: Grant, *, read_only: bool) -> None:
        self.files = files
        self.done: list[Deed] = []
        self._grant = grant
        self._read_only = read_only
        self._handles = Handles()
        self._operations: dict[int, Callable[[int, Reader], bytes]] = {
            Kind.OPEN: self._open, Kind.CLOSE: self._close, Kind.READ: self._read, Kind.WRITE: self._write,
            Kind.LSTAT: self._lstat, Kind.STAT: self._stat, Kind.FSTAT: self._fstat,
            Kind.SETSTAT: self._setstat, Kind.FSETSTAT: self._fsetstat,
            Kind.OPENDIR: self._opendir, Kind.READDIR: self._readdir,
            Kind.REMOVE: self._remove, Kind.MKDIR: self._mkdir, Kind.RMDIR: self._rmdir,
            Kind.REALPATH: self._realpath, Kind.RENAME: self._rename,
            Kind.READLINK: self._readlink, Kind.SYMLINK: self._symlink, Kind.EXTENDED: self._extended,
        }  # fmt: skip
        self._extensions: dict[bytes, Callable[[int, Reader], bytes]] = {
            b"posix-rename@openssh.com": self._posix_rename, b"statvfs@openssh.com": self._statvfs,
            b"fstatvfs@openssh.com": self._fstatvfs, b"hardlink@openssh.com": self._hardlink, b"fsync@openssh.com": self._fsync,
            b"lsetstat@openssh.com": self._lsetstat, b"limits@openssh.com": self._limits,
        }  # fmt: skip

    def close(self) -> None:
        self._handles.close_all()
        self.files.close()

    def answer(self, packet: bytes) -> bytes:
        """The answer to one packet (its kind first). Raises Malformed when not even its request number can be read."""
        if not packet:
            raise Malformed("The packet is empty.")
        if packet[0] == Kind.INIT:
            return packets.version(EXTENSIONS)
        reader = Reader(packet, 1)
        request = reader.u32()
        operation = self._operations.get(packet[0])
        if operation is None:
            return packets.status(request, Status.OP_UNSUPPORTED, "This server does not know this request.")
        try:
            return operation(request, reader)
        except Malformed as error:
            return packets.status(request, Status.BAD_MESSAGE, str(error))
        except AerieError as error:
            return packets.status(request, code_of(error), str(error))
        except OSError as error:
            refused = told(error)
            return packets.status(request, code_of(refused), str(refused))
        except (OverflowError, ValueError):
            return packets.status(request, Status.BAD_MESSAGE, "The request holds a number or path that makes no sense.")

    # Files

    def _open(self, request: int, reader: Reader) -> bytes:
        path, flags, wanted = reader.text(), reader.u32(), reader.attributes()
        if not flags & (packets.WRITE | packets.APPEND | packets.CREATE | packets.TRUNCATE):
            self._grant.check(may.READ_CONTENT)
            return self._held(request, OpenFile(self.files.open_read(path), path, reads=True, writes=False, appends=False))
        return self._held(request, self._opened_to_write(path, flags, wanted))

    def _opened_to_write(self, path: bytes, flags: int, wanted: Attributes) -> OpenFile:
        self._writable()
        reads, appends = bool(flags & packets.READ), bool(flags & packets.APPEND)
        if reads:
            self._grant.check(may.READ_CONTENT)
        mode = (os.O_RDWR if reads else os.O_WRONLY) | (os.O_APPEND if appends else 0)
        if flags & packets.CREATE:
            permissions = FILE_MODE if wanted.mode is None else wanted.mode
            descriptor, new = open_or_create(
                self.files, path, mode, permissions, exclusive=bool(flags & packets.EXCLUSIVE),
                before_create=lambda: self._grant.check(may.CREATE),
            )  # fmt: skip
        else:
            descriptor, new = self.files.open_existing(path, mode), False
        opened = OpenFile(descriptor, path, reads, writes=True, appends=appends)
        try:
            if not new:
                self._grant.check(may.UPDATE)
                if flags & packets.TRUNCATE:
                    self.files.resize(descriptor, 0)
        except BaseException:
            opened.close()
            raise
        self._note("create" if new else "write", path)
        return opened

    def _held(self, request: int, opened: OpenFile | Listing) -> bytes:
        return packets.packet(Kind.HANDLE, request, packets.text(self._handles.add(opened)))

    def _close(self, request: int, reader: Reader) -> bytes:
        self._handles.close(reader.text())
        return packets.ok(request)

    def _read(self, request: int, reader: Reader) -> bytes:
        opened, offset, length = self._handles.file(reader.text()), reader.u64(), reader.u32()
        if not opened.reads:
            raise Forbidden("The file was not opened for reading.")
        data = os.pread(opened.descriptor, min(length, packets.LARGEST_DATA), offset)
        if not data and length:
            return packets.status(request, Status.EOF, "The file ends here.")
        return packets.data_head(request, len(data)) + data

    def _write(self, request: int, reader: Reader) -> bytes:
        opened, offset, data = self._handles.file(reader.text()), reader.u64(), reader.view()
        if not opened.writes:
            raise Forbidden("The file was not opened for writing.")
        if opened.appends:
            self.files.append(opened.descriptor, data)
        else:
            self.files.write(opened.descriptor, data, offset)
        return packets.ok(request)

    def _fsync(self, request: int, reader: Reader) -> bytes:
        os.fsync(self._handles.file(reader.text()).descriptor)
        return packets.ok(request)

    # Attributes

    def _lstat(self, request: int, reader: Reader) -> bytes:
        return self._shown(request, reader, follow=False)

    def _stat(self, request: int, reader: Reader) -> bytes:
        return self._shown(request, reader, follow=True)

    def _shown(self, request: int, reader: Reader, *, follow: bool) -> bytes:
        self._grant.check(may.READ)
        return packets.packet(Kind.ATTRS, request, packets.attributes(self.files.facts(reader.text(), follow=follow)))

    def _fstat(self, request: int, reader: Reader) -> bytes:
        return packets.packet(Kind.ATTRS, request, packets.attributes(os.fstat(self._handles.file(reader.text()).descriptor)))

    def _setstat(self, request: int, reader: Reader) -> bytes:
        return self._changed(request, reader, follow=True)

    def _lsetstat(self, request: int, reader: Reader) -> bytes:
        return self._changed(request, reader, follow=False)

    def _changed(self, request: int, reader: Reader, *, follow: bool) -> bytes:
        self._allowed(may.UPDATE)
        path, wanted = reader.text(), reader.attributes()
        if wanted.size is not None:
            self.files.resize_path(path, wanted.size)
        if wanted.mode is not None:
            self.files.set_mode(path, wanted.mode, follow=follow)
        if wanted.times is not None:
            self.files.set_times(path, *wanted.times, follow=follow)
        return packets.ok(request)

    def _fsetstat(self, request: int, reader: Reader) -> bytes:
        """Whoever may have the file open for writing may set it: a file just created is its creator's to finish."""
        opened, wanted = self._handles.file(reader.text()), reader.attributes()
        if not opened.writes:
            self._allowed(may.UPDATE)
        if wanted.size is not None:
            if not opened.writes:
                raise Forbidden("The file was not opened for writing.")
            self.files.resize(opened.descriptor, wanted.size)
        if wanted.mode is not None:
            self.files.set_mode_of(opened.descriptor, wanted.mode)
        if wanted.times is not None:
            self.files.set_times_of(opened.descriptor, *wanted.times)
        return packets.ok(request)

    # Folders

    def _opendir(self, request: int, reader: Reader) -> bytes:
        self._grant.check(may.READ)
        descriptor = self.files.open_listing(reader.text())
        try:
            entries = os.scandir(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return self._held(request, Listing(descriptor, entries))

    def _readdir(self, request: int, reader: Reader) -> bytes:
        listing, entries = self._handles.listing(reader.text()), []
        for found in listing.entries:
            try:
                facts = found.stat(follow_symlinks=False)
            except OSError:
                continue  # gone meanwhile
            entries.append(packets.entry(os.fsencode(found.name), facts, _moment(facts.st_mtime)))
            if len(entries) == PORTION:
                break
        if not entries:
            return packets.status(request, Status.EOF, "The folder holds nothing more.")
        return packets.names(request, entries)

    def _mkdir(self, request: int, reader: Reader) -> bytes:
        self._allowed(may.CREATE)
        path, wanted = reader.text(), reader.attributes()
        self.files.make_folder(path, FOLDER_MODE if wanted.mode is None else wanted.mode)
        self._note("create-directory", path)
        return packets.ok(request)

    def _rmdir(self, request: int, reader: Reader) -> bytes:
        self._allowed(may.DELETE)
        path = reader.text()
        self.files.remove_folder(path)
        self._note("delete", path)
        return packets.ok(request)

    # Names

    def _remove(self, request: int, reader: Reader) -> bytes:
        self._allowed(may.DELETE)
        path = reader.text()
        self.files.remove_file(path)
        self._note("delete", path)
        return packets.ok(request)

    def _realpath(self, request: int, reader: Reader) -> bytes:
        return packets.names(request, [packets.entry(b"/" + normal(reader.text()), None, "")])

    def _rename(self, request: int, reader: Reader) -> bytes:
        return self._moved(request, reader, replace=False)

    def _posix_rename(self, request: int, reader: Reader) -> bytes:
        return self._moved(request, reader, replace=True)

    def _moved(self, request: int, reader: Reader, *, replace: bool) -> bytes:
        self._allowed(may.UPDATE)
        old, new = reader.text(), reader.text()
        self.files.rename(old, new, replace=replace)
        self.done.append(Deed("rename", _named(old), _named(new)))
        return packets.ok(request)

    def _readlink(self, request: int, reader: Reader) -> bytes:
        self._grant.check(may.READ)
        return packets.names(request, [packets.entry(self.files.link_target(reader.text()), None, "")])

    def _symlink(self, request: int, reader: Reader) -> bytes:
        """OpenSSH sends the target first, against the draft, and every client follows it."""
        self._allowed(may.CREATE)
        target, path = reader.text(), reader.text()
        self.files.make_link(target, path)
        self._note("create", path)
        return packets.ok(request)

    def _hardlink(self, request: int, reader: Reader) -> bytes:
        self._allowed(may.CREATE)
        self._grant.check(may.UPDATE)
        old, new = reader.text(), reader.text()
        self.files.make_hard_link(old, new)
        self._note("create", new)
        return packets.ok(request)

    # Extensions

    def _extended(self, request: int, reader: Reader) -> bytes:
        extension = self._extensions.get(reader.text())
        if extension is None:
            raise Unsupported("This server does not know this extension.")
        return extension(request, reader)

    def _statvfs(self, request: int, reader: Reader) -> bytes:
        self._grant.check(may.READ)
        self.files.facts(reader.text())
        return self._space(request)

    def _fstatvfs(self, request: int, reader: Reader) -> bytes:
        self._grant.check(may.READ)
        self._handles.file(reader.text())
        return self._space(request)

    def _space(self, request: int) -> bytes:
        """The server's own limit as the size of the disk; without a limit the node's disk."""
        disk = os.statvfs(self.files.descriptor)
        total, free = disk.f_blocks * disk.f_frsize // _BLOCK, disk.f_bavail * disk.f_frsize // _BLOCK
        if limit := self.files.quota.limit:
            total, free = limit // _BLOCK, min(free, max(0, limit - self.files.quota.used) // _BLOCK)
        fields = (_BLOCK, _BLOCK, total, free, free, disk.f_files, disk.f_ffree, disk.f_favail, 0, 2, _LONGEST_NAME)
        return packets.packet(Kind.EXTENDED_REPLY, request, packets.u64s(*fields))

    def _limits(self, request: int, reader: Reader) -> bytes:
        fields = (packets.LARGEST_PACKET, packets.LARGEST_DATA, packets.LARGEST_DATA, MOST_HANDLES)
        return packets.packet(Kind.EXTENDED_REPLY, request, packets.u64s(*fields))

    # Rights and records

    def _writable(self) -> None:
        if self._read_only:
            raise Unsupported("This node's SFTP is read-only.", hint="Its owner can change read_only in [sftp].")

    def _allowed(self, permission: str) -> None:
        self._writable()
        self._grant.check(permission)

    def _note(self, event: str, path: bytes) -> None:
        self.done.append(Deed(event, _named(path)))


def code_of(error: AerieError) -> Status:
    """SFTP's word for an error; most have none but FAILURE, and the words say more."""
    match error:
        case NotFound():
            return Status.NO_SUCH_FILE
        case OutsideRoot() | Forbidden():
            return Status.PERMISSION_DENIED
        case Unsupported():
            return Status.OP_UNSUPPORTED
        case BadRequest():
            return Status.BAD_MESSAGE
        case _:
            return Status.FAILURE


def _named(path: bytes) -> str:
    return "/" + normal(path).decode(errors="replace")


def _moment(seconds: float) -> str:
    return time.strftime("%b %d %Y", time.gmtime(max(0.0, min(seconds, 253402300799.0))))
