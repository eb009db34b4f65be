"""Settings: the only reader of TOML files and of the environment.

Order, later wins: defaults, the TOML file (`--config`, else `AERIE_CONFIG`, else `aerie.toml` here), environment variables
`AERIE_<SECTION>__<KEY>` (for instance `AERIE_DISCORD__TOKEN`, `AERIE_ALLOWED_ORIGINS` for what stands in no section; lists are parted by
commas), and the same with `_FILE` at the end, naming a file that holds the value.
Every setting stands in aerie.example.toml with its default; a test compares the two.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from core.errors import NotConfigured

C = TypeVar("C", bound="Config")


class Section(BaseModel):
    """One table of the settings file. The text under each setting is its line in aerie.example.toml and docs/settings.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LogSection(Section):
    """What is written to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """DEBUG, INFO, WARNING or ERROR: the least that is written."""


class TlsSection(Section):
    """Whom to trust when calling the other program."""

    ca: Path | None = None
    """PEM file of your own certificate authority, trusted beside the system's: by the bot for nodes, by agents for the bot."""


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


class ApiSection(Section):
    """The agent's own HTTP API."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    certificate: Path | None = None
    """PEM file of the TLS certificate with its chain, read again when it changes; empty means plain HTTP."""
    key: Path | None = None
    """PEM file of the certificate's private key, without a password."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses or networks of proxies before the agent; only from them is X-Forwarded-For believed."""


class RemoteSection(Section):
    """The control plane this agent belongs to."""

    url: str = ""
    """Its address without a trailing slash, for instance http://127.0.0.1:8400."""
    token_id: str = ""
    """The node's public id of 16 letters and digits, as the control plane made it."""
    token: SecretStr = SecretStr("")
    """The node's secret of 64 letters and digits."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds per call, retries included."""
    boot_servers_per_page: int = Field(default=50, ge=1)
    """Servers fetched per page when the agent starts."""


class SystemSection(Section):
    """Where the agent keeps things. Names follow Wings' config.yml."""

    root_directory: Path = Path("/var/lib/aerie")
    """Folder of the agent's own files, such as the remembered states of its servers."""
    data: Path = Path("/var/lib/aerie/volumes")
    """Folder of the game servers' files, one folder per server."""
    log_directory: Path | None = None
    """Folder of the logs that are kept, such as those of installations; empty means `logs` in root_directory."""
    uid: int = 988
    """User that game processes run as and that owns their files."""
    gid: int = 988
    """Group of that user."""
    timezone: str = "UTC"
    """Time zone handed to game servers as TZ."""
    check_permissions_on_boot: bool = True
    """Hand a server's files to that user before each start."""
    websocket_log_count: int = Field(default=150, ge=0)
    """Past console lines a new viewer gets."""


class DockerSection(Section):
    """The Docker Engine and what every container gets."""

    host: str = ""
    """Docker Engine to use, for instance unix:///var/run/docker.sock; empty means DOCKER_HOST, else the usual socket."""
    runtime: Literal["docker", "process"] = "docker"
    """`process` runs games as plain child processes without any isolation: only for the demo where no Docker can be had."""
    network: str = "aerie_nw"
    """Docker network of game servers; made when missing."""
    network_subnet: str = "172.29.0.0/16"
    """Addresses of that network, used when it is made."""
    interface: str = ""
    """Address under which servers reach this machine, put into configuration files; empty means the network's gateway."""
    domainname: str = ""
    """Domain name of the containers; empty gives none."""
    dns: list[str] = Field(default_factory=lambda: ["1.1.1.1", "1.0.0.1"])
    """Name servers of the containers."""
    tmpfs_size: int = Field(default=100, ge=1)
    """MB of /tmp in each container."""
    container_pid_limit: int = Field(default=512, ge=0)
    """Processes a container may have; 0 sets no limit."""
    log_driver: str = "local"
    """Docker's log driver for the containers."""
    log_max_size: str = "5m"
    """Size at which a container's log is rotated."""
    log_max_file: int = Field(default=1, ge=1)
    """Rotated logs kept per container."""
    pull_timeout: float = Field(default=900.0, gt=0)
    """Seconds an image may take to be pulled."""


