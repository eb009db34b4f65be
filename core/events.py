"""Something happened. Events are facts in the past tense; they travel over the backplane and are harmless when they come twice."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from core.protocol.socket import CrashReport, PowerProgress, StateChange, StatsFrame


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)


class ServerStateChanged(_Event):
    type: Literal["server_state_changed"] = "server_state_changed"
    server_uuid: str
    change: StateChange


class ServerPowerProgressed(_Event):
    """An accepted power signal went on, ended, failed or was overtaken."""

    type: Literal["server_power_progressed"] = "server_power_progressed"
    server_uuid: str
    progress: PowerProgress


class ServerStatsSampled(_Event):
    type: Literal["server_stats_sampled"] = "server_stats_sampled"
    server_uuid: str
    stats: StatsFrame


class ServerCrashed(_Event):
    """Its process ended although nobody asked it to."""

    type: Literal["server_crashed"] = "server_crashed"
    server_uuid: str
    crash: CrashReport


class ServerInstallEnded(_Event):
    """An installation or reinstallation ended, well or not."""

    type: Literal["server_install_ended"] = "server_install_ended"
    server_uuid: str
    successful: bool
    reinstall: bool
    at: datetime
    reason: str = ""
    """Why it failed, for people; empty when the node did not say."""


class ServerBackupEnded(_Event):
    """A backup was made, or could not be made."""

    type: Literal["server_backup_ended"] = "server_backup_ended"
    server_uuid: str
    backup_uuid: str
    successful: bool
    bytes: int
    at: datetime


class ServerRestoreEnded(_Event):
    """A backup was put back, or the files are as they were before."""

    type: Literal["server_restore_ended"] = "server_restore_ended"
    server_uuid: str
    backup_uuid: str
    successful: bool
    at: datetime


class NodeLost(_Event):
    type: Literal["node_lost"] = "node_lost"
    node_id: int
    node_name: str
    at: datetime
    reason: str


class NodeBack(_Event):
    type: Literal["node_back"] = "node_back"
    node_id: int
    node_name: str
    at: datetime


class ServerDeleted(_Event):
    type: Literal["server_deleted"] = "server_deleted"
    server_uuid: str


class SignInsRefused(_Event):
    """Somebody tries passwords: so many were wrong that more from there, or for that name, are slowed. Told once per ten minutes."""

    type: Literal["sign_ins_refused"] = "sign_ins_refused"
    node_id: int
    node_name: str
    username: str
    """As it was typed, at most 191 characters; it may name nobody."""
    household: str
    """The last try's address (core.addresses.household)."""
    tries: int
    at: datetime


Event = Annotated[
    ServerStateChanged
    | ServerPowerProgressed
    | ServerStatsSampled
    | ServerCrashed
    | ServerInstallEnded
    | ServerBackupEnded
    | ServerRestoreEnded
    | NodeLost
    | NodeBack
    | ServerDeleted
    | SignInsRefused,
    Field(discriminator="type"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads and writes any event as JSON: `EVENT.dump_json(event)`, `EVENT.validate_json(body)`."""
