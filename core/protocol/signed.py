"""What the JWTs that the control plane signs are for, and what those in signed URLs say (Wings; `scope` since 1.12.2).

A signed URL opens one thing once: a file, a backup, an upload. A transfer's token stands in a header and names its server in `sub`.
"""

from enum import StrEnum
from typing import Any

from pydantic import Field, StrictInt, model_validator

from core.protocol.settings import Wire


class Purpose(StrEnum):
    """Words of a token's `scope`, parted by blanks there."""

    WEBSOCKET = "websocket"
    FILE_DOWNLOAD = "file-download"
    BACKUP_DOWNLOAD = "backup-download"
    FILE_UPLOAD = "file-upload"
    TRANSFER = "transfer"


class SignedClaims(Wire):
    """The JWT of a signed URL or a transfer. Times are whole seconds since 1970."""

    iss: str = ""
    aud: str | list[str] = ""
    sub: str = ""
    jti: str = ""
    iat: StrictInt
    nbf: StrictInt | None = None
    exp: StrictInt
    server_uuid: str = ""
    """A transfer's token says this in `sub`; read back, it stands here too."""
    user_uuid: str = ""
    user_id: int | None = None
    unique_id: str = Field(default="", max_length=200)
    """What makes it good for one use."""
    file_path: str | None = None
    backup_uuid: str | None = None
    permissions: Any = None
    """Only a WebSocket's token has some; nothing that has is good for a URL."""
    scope: str = ""

    @model_validator(mode="after")
    def _subject(self) -> "SignedClaims":
        if self.sub and not self.server_uuid:
            self.server_uuid = self.sub
        return self

    def shaped_for(self, purpose: Purpose) -> bool:
        """Whether it holds what that purpose needs and nothing that belongs to another."""
        if self.permissions is not None or not self.server_uuid:
            return False
        file, backup = self.file_path is not None, self.backup_uuid is not None
        match purpose:
            case Purpose.FILE_DOWNLOAD:
                return file and not backup and bool(self.unique_id)
            case Purpose.BACKUP_DOWNLOAD:
                return backup and not file and bool(self.unique_id)
            case Purpose.FILE_UPLOAD:
                return not file and not backup and not self.sub and bool(self.unique_id)
            case Purpose.TRANSFER:
                return not file and not backup and self.sub == self.server_uuid
            case _:
                return False