class InstallSection(Section):
    """Eggs' install scripts, each run in a container of its own."""

    timeout: float = Field(default=3600.0, gt=0)
    """Seconds a script may take; then it is ended and the installation has failed."""
    memory: int = Field(default=1024, ge=0)
    """MB a script gets at least; a server's own limit counts when it is higher."""
    cpu: int = Field(default=100, ge=0)
    """Percent of one thread a script gets at least; 0 sets no limit, and a server without a limit has none here."""
    pids: int = Field(default=1024, ge=0)
    """Processes a script may have; 0 sets no limit."""
    heed_exit_code: bool = True
    """A script that ends with another code than 0 has failed; Wings calls that a success."""
    log_size: int = Field(default=5, ge=1)
    """MiB of output kept per installation; of more, the beginning and the last lines."""


class PowerSection(Section):
    """Limits of every wait, in seconds. When one passes, the state is read again from Docker and the reason is told."""

    start_timeout: float = Field(default=30.0, gt=0)
    """Creating, attaching and starting the container."""
    ready_timeout: float = Field(default=600.0, gt=0)
    """From started to a `done` line. When it passes, a server that still runs is shown as running, with a note."""
    stop_timeout: float = Field(default=600.0, gt=0)
    """From the stop command to the end of the process; then it is killed."""
    kill_timeout: float = Field(default=20.0, gt=0)
    """From SIGKILL to the container's end."""


