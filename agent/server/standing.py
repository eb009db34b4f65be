"""How one server stands: its settings, its state and why, how it last ended; and the events that tell of each change.

A state changes in `become` alone, so that none changes without a reason. Must never decide what to do about it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import Field

from agent.runtime.runtime import Exit, Inspection
from agent.server.power import Order
from core.clock import Clock
from core.fanout import Fanout
from core.protocol.agent import LastExit
from core.protocol.settings import ServerConfiguration, Wire
from core.protocol.socket import CrashReport, Outbound, PowerProgress, StateChange, StatsFrame
from core.vocabulary import ServerState


@dataclass(frozen=True, slots=True)
class DaemonNotice:
    """Something for a server's sockets that is neither state nor console."""

    event: Outbound
    text: str


class SavedState(Wire):
    """What an agent must remember to find its place again: kept in states.json by the manager."""

    state: ServerState = ServerState.OFFLINE
    seq: int = 0
    outputs: int | None = None
    """How many of the lines numbered so far were the process's own."""
    at: datetime | None = None
    """When the newest line was read."""
    tail: list[str] = Field(default_factory=list)
    install_failed: bool = False
    starting_again: bool = False
    """Whether it was about to be started of the node's own accord."""
    crash: CrashReport | None = None


Event = StateChange | PowerProgress | StatsFrame | CrashReport | DaemonNotice


class Standing:
    """State, reason and events of one server. `gone` is set while it has no process, `ready` once its process was ready."""

    def __init__(self, configuration: ServerConfiguration, folder: Path, clock: Clock, changed: Callable[[], None]) -> None:
        self.configuration = configuration
        self.uuid = configuration.settings.uuid
        self.folder = folder
        self.state = ServerState.OFFLINE
        self.state_since = clock.now()
        self.reason = ""
        self.last_exit: LastExit | None = None
        self.events: Fanout[Event] = Fanout()
        self.began_at: datetime | None = None
        """When its newest process began."""
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self.gone.set()
        self.failure = ("", "")
        """Why a start is being given up, and its code, while it is."""
        self.changed = changed
        self.current_order: Callable[[], Order | None] = lambda: None
        self._clock = clock

    @property
    def suspended(self) -> bool:
        return self.configuration.settings.suspended

    @property
    def offline(self) -> bool:
        return self.state is ServerState.OFFLINE

    @property
    def between(self) -> bool:
        """Whether the state is one that must not last."""
        return self.state in (ServerState.STARTING, ServerState.STOPPING)

    def become(self, state: ServerState, reason: str, code: str = "", order: Order | None = None, ended: Exit | None = None) -> None:
        """Take on a state and tell it; the same state again only renews the reason."""
        previous, self.state = self.state, state
        self.reason = reason
        if previous is state:
            return
        self.state_since = self._clock.now()
        order = order or self.current_order()
        self.events.publish(
            StateChange(
                state=state,
                previous=previous,
                reason=reason,
                code=code,
                at=self.state_since,
                signal_id=order.id if order else "",
                exit_code=ended.code if ended else None,
                oom_killed=ended.oom_killed if ended else False,
            )
        )
        self.changed()

    def note_exit(self, ended: Exit) -> None:
        self.last_exit = LastExit(code=ended.code, oom_killed=ended.oom_killed, at=self._clock.now())


def end_of(shown: Inspection) -> Exit:
    """How a process that does not run ended, as far as the engine knows."""
    return shown.exit or Exit(None, reason="" if shown.exists else "its container was removed")
