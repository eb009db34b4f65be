"""Bodies of the agent's HTTP API, which is Wings'. Field names and status codes: Wings 1.11."""

from datetime import datetime
from typing import Any

from pydantic import Field, model_validator

from core.protocol.settings import ServerSettings, Wire
from core.protocol.socket import StatsFrame
from core.vocabulary import PowerSignal, ServerState

SIGNAL_HEADER = "X-Aerie-Signal"
"""Answer header of the power route: the id under which `aerie.power` frames tell how it goes on."""


class SystemV1(Wire):
    architecture: str
    cpu_count: int
    kernel_version: str
    os: str
    version: str


class Cgroups(Wire):
    driver: str = ""
    version: str = ""


class Containers(Wire):
    total: int = 0
    running: int = 0
    paused: int = 0
    stopped: int = 0


class Storage(Wire):
    driver: str = ""
    filesystem: str = ""


class Runc(Wire):
    version: str = ""


class DockerFacts(Wire):
    version: str = ""
    cgroups: Cgroups = Field(default_factory=Cgroups)
    containers: Containers = Field(default_factory=Containers)
    storage: Storage = Field(default_factory=Storage)
    runc: Runc = Field(default_factory=Runc)


class SystemFacts(Wire):
    architecture: str = ""
    cpu_threads: int = 0
    memory_bytes: int = 0
    kernel_version: str = ""
    os: str = ""
    os_type: str = "linux"


class Abilities(Wire):
    """What an agent of ours can do beyond Wings."""

    derived_keys: bool = False
    """It takes people's tokens signed with the derived key (core/tokens.py)."""


class SystemV2(Wire):
    """`GET /api/system?v=2`. `aerie` is our addition; Wings has none."""

    version: str
    docker: DockerFacts = Field(default_factory=DockerFacts)
    system: SystemFacts = Field(default_factory=SystemFacts)
    aerie: Abilities | None = None


class SystemIps(Wire):
    """`GET /api/system/ips` (Pelican)."""

    ip_addresses: list[str]


class DiskDetail(Wire):
    """One filesystem; bytes. `tags` name the node's folders on it."""

    device: str
    mountpoint: str
    total_space: int
    used_space: int
    tags: list[str]


class Utilization(Wire):
    """`GET /api/system/utilization` (Pelican): bytes, percent of the whole machine, load averages."""

    memory_total: int
    memory_used: int
    swap_total: int
    swap_used: int
    load_average1: float
    load_average5: float
    load_average15: float
    cpu_percent: float
    disk_total: int
    disk_used: int
    disk_details: list[DiskDetail]


class CreateServer(Wire):
    uuid: str
    start_on_completion: bool = False


class PowerRequest(Wire):
    """`wait_seconds` is Wings' wait for a busy power lock; Aerie queues instead and needs no wait."""

    action: PowerSignal
    wait_seconds: int = 0


class CommandsRequest(Wire):
    commands: list[str]


class LogsResponse(Wire):
    data: list[str] | None = None


class InstallLogs(Wire):
    """`GET /api/servers/{uuid}/install-logs` (Pelican)."""

    data: str


class DenyRequest(Wire):
    jtis: list[str]


class Deauthorize(Wire):
    """`POST /api/deauthorize-user` (Wings 1.12): end the user's sessions on these servers, on all of the node's if none is named."""

    user: str
    servers: list[str] = Field(default_factory=list)


class UpdateResponse(Wire):
    applied: bool


class LastExit(Wire):
    code: int | None = None
    oom_killed: bool = False
    at: datetime | None = None


class ServerExtras(Wire):
    """Aerie's addition to a server's description."""

    state_since: datetime | None = None
    reason: str = ""
    last_exit: LastExit | None = None
    installing: bool = False


class ServerDescription(Wire):
    """`GET /api/servers/{uuid}`. `configuration` holds the environment's secrets: never relay it to people."""

    state: ServerState
    is_suspended: bool = False
    utilization: StatsFrame = Field(default_factory=StatsFrame)
    configuration: ServerSettings
    aerie: ServerExtras | None = None


class ErrorBody(Wire):
    """`{"error": text, "request_id": uuid}`; `code` and `hint` are Aerie's additions."""

    error: str
    request_id: str | None = None
    code: str | None = None
    hint: str | None = None


NodeUpdate = dict[str, Any]
"""`POST /api/update`: a node's configuration as the panel sends it; our agents take of it what TokenRenewal names."""


class TokenRenewal(Wire):
    """`POST /api/update`: of a partial node configuration, what a control plane may change here. Keys count in any case (Wings)."""

    token_id: str | None = None
    token: str | None = Field(default=None, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return {str(key).lower(): item for key, item in value.items()} if isinstance(value, dict) else value
