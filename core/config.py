"""Settings: the only reader of TOML files and of the environment.

Order, later wins: defaults, the TOML file (`--config`, else `AERIE_CONFIG`, else `aerie.toml` here), environment variables
`AERIE_<SECTION>__<KEY>` (for instance `AERIE_DISCORD__TOKEN`), and for secrets `…_FILE` variables naming a file that holds the value.
Every setting stands in aerie.example.toml with its default; a test compares the two.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from core.errors import NotConfigured

C = TypeVar("C", bound="Config")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSection(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class DiscordSection(Section):
    """Where the bot meets people."""

    token: SecretStr = SecretStr("")
    """The bot's token from Discord's developer portal."""
    sandbox_url: str = ""
    """Address of a local Discord (`aerie sandbox`), for instance http://127.0.0.1:8300; empty means the real one."""
    test_guild: int | None = None
    """Register commands in this guild only, where changes show at once; empty means everywhere."""


class DatabaseSection(Section):
    url: SecretStr = SecretStr("sqlite+aiosqlite:///aerie.sqlite3")
    """`sqlite+aiosqlite:///file` or `mysql+aiomysql://user:password@host/name` (MariaDB)."""


class BackplaneSection(Section):
    url: SecretStr = SecretStr("")
    """`redis://host:6379/0` when several bot processes run; empty means one process, in memory."""


class EndpointSection(Section):
    """The bot's own HTTP endpoint: /api/remote for nodes, /health."""

    host: str = "127.0.0.1"
    port: int = 8400
    public_url: str = ""
    """How nodes reach this endpoint, without a trailing slash; empty means http://host:port."""


class ConsoleSection(Section):
    """Console output in channels."""

    interval: float = 2.0
    """Seconds between two edits of one live message, at least; stretched when many consoles are shown."""
    idle_minutes: float = 0.0
    """Stop a live view after this many minutes without a viewer's action; 0 never stops it."""
    colours: bool = True
    """ANSI colours; phones show plain text either way."""


class ApiSection(Section):
    """The agent's own HTTP API."""

    host: str = "0.0.0.0"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None


class RemoteSection(Section):
    """The control plane this agent belongs to."""

    url: str = ""
    """Its address without a trailing slash, for instance http://127.0.0.1:8400."""
    token_id: str = ""
    token: SecretStr = SecretStr("")
    timeout: float = 30.0
    """Seconds per call, retries included."""
    boot_servers_per_page: int = 50


class SystemSection(Section):
    """Where the agent keeps things. Names follow Wings' config.yml."""

    root_directory: Path = Path("/var/lib/aerie")
    data: Path = Path("/var/lib/aerie/volumes")
    log_directory: Path = Path("/var/log/aerie")
    tmp_directory: Path = Path("/tmp/aerie")  # noqa: S108
    uid: int = 988
    """User that game processes run as and that owns their files."""
    gid: int = 988
    timezone: str = "UTC"
    check_permissions_on_boot: bool = True
    websocket_log_count: int = 150


class DockerSection(Section):
    host: str = ""
    """Docker Engine to use, for instance unix:///var/run/docker.sock; empty means DOCKER_HOST, else the usual socket."""
    runtime: Literal["docker", "process"] = "docker"
    """`process` runs games as plain child processes without any isolation: only for the demo where no Docker can be had."""
    network: str = "aerie_nw"
    """Docker network of game servers; made when missing."""
    network_subnet: str = "172.29.0.0/16"
    domainname: str = ""
    dns: list[str] = Field(default_factory=lambda: ["1.1.1.1", "1.0.0.1"])
    tmpfs_size: int = 100
    """MB of /tmp in each container."""
    container_pid_limit: int = 512
    log_driver: str = "local"
    log_max_size: str = "5m"
    log_max_file: int = 1
    pull_timeout: float = 900.0
    """Seconds an image may take to be pulled."""


class PowerSection(Section):
    """Limits of every wait, in seconds. When one passes, the state is read again from Docker and the reason is told."""

    start_timeout: float = 30.0
    """Creating, attaching and starting the container."""
    ready_timeout: float = 600.0
    """From started to a `done` line. When it passes, a server that still runs is shown as running, with a note."""
    stop_timeout: float = 600.0
    """From the stop command to the end of the process; then it is killed."""
    kill_timeout: float = 20.0
    """From SIGKILL to the container's end."""


class ThrottleSection(Section):
    """Wings' console throttle: more than `lines` per `line_reset_interval` ms are counted, not sent."""

    enabled: bool = True
    lines: int = 2000
    line_reset_interval: int = 100


class CrashSection(Section):
    enabled: bool = True
    detect_clean_exit_as_crash: bool = True
    timeout: float = 60.0
    """A second crash within this many seconds is not restarted."""
    most_restarts: int = 3
    """Restarts after crashes within ten minutes, at most."""


class Config(Section):
    log: LogSection = Field(default_factory=LogSection)


class BotConfig(Config):
    """Settings of `aerie bot`."""

    discord: DiscordSection = Field(default_factory=DiscordSection)
    database: DatabaseSection = Field(default_factory=DatabaseSection)
    backplane: BackplaneSection = Field(default_factory=BackplaneSection)
    endpoint: EndpointSection = Field(default_factory=EndpointSection)
    console: ConsoleSection = Field(default_factory=ConsoleSection)


class AgentConfig(Config):
    """Settings of `aerie agent`."""

    api: ApiSection = Field(default_factory=ApiSection)
    remote: RemoteSection = Field(default_factory=RemoteSection)
    system: SystemSection = Field(default_factory=SystemSection)
    docker: DockerSection = Field(default_factory=DockerSection)
    power: PowerSection = Field(default_factory=PowerSection)
    throttles: ThrottleSection = Field(default_factory=ThrottleSection)
    crash: CrashSection = Field(default_factory=CrashSection)
    allowed_origins: list[str] = Field(default_factory=list)


def load(kind: type[C], path: Path | None = None, environment: Mapping[str, str] | None = None) -> C:
    """Read the settings of one program. Raises NotConfigured with the setting's name and what is wrong with it.

    One file may hold the sections of both programs; each takes its own.
    """
    environment = os.environ if environment is None else environment
    values = _read_file(path, environment)
    known = kind.model_fields.keys()
    values = {name: section for name, section in values.items() if name in known}
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
    prefix, _, rest = name.partition("_")
    section, _, key = rest.lower().partition("__")
    if prefix != "AERIE" or not key or section not in kind.model_fields:
        return
    fields = kind.model_fields[section].annotation
    if not (isinstance(fields, type) and issubclass(fields, Section)):
        return
    if key.endswith("_file") and key not in fields.model_fields:
        try:
            key, value = key.removesuffix("_file"), Path(value).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise NotConfigured(
                f"{name} names a file that cannot be read: {error.strerror}.", hint="Check the path and its rights."
            ) from None
    field = fields.model_fields.get(key)
    if field is None:
        raise NotConfigured(f"{name} is not a setting: [{section}] has no {key}.", hint="aerie.example.toml shows every setting.")
    values.setdefault(section, {})
    values[section] = {**values[section], key: value.split(",") if field.annotation == list[str] else value}
