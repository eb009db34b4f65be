"""Settings: the only reader of TOML files and of the environment.

Order, later wins: defaults, the TOML file (`--config`, else `AERIE_CONFIG`, else `aerie.toml` here), environment variables
`AERIE_<SECTION>__<KEY>` (for instance `AERIE_DISCORD__TOKEN`, `AERIE_ALLOWED_ORIGINS` for what stands in no section; lists are parted by
commas, tables are JSON), and the same with `_FILE` at the end, naming a file that holds the value.
The agent also reads a Wings config.yml as it is, named like a TOML file; core/wings_config.py knows what its keys mean here.
What there is to set stands in agent_settings.py, bot_settings.py and, for both, section.py. Every setting is in aerie.example.toml with
its default; a test compares the two.
"""

import json
import os
import pwd
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, get_args, get_origin

from pydantic import BaseModel, Field, PrivateAttr, SecretStr, ValidationError

from core.agent_settings import (
    ApiSection,
    BackupSection,
    CrashSection,
    DockerSection,
    HistorySection,
    InstallSection,
    PowerSection,
    PullSection,
    RemoteSection,
    SftpSection,
    SystemSection,
    ThrottleSection,
)
from core.bot_settings import (
    AccountsSection,
    ActivitySection,
    BackplaneSection,
    ConsoleSection,
    DatabaseSection,
    DiscordSection,
    EndpointSection,
    MetricsSection,
    RestSection,
    SecuritySection,
)
from core.errors import NotConfigured
from core.section import LogSection, Section, TlsSection
from core.service_manager import ServiceManager
from core.wings_config import PLACES, is_wings, translate

C = TypeVar("C", bound="Config")


class Config(Section):
    """What both programs read."""

    log: LogSection = Field(default_factory=LogSection)
    tls: TlsSection = Field(default_factory=TlsSection)
    _remarks: tuple[str, ...] = PrivateAttr(())

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of the settings file has no effect and why, one sentence each: to be logged once, at the start."""
        return self._remarks


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
    backups: BackupSection = Field(default_factory=BackupSection)
    pull: PullSection = Field(default_factory=PullSection)
    power: PowerSection = Field(default_factory=PowerSection)
    sftp: SftpSection = Field(default_factory=SftpSection)
    throttles: ThrottleSection = Field(default_factory=ThrottleSection)
    history: HistorySection = Field(default_factory=HistorySection)
    crash: CrashSection = Field(default_factory=CrashSection)
    allowed_origins: list[str] = Field(default_factory=list)
    """Origins beside the control plane's own whose pages may open a console; `*` lets any."""
    allow_cors_private_network: bool = False
    """Tell browsers that pages of the internet may reach this node although it is in a private network."""
    ignore_panel_config_updates: bool = False
    """Let the control plane change nothing of this node, not even its token."""
    allowed_mounts: list[str] = Field(default_factory=list)
    """Folders and files of this machine that servers may have mounted, with what lies below them."""


def load(kind: type[C], path: Path | None = None, environment: Mapping[str, str] | None = None) -> C:
    """Read the settings of one program. Raises NotConfigured with the setting's name and what is wrong with it.

    One file may hold the sections of both programs; each takes its own.
    """
    environment = os.environ if environment is None else environment
    values, remarks = _read_file(kind, path, environment)
    known = kind.model_fields.keys()
    values = {name: section for name, section in values.items() if name in known}
    for name, section in values.items():
        _open_files(kind, name, section)
    for name, value in environment.items():
        _apply(values, kind, name, value)
    try:
        config = kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotConfigured(
            f"The setting {where} cannot be used: {first['msg']}.", hint="aerie.example.toml shows every setting with its default."
        ) from None
    config._remarks = tuple(remarks)
    return config


def wings_file() -> Path | None:
    """A Wings configuration on this machine that nobody named; None when there is none."""
    return next((Path(place) for place in PLACES if Path(place).is_file()), None)


def service_manager(environment: Mapping[str, str] | None = None) -> ServiceManager:
    """systemd's ear, where it started us; else one that hears nothing."""
    environment = os.environ if environment is None else environment
    ours = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    span = environment.get("WATCHDOG_USEC", "") if ours else ""
    return ServiceManager(environment.get("NOTIFY_SOCKET", ""), int(span) / 1e6 if span.isdigit() else 0.0)


