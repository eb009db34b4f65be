"""Bodies of the agent's file routes, which are Wings' (1.11). Paths are the server's own: `/` is its folder."""

from datetime import datetime

from pydantic import Field, model_validator

from core.protocol.settings import Wire


class FileStat(Wire):
    """A file, folder or link. `mode` is Go's notation, `mode_bits` octal; `created` is when the inode last changed (as Wings has it)."""

    name: str
    created: datetime
    modified: datetime
    mode: str
    mode_bits: str
    size: int
    directory: bool
    file: bool
    symlink: bool = False
    mime: str = "application/octet-stream"


class RenamePair(Wire):
    from_: str = Field(alias="from")
    to: str


class RenameFiles(Wire):
    root: str = "/"
    files: list[RenamePair]


class CopyFile(Wire):
    location: str


class CreateDirectory(Wire):
    name: str
    path: str = "/"


class NamedFiles(Wire):
    """Of delete and compress."""

    root: str = "/"
    files: list[str]


class DecompressFile(Wire):
    root: str = "/"
    file: str


class ModeChange(Wire):
    file: str
    mode: str
    """Octal digits."""


class ChmodFiles(Wire):
    root: str = "/"
    files: list[ModeChange]


class PullFile(Wire):
    """`directory` is an older name of `root`; one of them is needed."""

    url: str
    root: str = ""
    file_name: str = ""
    use_header: bool = False
    foreground: bool = False

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, value: object) -> object:
        if isinstance(value, dict) and not value.get("root") and "directory" in value:
            return {**value, "root": value["directory"]}
        return value


class PullAccepted(Wire):
    identifier: str


class PullProgress(Wire):
    """Wings writes these two with a capital."""

    identifier: str = Field(alias="Identifier")
    progress: float = Field(alias="Progress")
    """0 to 1."""


class Pulls(Wire):
    downloads: list[PullProgress] | None = None
