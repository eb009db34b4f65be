"""Bodies of `/api/remote`, which nodes call. Both ends use these: our agent under a stock panel, stock Wings under our bot."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

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
    aerie_reason: str | None = None
    """Why it failed, for people: our addition, left out when there is nothing to say."""


class SftpAuth(Wire):
    """`POST /sftp/auth`. For a key, `password` is one authorized_keys line; `ip` carries a port; the last two are base64."""

    type: Literal["password", "public_key"] = "password"
    username: Text = ""
    password: Text = ""
    ip: Text = ""
    session_id: Text = ""
    client_version: Text = ""


class SftpGrant(Wire):
    """The answer: who it is, which server, and what they may do there."""

    user: str
    server: str
    permissions: list[str] = Field(default_factory=list)


class ActivityEntry(Wire):
    user: str | None = None
    server: str
    event: str
    metadata: Annotated[dict[str, Any], BeforeValidator(lambda v: v if isinstance(v, dict) else {})] = Field(default_factory=dict)
    ip: str | None = None
    timestamp: AwareDatetime


class ActivityReport(Wire):
    data: list[ActivityEntry]


class RemoteErrorMeta(Wire):
    """Of a field that does not fit: its dotted name, and the rule it breaks."""

    source_field: str = ""
    rule: str = ""


class RemoteErrorEntry(Wire):
    code: str = ""
    status: str = ""
    detail: str = ""
    meta: RemoteErrorMeta | None = None


class RemoteError(Wire):
    """The panel's error envelope; `status` is text there."""

    errors: list[RemoteErrorEntry] = Field(default_factory=list)
