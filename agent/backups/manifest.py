"""What a backup holds: each file with its hash and its place in the archive, and what could not be kept whole. A file of its own beside it.

With it one file is found without reading all, and a backup can be proven: what comes out is held against what went in.
"""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import zstandard

from agent.archives.blocks import Codec
from core.errors import NotFound, RuntimeFailure

VERSION = 1
LONGEST_LINE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """One regular file. Paths are from the server's root; bytes that are no UTF-8 are surrogates, as Python writes them."""

    path: str
    at: int
    """Where in the plain tar its header begins."""
    size: int
    sha256: str
    mode: int
    modified: float


@dataclass
class Summary:
    """All but the files. `checksum` is the sha1 of the archive in hex, as Wings tells it."""

    server: str
    backup: str
    made_at: datetime
    codec: Codec
    size: int
    """Bytes of the archive."""
    checksum: str
    offsets: list[int]
    files: int = 0
    plain: int = 0
    """Bytes of the files together."""
    torn: list[str] = field(default_factory=list)
    """Files that changed while they were read: kept as they were read, perhaps not as they ever were."""
    unreadable: list[str] = field(default_factory=list)
    reason: str = ""
    """Why it was made, when nobody asked for it: `safety` before a restore."""
    proven_at: datetime | None = None


def write(path: Path, summary: Summary, kept: Iterable[Kept]) -> None:
    """In a thread. The file is there whole, or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=0o600)
    with fresh.open("wb") as file:
        with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as packer:
            packer.write(_line({"version": VERSION, **asdict(summary)}))
            for one in kept:
                packer.write(_line(asdict(one)))
        file.flush()
    fresh.replace(path)


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, default=lambda moment: moment.isoformat(), separators=(",", ":")).encode() + b"\n"


def _lines(path: Path) -> Iterator[dict[str, object]]:
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            for line in io.TextIOWrapper(reader, encoding="ascii"):
                yield json.loads(line)
    except FileNotFoundError as error:
        raise NotFound("The backup has no list of its files; it may have been made by Wings.") from error
    except (OSError, ValueError, zstandard.ZstdError) as error:
        raise RuntimeFailure("The list of the backup's files is broken.", hint="The archive itself can still be downloaded.") from error


def summary(path: Path) -> Summary:
    """Raises NotFound for an archive without a manifest, RuntimeFailure for a broken one."""
    for line in _lines(path):
        return _summary(line)
    raise RuntimeFailure("The list of the backup's files is empty.", hint="The archive itself can still be downloaded.")


def _summary(line: dict[str, object]) -> Summary:
    line.pop("version", None)
    made, proven = line.pop("made_at"), line.pop("proven_at", None)
    codec = Codec(str(line.pop("codec")))
    return Summary(
        **line,  # type: ignore[arg-type]
        made_at=datetime.fromisoformat(str(made)),
        codec=codec,
        proven_at=datetime.fromisoformat(str(proven)) if proven else None,
    )


def kept(path: Path) -> Iterator[Kept]:
    """The files, in the archive's order. Raises as `summary`."""
    lines = _lines(path)
    next(lines, None)
    for line in lines:
        yield Kept(**line)  # type: ignore[arg-type]


def rewrite(path: Path, fresh: Summary) -> None:
    """Change the summary, keep the files."""
    write(path, fresh, list(kept(path)))
