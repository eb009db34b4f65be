"""Bodies of the agent's backup routes and of what it tells the control plane about backups (Wings 1.11); `aerie` ones are our own."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from core.protocol.settings import Wire


class MakeBackup(Wire):
    """`POST backup`. `ignore` holds gitignore patterns, a line each; empty means the server's own .pteroignore."""

    adapter: str
    uuid: str
    ignore: str = ""


class RestoreBackup(Wire):
    """`POST backup/{backup}/restore`. `download_url` is needed for s3."""

    adapter: str
    truncate_directory: bool = False
    download_url: str = ""


class UploadedPart(Wire):
    """`etag` keeps its quotes, as S3 sent it."""

    etag: str
    part_number: int


class BackupStatus(Wire):
    """`POST /api/remote/backups/{backup}`. Of a failure everything is empty."""

    checksum: str = ""
    checksum_type: str = ""
    size: int = 0
    successful: bool
    parts: list[UploadedPart] | None = None


class UploadUrls(Wire):
    """Answer of `GET /api/remote/backups/{backup}?size=`."""

    parts: list[str]
    part_size: int = Field(gt=0)
    """Bytes of each part but the last."""


class RestoreStatus(Wire):
    """`POST /api/remote/backups/{backup}/restore`."""

    successful: bool


class BackupCompleted(Wire):
    """The event `backup completed`."""

    uuid: str
    is_successful: bool
    checksum: str = ""
    checksum_type: str = "sha1"
    file_size: int = 0


class BackupShown(Wire):
    """A backup that lies on the node (`GET /api/aerie/servers/{server}/backups`)."""

    uuid: str
    made_at: datetime
    size: int
    files: int
    plain_bytes: int
    checksum: str
    torn: list[str] = Field(default_factory=list)
    unreadable: list[str] = Field(default_factory=list)
    reason: str = ""
    proven_at: datetime | None = None


class BackupEntry(Wire):
    """A file or folder inside a backup."""

    name: str
    kind: Literal["file", "folder"]
    size: int = 0
    modified: datetime | None = None


class BackupProven(Wire):
    """What a proof found."""

    files: int
    proven_at: datetime
