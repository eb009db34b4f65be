"""What a node must know to run a server: Wings' server configuration object (remote API, `GET /servers/{uuid}`).

Read leniently, as a stock panel writes it (PHP's `[]` for an empty map, numbers where text is meant, unknown keys);
written strictly. Each sync replaces the whole configuration, it never merges.
"""

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from core.vocabulary import StopType


class Wire(BaseModel):
    """Base of every wire type: unknown keys are ignored, so that newer peers can talk to older ones."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


def as_text(value: Any) -> Any:
    """Environment values as text. Wings writes 5 as `5.000000`; we write `5`. null is empty, true is `true`."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case _:
            return value


def _php_map(value: Any) -> Any:
    """PHP encodes an empty map as `[]`."""
    return {} if value in ([], None) else value


def _php_list(value: Any) -> Any:
    return [] if value in ({}, None) else value


Text = Annotated[str, BeforeValidator(as_text)]
OptionalText = Annotated[str | None, BeforeValidator(lambda value: None if value is None else as_text(value))]
Environment = Annotated[dict[str, Text], BeforeValidator(_php_map)]


class Meta(Wire):
    name: str = ""
    description: Text = ""


class Build(Wire):
    """Limits. Memory and swap in MB (10^6 bytes), disk in MiB, cpu in percent of one thread; 0 is unlimited, swap -1 is unlimited."""

    memory_limit: int = 0
    swap: int = 0
    io_weight: int = 500
    cpu_limit: int = 0
    disk_space: int = 0
    threads: OptionalText = None
    oom_disabled: bool = True

    @model_validator(mode="before")
    @classmethod
    def _of_pelican(cls, value: Any) -> Any:
        """Pelican says it the other way round: `oom_killer`."""
        if isinstance(value, dict) and isinstance(value.get("oom_killer"), bool) and "oom_disabled" not in value:
            return {**value, "oom_disabled": not value["oom_killer"]}
        return value


class Container(Wire):
    image: str = ""
    """A leading `~` means local only, never pulled (Wings)."""


class Address(Wire):
    ip: str = "127.0.0.1"
    port: int = 0


class Allocations(Wire):
    force_outgoing_ip: bool = False
    default: Address = Field(default_factory=Address)
    mappings: Annotated[dict[str, list[int]], BeforeValidator(_php_map)] = Field(default_factory=dict)


class Mount(Wire):
    source: str
    target: str
    read_only: bool = False


class EggReference(Wire):
    id: str = ""
    file_denylist: Annotated[list[str], BeforeValidator(_php_list)] = Field(default_factory=list)


class PlayerPatterns(Wire):
    """Aerie's extension: console lines that tell of players. Regular expressions; a group `name` holds the player's name."""

    join: str
    leave: str


class CrashRules(Wire):
    """Aerie's extension: a server's own rules of what follows a crash; what is None follows the node's."""

    restarts: int | None = Field(default=None, ge=0, le=100)
    """Restarts within `window`, at most. Set, it also lifts Wings' rule that a second crash within a minute is not restarted."""
    window: float | None = Field(default=None, gt=0, le=86_400)
    """Seconds."""
    backoff: float | None = Field(default=None, ge=0, le=600)
    """Seconds before the second restart; twice that before the third, and so on."""
    clean_codes: list[int] = Field(default_factory=list, max_length=32)
    """Exit codes that are no crash, whatever the node says."""


class ServerSettings(Wire):
    uuid: str
    meta: Meta = Field(default_factory=Meta)
    suspended: bool = False
    environment: Environment = Field(default_factory=dict)
    invocation: Text = ""
    skip_egg_scripts: bool = False
    build: Build = Field(default_factory=Build)
    container: Container = Field(default_factory=Container)
    allocations: Allocations = Field(default_factory=Allocations)
    mounts: Annotated[list[Mount], BeforeValidator(_php_list)] = Field(default_factory=list)
    egg: EggReference = Field(default_factory=EggReference)
    labels: Annotated[dict[str, str], BeforeValidator(_php_map)] = Field(default_factory=dict)
    crash_detection_enabled: bool | None = None
    """Absent means the node's own setting."""
    aerie_players: PlayerPatterns | None = None
    aerie_crash: CrashRules | None = None
    aerie_priority: int = 0
    """Aerie's extension: servers with more are started first when a whole node comes back."""


class StartupRules(Wire):
    """Done matchers: plain text is searched for in a line; `regex:` begins a regular expression; the empty text matches every line."""

    done: Annotated[list[str], BeforeValidator(lambda v: [v] if isinstance(v, str) else v or [])] = Field(default_factory=list)
    user_interaction: list[Any] = Field(default_factory=list)
    strip_ansi: bool = False


class StopRule(Wire):
    type: StopType | str = Field(default=StopType.NATIVE, union_mode="left_to_right")
    value: OptionalText = None


class Replacement(Wire):
    """One find-and-replace. `value` is the old name of `replace_with`."""

    match: Text
    replace_with: Any = Field(default=None, validation_alias=AliasChoices("replace_with", "value"))
    if_value: OptionalText = None
    """PHP turns keys that look like numbers into numbers, so this and `match` may arrive as such."""


class ConfigFile(Wire):
    file: str
    parser: str
    replace: Annotated[list[Replacement], BeforeValidator(_php_list)] = Field(default_factory=list)


def _whole_entries(value: Any) -> Any:
    """Entries that name no file or parser are left out; Wings crashes on them."""
    entries = _php_list(value)
    if not isinstance(entries, list):
        return entries
    return [one for one in entries if not isinstance(one, dict) or {"file", "parser"} <= one.keys()]


class ProcessConfiguration(Wire):
    startup: StartupRules = Field(default_factory=StartupRules)
    stop: StopRule = Field(default_factory=StopRule)
    configs: Annotated[list[ConfigFile], BeforeValidator(_whole_entries)] = Field(default_factory=list)


class ServerConfiguration(Wire):
    """`GET /api/remote/servers/{uuid}`, whole."""

    settings: ServerSettings
    process_configuration: ProcessConfiguration = Field(default_factory=ProcessConfiguration)
