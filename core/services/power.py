"""Starting, stopping, restarting, killing: may they, write it down, hand the signal to the node. What comes of it arrives as events."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from core import log as context
from core.actor import Actor
from core.errors import AerieError, ServerBusy, ServerSuspended
from core.events import Event
from core.fanout import Listener
from core.models.server import Server
from core.permissions import CONTROL_RESTART, CONTROL_START, CONTROL_STOP
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.live import LiveBoard
from core.services.nodes import Nodes
from core.vocabulary import Outcome, PowerSignal, ServerStatus

PERMISSIONS = {
    PowerSignal.START: CONTROL_START,
    PowerSignal.STOP: CONTROL_STOP,
    PowerSignal.RESTART: CONTROL_RESTART,
    PowerSignal.KILL: CONTROL_STOP,
}
_RAISING = (PowerSignal.START, PowerSignal.RESTART)


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted signal. `signal_id` names it in PowerProgress events; empty from a stock Wings, which tells states only."""

    server: Server
    signal_id: str
    signal: PowerSignal


class Power:
    def __init__(self, access: Access, activity: ActivityLog, nodes: Nodes, live: LiveBoard) -> None:
        self._access = access
        self._activity = activity
        self._nodes = nodes
        self._live = live

    async def send(self, actor: Actor, ref: str | int, signal: PowerSignal) -> Sent:
        """Hand a signal to the server's node, which has accepted it on return.

        To see how it goes on, open `watching` before. Raises NotFound, MissingPermission, ServerSuspended, ServerBusy
        and the node's errors.
        """
        event = f"server:power.{signal.value}"
        server = await self._access.server(actor, ref, PERMISSIONS[signal], event=event)
        context.server.set(server.short)
        self._live.place(server.uuid, server.node_id)
        if (why := obstacle(server, signal)) is not None:
            await self._activity.refused(actor, event, server, why)
            raise why
        row = await self._activity.write(actor, event, server)
        try:
            signal_id = await self._nodes.client(server.node).power(server.uuid, signal)
        except AerieError as error:
            await self._activity.amend(row, Outcome.FAILED, str(error))
            raise
        return Sent(server, signal_id, signal)

    def watching(self, server: Server) -> AbstractAsyncContextManager[Listener[Event]]:
        """Events of this server from now on: states, progress of signals, its node lost or back."""
        return self._live.watching(server.uuid)


def obstacle(server: Server, signal: PowerSignal) -> AerieError | None:
    """Why a signal is not even handed over. Stop and kill always are."""
    if signal not in _RAISING:
        return None
    if server.waits_for_node and server.status != ServerStatus.SUSPENDED:
        return ServerBusy(
            f"{server.name} is not on its node yet, which was away when it was made.", hint="It is made there as soon as the node is back."
        )
    if server.status is None:
        return None
    match ServerStatus(server.status):
        case ServerStatus.SUSPENDED:
            return ServerSuspended(f"{server.name} is suspended.", hint="An administrator of Aerie can lift it.")
        case ServerStatus.INSTALLING:
            return ServerBusy(f"{server.name} is still being installed.", hint="Try again when it is done.")
        case ServerStatus.RESTORING_BACKUP:
            return ServerBusy(f"{server.name} is being restored from a backup.", hint="Try again when it is done.")
        case ServerStatus.INSTALL_FAILED | ServerStatus.REINSTALL_FAILED:
            return ServerBusy(f"The installation of {server.name} failed.", hint="Reinstall it; the install log on the node says why.")