def secrets_of(section: BaseModel) -> Iterator[str]:
    """Every secret in the settings, for those who must keep them out of sight."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, SecretStr):
                yield one.get_secret_value()
            elif isinstance(one, BaseModel):
                yield from secrets_of(one)


def docker_host(section: DockerSection, environment: Mapping[str, str] | None = None) -> str:
    """Address of the Docker Engine: the setting, else DOCKER_HOST, else the usual socket."""
    environment = os.environ if environment is None else environment
    return section.host or environment.get("DOCKER_HOST", "") or "unix:///var/run/docker.sock"


def _read_file(kind: type[Config], path: Path | None, environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The tables of the settings file, and remarks about them."""
    named = path or (Path(environment["AERIE_CONFIG"]) if environment.get("AERIE_CONFIG") else None)
    file = named or Path("aerie.toml")
    if not file.exists():
        if named is not None:
            raise NotConfigured(f"The settings file {file} does not exist.", hint="Copy aerie.example.toml there and fill it in.")
        return {}, []
    try:
        text = file.read_text(encoding="utf-8")
        if is_wings(file):
            return _read_wings(kind, file, text, environment)
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise NotConfigured(f"The settings file {file} cannot be read: {error}.", hint="Correct the line it names.") from None
    unknown = values.keys() - BotConfig.model_fields.keys() - AgentConfig.model_fields.keys()
    if unknown:
        raise NotConfigured(
            f"The settings file {file} has sections nobody reads: {', '.join(sorted(unknown))}.",
            hint="aerie.example.toml shows every section.",
        )
    return values, _exposed(file, values)


def _exposed(file: Path, values: Mapping[str, Any]) -> list[str]:
    """A remark when others on the machine may read secrets in the file."""
    named = [(section, key, value) for section, table in values.items() if isinstance(table, dict) for key, value in table.items()]
    secret = [key for section, key, value in named if value and _is_secret(section, key, value)]
    if secret and file.stat().st_mode & 0o077:
        return [f"Others on this machine may read {file}, which holds {', '.join(secret)}: chmod 600 {file}"]
    return []


def _is_secret(section: str, key: str, value: Any) -> bool:
    """Whether this is somebody's own secret, and not the one that everybody has."""
    fields = {**BotConfig.model_fields, **AgentConfig.model_fields}
    holder = fields[section].annotation if section in fields else None
    field = holder.model_fields.get(key) if _is_section(holder) else None
    return field is not None and field.annotation is SecretStr and field.default.get_secret_value() != value


def _read_wings(kind: type[Config], file: Path, text: str, environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    if not issubclass(kind, AgentConfig):
        raise NotConfigured(
            f"{file} is a Wings configuration, which holds nothing for the bot.", hint="Name a TOML file, like aerie.example.toml."
        )
    try:
        made = translate(text, timezone=environment.get("TZ", "") or _timezone(), ids=_ids)
    except ValueError as error:
        raise NotConfigured(f"The Wings configuration {file} cannot be read: {error}.", hint="Correct it, or make a new one.") from None
    for name, setting in (("WINGS_TOKEN_ID", "token_id"), ("WINGS_TOKEN", "token")):
        if environment.get(name):
            made.values.setdefault("remote", {}).pop(f"{setting}_file", None)
            made.put(f"remote.{setting}", environment[name])
    remarks = [f"{file}: {remark}" for remark in made.remarks]
    return made.values, [*remarks, *_exposed(file, made.values)]


def _timezone() -> str:
    try:
        return Path("/etc/timezone").read_text(encoding="utf-8").strip() or "UTC"
    except (OSError, UnicodeDecodeError):
        return "UTC"


def _ids(name: str) -> tuple[int, int] | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return found.pw_uid, found.pw_gid


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
    if _is_section(holder):
        _open_table(holder, name, section)


def _open_table(holder: type[Section], name: str, section: Any) -> None:
    if not isinstance(section, dict):
        return
    _open_inner_files(name, holder, section)
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


def _open_inner_files(name: str, holder: type[Section], section: dict[str, Any]) -> None:
    """The same in tables below a section, such as `[docker.registries."ghcr.io"]`."""
    for key, field in holder.model_fields.items():
        inner = get_args(field.annotation)[-1:] if get_origin(field.annotation) is dict else ()
        tables = section.get(key)
        if not inner or not _is_section(inner[0]) or not isinstance(tables, dict):
            continue
        for title, table in tables.items():
            _open_table(inner[0], f'{name}.{key}."{title}"', table)


def _is_section(annotation: Any) -> TypeGuard[type[Section]]:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _parse(annotation: Any, value: str) -> Any:
    """A variable's text as pydantic wants it: lists parted by commas, tables as JSON; an empty text means "none" where none is possible."""
    if get_origin(annotation) is list:
        return [item.strip() for item in value.split(",") if item.strip()]
    if get_origin(annotation) is dict:
        try:
            return json.loads(value or "{}")
        except ValueError:
            return value  # validation says that it is no table
    return None if not value and type(None) in get_args(annotation) else value


def _read_secret(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NotConfigured(f"{name} names a file that cannot be read: {why}.", hint="Check the path and its rights.") from None