class SftpSection(Section):
    """The agent's SFTP server, where people reach their servers' files."""

    enabled: bool = True
    """Whether there is one."""
    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = Field(default=2022, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    read_only: bool = False
    """Let nobody change files through it."""
    login_timeout: float = Field(default=30.0, gt=0)
    """Seconds from connecting to being signed in."""
    keepalive_interval: float = Field(default=60.0, ge=0)
    """Seconds between questions whether a silent client is still there; after three without answer it is gone. 0 never asks."""
    idle_timeout: float = Field(default=1800.0, ge=0)
    """Seconds after which a session that asks for nothing is ended; 0 never ends it."""
    connections: int = Field(default=400, ge=1)
    """Connections at once, at most."""
    household_connections: int = Field(default=32, ge=1)
    """Connections at once from one address (of IPv6: from one /64), at most."""


class ThrottleSection(Section):
    """Wings' console throttle: more than `lines` per `line_reset_interval` ms are counted, not sent."""

    enabled: bool = True
    """Whether a flood is throttled at all."""
    lines: int = Field(default=2000, ge=1)
    """Lines that pass per interval."""
    line_reset_interval: int = Field(default=100, ge=1)
    """Length of the interval in milliseconds."""


class CrashSection(Section):
    """What happens when a game ends by itself."""

    enabled: bool = True
    """Start a crashed server again."""
    detect_clean_exit_as_crash: bool = True
    """An end nobody asked for counts as a crash even with exit code 0."""
    timeout: float = Field(default=60.0, ge=0)
    """A second crash within this many seconds is not restarted."""
    most_restarts: int = Field(default=3, ge=0)
    """Restarts after crashes within ten minutes, at most."""
    backoff: float = Field(default=10.0, ge=0)
    """Seconds before the second of these restarts; twice that before the third, and so on. The first one comes at once."""


class Config(Section):
    """What both programs read."""

    log: LogSection = Field(default_factory=LogSection)
    tls: TlsSection = Field(default_factory=TlsSection)


class BotConfig(Config):
    """Settings of `aerie bot`."""

    discord: DiscordSection = Field(default_factory=DiscordSection)
    database: DatabaseSection = Field(default_factory=DatabaseSection)
    security: SecuritySection = Field(default_factory=SecuritySection)
    backplane: BackplaneSection = Field(default_factory=BackplaneSection)
    endpoint: EndpointSection = Field(default_factory=EndpointSection)
    console: ConsoleSection = Field(default_factory=ConsoleSection)
    rest: RestSection = Field(default_factory=RestSection)
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    accounts: AccountsSection = Field(default_factory=AccountsSection)
    activity: ActivitySection = Field(default_factory=ActivitySection)


class AgentConfig(Config):
    """Settings of `aerie agent`."""

    api: ApiSection = Field(default_factory=ApiSection)
    remote: RemoteSection = Field(default_factory=RemoteSection)
    system: SystemSection = Field(default_factory=SystemSection)
    docker: DockerSection = Field(default_factory=DockerSection)
    install: InstallSection = Field(default_factory=InstallSection)
    power: PowerSection = Field(default_factory=PowerSection)
    sftp: SftpSection = Field(default_factory=SftpSection)
    throttles: ThrottleSection = Field(default_factory=ThrottleSection)
    crash: CrashSection = Field(default_factory=CrashSection)
    allowed_origins: list[str] = Field(default_factory=list)
    """Origins beside the control plane's own whose pages may open a console; `*` lets any."""
    ignore_panel_config_updates: bool = False
    """Let the control plane change nothing of this node, not even its token."""


def load(kind: type[C], path: Path | None = None, environment: Mapping[str, str] | None = None) -> C:
    """Read the settings of one program. Raises NotConfigured with the setting's name and what is wrong with it.

    One file may hold the sections of both programs; each takes its own.
    """
    environment = os.environ if environment is None else environment
    values = _read_file(path, environment)
    known = kind.model_fields.keys()
    values = {name: section for name, section in values.items() if name in known}
    for name, section in values.items():
        _open_files(kind, name, section)
    for name, value in environment.items():
        _apply(values, kind, name, value)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotConfigured(
            f"The setting {where} cannot be used: {first['msg']}.", hint="aerie.example.toml shows every setting with its default."
        ) from None


def docker_host(section: DockerSection, environment: Mapping[str, str] | None = None) -> str:
    """Address of the Docker Engine: the setting, else DOCKER_HOST, else the usual socket."""
    environment = os.environ if environment is None else environment
    return section.host or environment.get("DOCKER_HOST", "") or "unix:///var/run/docker.sock"


def _read_file(path: Path | None, environment: Mapping[str, str]) -> dict[str, Any]:
    named = path or (Path(environment["AERIE_CONFIG"]) if environment.get("AERIE_CONFIG") else None)
    file = named or Path("aerie.toml")
    if not file.exists():
        if named is not None:
            raise NotConfigured(f"The settings file {file} does not exist.", hint="Copy aerie.example.toml there and fill it in.")
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise NotConfigured(f"The settings file {file} cannot be read: {error}.", hint="Correct the line it names.") from None
    unknown = values.keys() - BotConfig.model_fields.keys() - AgentConfig.model_fields.keys()
    if unknown:
        raise NotConfigured(
            f"The settings file {file} has sections nobody reads: {', '.join(sorted(unknown))}.",
            hint="aerie.example.toml shows every section.",
        )
    return values


def _apply(values: dict[str, Any], kind: type[Config], name: str, value: str) -> None:
    """Lay one environment variable over the file's values; names that are not settings of this program are left alone."""
    if not name.startswith("AERIE_"):
        return
    section, parted, key = name.removeprefix("AERIE_").lower().partition("__")
    if not parted:
        if (own := kind.model_fields.get(section)) is not None and not _is_section(own.annotation):
            values[section] = _parse(own.annotation, value)
        return
    holder = kind.model_fields[section].annotation if section in kind.model_fields else None
    if not key or not _is_section(holder):
        return
    fields = holder.model_fields
    if key.endswith("_file") and key not in fields:
        key, value = key.removesuffix("_file"), _read_secret(name, Path(value))
    field = fields.get(key)
    if field is None:
        raise NotConfigured(f"{name} is not a setting: [{section}] has no {key}.", hint="aerie.example.toml shows every setting.")
    before = values.get(section, {})
    if isinstance(before, dict):  # otherwise the file is wrong, and validation says so
        values[section] = {**before, key: _parse(field.annotation, value)}


def _open_files(kind: type[Config], name: str, section: Any) -> None:
    """In the settings file too, `token_file = "/path"` stands for the secret `token`."""
    holder = kind.model_fields[name].annotation
    if not isinstance(section, dict) or not _is_section(holder):
        return
    for twin in [key for key in section if key.endswith("_file") and key not in holder.model_fields]:
        key, file = twin.removesuffix("_file"), section[twin]
        if (field := holder.model_fields.get(key)) is None or field.annotation is not SecretStr:
            continue  # validation names it
        if key in section:
            raise NotConfigured(f"[{name}] has both {key} and {twin}.", hint="Keep one of them.")
        if not isinstance(file, str):
            raise NotConfigured(f"[{name}] {twin} must be a path in quotes.", hint="aerie.example.toml shows every setting.")
        del section[twin]
        section[key] = _read_secret(f"[{name}] {twin}", Path(file))


def _is_section(annotation: Any) -> TypeGuard[type[Section]]:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _parse(annotation: Any, value: str) -> Any:
    """A variable's text as pydantic wants it: lists parted by commas; an empty text means "none" where none is possible."""
    if get_origin(annotation) is list:
        return [item.strip() for item in value.split(",") if item.strip()]
    return None if not value and type(None) in get_args(annotation) else value


def _read_secret(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NotConfigured(f"{name} names a file that cannot be read: {why}.", hint="Check the path and its rights.") from None
