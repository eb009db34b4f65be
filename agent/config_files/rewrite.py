"""Brings a server's configuration files in line with its egg before a start: read, changed by the file's parser, put back in one step.

All access goes through the server's root by descriptors. A file that cannot be read or understood is left alone and told of; the start goes
on, as at Wings. What a crash leaves behind is the old file or the new one. Runs in a thread.
"""

import logging
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.config_files import ini_file, json_file, plain, properties_file, xml_file, yaml_file
from agent.config_files.rules import Rule, Unparsable, rules
from agent.filesystem.quota import Quota
from agent.filesystem.root import Root, normal
from agent.filesystem.rooted import FILE_MODE, Rooted
from core.errors import AerieError, Conflict, NotFound
from core.protocol.settings import ConfigFile

log = logging.getLogger(__name__)

MEBIBYTE = 1024 * 1024
LARGEST = 8 * MEBIBYTE
"""Bytes of a file that is rewritten; Wings' limit is 64 MiB, and its parsers need many times that."""
LARGEST_YAML = MEBIBYTE
"""YAML is read by Python, at about 100 KB a second."""
PARSERS: dict[str, Callable[[str, Sequence[Rule]], str]] = {
    "file": plain.rewritten,
    "properties": properties_file.rewritten,
    "ini": ini_file.rewritten,
    "json": json_file.rewritten,
    "yaml": yaml_file.rewritten,
    "yml": yaml_file.rewritten,
    "xml": xml_file.rewritten,
}
"""Names as eggs write them."""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A file that was not rewritten, and why; `why` finishes «it …»."""

    file: str
    why: str

    def __str__(self) -> str:
        return f"The configuration file {self.file} was left alone: it {self.why}."


def rewrite(files: Rooted, configs: Sequence[ConfigFile], interface: str) -> list[LeftAlone]:
    """Rewrite what the egg names, one file after another; answers what was left alone. `interface`: see rules."""
    troubles = []
    for config in configs:
        try:
            _rewrite(files, config, interface)
        except Unparsable as error:
            troubles.append(LeftAlone(config.file, str(error)))
        except AerieError as error:
            troubles.append(LeftAlone(config.file, f"cannot be rewritten ({error.message.rstrip('.')})"))
        except OSError as error:
            troubles.append(LeftAlone(config.file, f"cannot be rewritten ({error.strerror})"))
    return troubles


def rewrite_below(folder: Path, owner: tuple[int, int], configs: Sequence[ConfigFile], interface: str) -> list[LeftAlone]:
    """The same for a server's folder; new files become `owner`'s (uid, gid) where we may give them away. Raises NotFound."""
    files = Rooted(Root(folder), Quota(lambda: 0), None, owner if os.geteuid() == 0 else None)
    try:
        with files.rights():
            return rewrite(files, configs, interface)
    finally:
        files.close()


def _rewrite(files: Rooted, config: ConfigFile, interface: str) -> None:
    parser = PARSERS.get(config.parser)
    if parser is None:
        raise Unparsable(f"asks for the parser {config.parser!r}, which is none of {', '.join(PARSERS)}")
    path = normal(config.file.encode("utf-8", "surrogateescape"))
    try:
        descriptor = files.open_read(path)
    except NotFound:
        where, before, mode = path, b"", FILE_MODE
        _make_parents(files, path)
    else:
        try:
            facts = os.fstat(descriptor)
            most = LARGEST_YAML if parser is yaml_file.rewritten else LARGEST
            if facts.st_size > most:
                raise Unparsable(f"is larger than {most // MEBIBYTE} MiB")
            before, mode = _read(descriptor, most), facts.st_mode & 0o777
            where = files.inside(descriptor)
        finally:
            os.close(descriptor)
    text = before.decode("utf-8", "surrogateescape")
    made = parser(text, rules(config.replace, interface))
    if made != text:
        try:
            data = made.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise Unparsable("would hold half a character") from None
        _put(files, where, data, mode)


def _read(descriptor: int, most: int) -> bytes:
    parts, size = [], 0
    while part := os.pread(descriptor, 1 << 20, size):
        parts.append(part)
        size += len(part)
        if size > most:
            raise Unparsable("grows while it is read")
    return b"".join(parts)


def _put(files: Rooted, path: bytes, data: bytes, mode: int) -> None:
    """Write beside it, then rename over it."""
    folder, parted, _ = path.rpartition(b"/")
    fresh = folder + parted + b".aerie-" + secrets.token_hex(6).encode()
    descriptor = files.create(fresh, os.O_WRONLY, mode)
    try:
        try:
            files.write(descriptor, data, 0)
            files.set_mode_of(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        files.rename(fresh, path, replace=True)
    except BaseException:
        files.remove_file(fresh)
        raise


def _make_parents(files: Rooted, path: bytes) -> None:
    parts = path.split(b"/")[:-1]
    for count in range(1, len(parts) + 1):
        try:
            files.make_folder(b"/".join(parts[:count]))
        except Conflict:
            continue
