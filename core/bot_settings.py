"""The tables of the settings file that `aerie bot` reads, each setting with its default and its line of explanation.

Values only: core/config.py alone reads the file and the environment.
"""

from pathlib import Path

from pydantic import Field, SecretStr

from core.section import Section


class DiscordSection(Section):
    """Where the bot meets people."""

    token: SecretStr = SecretStr("")
    """The bot's token from Discord's developer portal."""
    sandbox_url: str = ""
    """Address of a local Discord (`aerie sandbox`), for instance http://127.0.0.1:8300; empty means the real one."""
    test_guild: int | None = None
    """Register commands in this guild only, where changes show at once; empty means everywhere."""
    owners: list[int] = Field(default_factory=list)
    """Discord ids of administrators of Aerie, who may have application keys, beside the owner of the bot's application."""
    managers_may_build: bool = True
    """Whether managers of any guild may change nodes and eggs, which all guilds share."""


class DatabaseSection(Section):
    """Where the control plane keeps its tables."""

    url: SecretStr = SecretStr("sqlite+aiosqlite:///aerie.sqlite3")
    """`sqlite+aiosqlite:///file` or `mysql+aiomysql://user:password@host/name` (MariaDB)."""


class SecuritySection(Section):
    """What keeps secrets in the database unreadable."""

    key: SecretStr = SecretStr("")
    """32 random bytes in url-safe base64 that seal secrets in the database; empty means the file `aerie.key` beside a SQLite database."""


class BackplaneSection(Section):
    """How several bot processes tell each other things."""

    url: SecretStr = SecretStr("")
    """`redis://host:6379/0` when several bot processes run; empty means one process, in memory."""


class EndpointSection(Section):
    """The bot's own HTTP endpoint: /api/remote for nodes, /health."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 when nodes run on other machines."""
    port: int = Field(default=8400, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    public_url: str = ""
    """How nodes reach this endpoint, without a trailing slash; empty means http://host:port, or https:// with a certificate."""
    certificate: Path | None = None
    """PEM file of the TLS certificate with its chain, read again when it changes; empty means plain HTTP."""
    key: Path | None = None
    """PEM file of the certificate's private key, without a password."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses or networks of proxies before this endpoint; only from them is X-Forwarded-For believed."""


class ConsoleSection(Section):
    """Console output in channels."""

    interval: float = Field(default=2.0, gt=0)
    """Seconds between two edits of one live message, at least; stretched when many consoles are shown."""
    idle_minutes: float = Field(default=0.0, ge=0)
    """Stop a live view after this many minutes without a viewer's action; 0 never stops it."""
    colours: bool = True
    """ANSI colours; phones show plain text either way."""


class AccountsSection(Section):
    """Signing in to SFTP and the REST APIs."""

    roles_fresh: float = Field(default=60.0, ge=0)
    """Seconds for which a member's roles, once known, are not asked of Discord again."""
    roles_max_age: float = Field(default=24.0, ge=0)
    """Hours for which the roles last seen count while Discord cannot be asked; after that nobody signs in by them."""
    wrong_passwords: int = Field(default=10, ge=1)
    """Wrong passwords from one household (IPv4 address, IPv6 /64) within ten minutes; more are refused unread until these have passed."""
    sftp_host: str = ""
    """Name that people's SFTP clients use for every node without one of its own; empty means the host in the node's address."""


class ActivitySection(Section):
    """The audit log."""

    keep_days: int = Field(default=90, ge=1)
    """Days after which entries are forgotten."""


class RestSection(Section):
    """The REST APIs for people's programs."""

    client_per_minute: int = Field(default=256, ge=1)
    """Requests to the Client API that one user may make in a minute, with all their keys together."""
    application_per_minute: int = Field(default=240, ge=1)
    """Requests to the Application API that one user may make in a minute."""


class MetricsSection(Section):
    """/metrics for Prometheus."""

    token: SecretStr = SecretStr("")
    """What Prometheus must send as a bearer token; empty lets anybody read the metrics."""
