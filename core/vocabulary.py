"""The field's words as enums: every enum that crosses a room is defined here, once.

docs/glossary.md explains the same words to people. Nothing here acts.
"""

from enum import StrEnum


class PowerSignal(StrEnum):
    """What can be asked of a server's process; the names are Wings' power actions."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"


class ServerState(StrEnum):
    """State of a server's process as Wings names it. Installing and suspended are not states but flags beside it."""

    OFFLINE = "offline"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class StopType(StrEnum):
    """How an egg wants its process ended (`process_configuration.stop.type`)."""

    COMMAND = "command"
    """A line typed into the console."""
    SIGNAL = "signal"
    """A signal sent to the container's first process."""
    NATIVE = "stop"
    """`docker stop`: the image's own stop signal."""


class PowerPhase(StrEnum):
    """Where an accepted power signal has got to. DONE, FAILED and SUPERSEDED end it."""

    ACCEPTED = "accepted"
    STOPPING = "stopping"
    STARTING = "starting"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """A later stop or kill overtook it."""

    @property
    def final(self) -> bool:
        return self in (PowerPhase.DONE, PowerPhase.FAILED, PowerPhase.SUPERSEDED)


class ActorKind(StrEnum):
    """Who asks for something; written beside every activity."""

    DISCORD = "discord"
    USER = "user"
    """Somebody who signed in on a node: SFTP."""
    API_KEY = "api_key"
    NODE = "node"
    SCHEDULE = "schedule"
    VOTE = "vote"
    SYSTEM = "system"


class ServerStatus(StrEnum):
    """A server's standing on the control plane (Pterodactyl's `servers.status`); a ready server has none."""

    INSTALLING = "installing"
    INSTALL_FAILED = "install_failed"
    REINSTALL_FAILED = "reinstall_failed"
    SUSPENDED = "suspended"
    RESTORING_BACKUP = "restoring_backup"


class RequestState(StrEnum):
    """Where a request for a restart has got to. The first five are under way; the others end it."""

    OPEN = "open"
    PASSED = "passed"
    WARNING = "warning"
    SENDING = "sending"
    """The signal is being handed over; whoever finds it so must look at the server before sending another."""
    RESTARTING = "restarting"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    VETOED = "vetoed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (
            RequestState.DONE,
            RequestState.FAILED,
            RequestState.EXPIRED,
            RequestState.VETOED,
            RequestState.CANCELLED,
        )


class Outcome(StrEnum):
    """What came of an activity."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


class KeyKind(StrEnum):
    """What an API key opens."""

    CLIENT = "client"
    """The Client API: the servers its owner may use."""
    APPLICATION = "application"
    """The Application API: administration, as far as the key's rights go."""


class Resource(StrEnum):
    """What an application key may be let read or change; the panel's nine."""

    SERVERS = "servers"
    NODES = "nodes"
    ALLOCATIONS = "allocations"
    USERS = "users"
    LOCATIONS = "locations"
    NESTS = "nests"
    EGGS = "eggs"
    DATABASE_HOSTS = "database_hosts"
    SERVER_DATABASES = "server_databases"


class AlertSeverity(StrEnum):
    """How bad an alert is; senders' words are mapped to these by core/protocol/alerts.py."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertStatus(StrEnum):
    """Whether what an alert tells of still goes on."""

    FIRING = "firing"
    RESOLVED = "resolved"


class AlertSender(StrEnum):
    """Who speaks to a webhook, told by the shape of what they send."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    UPTIME_KUMA = "uptime_kuma"
    GENERIC = "generic"
    """The plain JSON of docs/alerts.md."""
    AERIE = "aerie"
    """Aerie's own alerts."""
