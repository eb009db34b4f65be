"""Bodies of `/api/remote`, which nodes call. Both ends use these: our agent under a stock panel, stock Wings under our bot."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from core.protocol.settings import ServerConfiguration, Text, Wire

ACCEPT = "application/vnd.pterodactyl.v1+json"


class ServerEntry(ServerConfiguration):
    """One of `GET /servers`."""

    uuid: str


class Page(Wire):
    """Pagination; all integers, since Wings crashes on text."""

    current_page: int = 1
    from_: int | None = Field(default=None, alias="from")
    last_page: int = 1
    path: str = ""
    per_page: int = 50
    to: int | None = None
    total: int = 0


class ServerPage(Wire):
    data: list[ServerEntry] = Field(default_factory=list)
    links: dict[str, Any] = Field(default_factory=dict)
    meta: Page = Field(default_factory=Page)


class InstallScript(Wire):
    container_image: str = ""
    entrypoint: str = "bash"
    script: Text = ""


class InstallReport(Wire):
    successful: bool
    reinstall: bool = False


class ActivityEntry(Wire):
    user: str | None = None
    server: str
    event: str
    metadata: Annotated[dict[str, Any], BeforeValidator(lambda v: v if isinstance(v, dict) else {})] = Field(default_factory=dict)
    ip: str | None = None
    timestamp: datetime


class ActivityReport(Wire):
    data: list[ActivityEntry]


class RemoteErrorEntry(Wire):
    code: str = ""
    status: str = ""
    detail: str = ""


class RemoteError(Wire):
    """The panel's error envelope; `status` is text there."""

    errors: list[RemoteErrorEntry] = Field(default_factory=list)
