"""Carrying out a passed request: wait for the node, warn the players, send the signal once, see what came of it.

passed ▸ warning ▸ sending ▸ restarting ▸ done or failed. Each arrow is a conditional UPDATE that is committed before the node is called. A
request found in `sending` was left there by a process that died or heard no answer: then the server itself is asked whether it restarted,
twice, before another signal may be sent, and a second signal is the last. Must never send on a guess.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement

from core.clock import Clock
from core.db.engine import Database
from core.errors import AerieError, NodeError, NodeUnreachable, NotFound
from core.models.server import Server
from core.models.vote import Request
from core.protocol.agent import ServerDescription
from core.services.activity import ActivityLog
from core.services.nodes import Nodes
from core.services.power import obstacle
from core.services.request_rules import END, filled
from core.services.votes import Votes, actor_of, ended, move
from core.vocabulary import Outcome, PowerSignal, RequestState, ServerState

log = logging.getLogger(__name__)

SOON = timedelta(seconds=1)
RETRY = timedelta(seconds=5)
"""Until a node that is away is asked again."""
SETTLE = timedelta(seconds=15)
"""After which a signal without an answer is judged; a call to a node ends within 10 s."""
SECOND_LOOK = timedelta(seconds=5)
"""Between two looks that must agree."""
LATE = timedelta(seconds=30)
"""A countdown that was slept through for longer begins anew: nobody is thrown out unwarned."""
ROUNDED = timedelta(seconds=3)
"""A warning that comes so little late still tells its own number."""
START_LIMIT = timedelta(minutes=10)
"""Within which a server must run again."""
MOST_SIGNALS = 2

_DELETED = "the server was deleted"


class Restarts:
    def __init__(self, database: Database, votes: Votes, activity: ActivityLog, nodes: Nodes, clock: Clock) -> None:
        self._database = database
        self._votes = votes
        self._activity = activity
        self._nodes = nodes
        self._clock = clock

    async def step(self, request_id: int) -> datetime | None:
        """Do what is due for a request. Answers when to come again; None when nothing is left to do. Raises NotFound.

        Harmless to call at any time and from several processes: what another one did first is not done again.
        """
        request = await self._votes.get(request_id)
        server = await self._votes.server_of(request)
        state = RequestState(request.state)
        if state.final:
            await self._call_off(request, server)
            return None
        if server is None:
            await self._end(request, None, RequestState.FAILED, _DELETED)
            return None
        match state:
            case RequestState.OPEN:
                return None if await self._votes.expire(request_id) else request.ends_at
            case RequestState.PASSED:
                return await self._prepare(request, server)
            case RequestState.WARNING:
                return await self._count_down(request, server)
            case RequestState.SENDING:
                return await self._judge(request, server)
            case _:
                return await self._watch(request, server)

    async def _prepare(self, request: Request, server: Server) -> datetime | None:
        """Decide what there is to do, by the server's state."""
        seen = await self._look(request, server)
        if not isinstance(seen, ServerDescription):
            return seen
        now = self._clock.now()
        if seen.state is ServerState.OFFLINE:
            return await self._found_offline(request, server)
        if seen.state is ServerState.STOPPING:
            return await self._stuck(request, server, f"{server.name} is stopping", SOON)
        countdown = timedelta(seconds=max(request.countdown, default=0))
        await self._move(
            request, state=RequestState.WARNING.value, restart_at=now + countdown, signal=PowerSignal.RESTART.value, **_UNSTUCK
        )
        return now

    async def _found_offline(self, request: Request, server: Server) -> datetime | None:
        if request.when_offline == END:
            await self._end(request, server, RequestState.FAILED, f"{server.name} was offline by then, so nothing was restarted")
            return None
        now = self._clock.now()
        values = {"state": RequestState.WARNING.value, "restart_at": now, "countdown": [], "signal": PowerSignal.START.value}
        await self._move(request, **values, **_UNSTUCK)
        return now

    async def _count_down(self, request: Request, server: Server) -> datetime | None:
        """Give the warning that is due, or send when the time has come."""
        now = self._clock.now()
        left = _planned(request) - now
        if left <= timedelta(0):
            return await self._send(request, server)
        due = [one for one in request.countdown if timedelta(seconds=one) >= left and (request.warned is None or one < request.warned)]
        if due and await self._move(request, warned=min(due)):
            said = min(due) if timedelta(seconds=min(due)) - left <= ROUNDED else _seconds(left)
            await self._type(request, server, said, "server:request.warn", f"This server restarts in {said} s, as its players asked.")
        later = [timedelta(seconds=one) for one in request.countdown if timedelta(seconds=one) < left]
        return _planned(request) - max(later, default=timedelta(0))

    async def _send(self, request: Request, server: Server) -> datetime | None:
        """Hand the signal over. The row says `sending` before and what came of it after; a death in between is judged later."""
        seen = await self._look(request, server)
        if not isinstance(seen, ServerDescription):
            return seen
        if request.signal == PowerSignal.RESTART:
            if seen.state is ServerState.OFFLINE:
                return await self._found_offline(request, server)
            if seen.state is ServerState.STOPPING:
                return await self._stuck(request, server, f"{server.name} is stopping", SOON)
            if request.countdown and self._clock.now() > _planned(request) + LATE:
                return await self._count_again(request)
        elif seen.state is not ServerState.OFFLINE:
            await self._end(request, server, RequestState.FAILED, f"{server.name} was started by somebody else meanwhile")
            return None
        signal, now = PowerSignal(request.signal), self._clock.now()
        values = {"state": RequestState.SENDING.value, "sending_at": now, "attempts": request.attempts + 1, "looked_at": None}
        if not await self._move(request, **values, **_UNSTUCK):
            return now
        return await self._hand_over(await self._votes.get(request.id), server, signal)

    async def _count_again(self, request: Request) -> datetime:
        """The time passed while this process, or the node, was away."""
        now, longest = self._clock.now(), max(request.countdown)
        await self._move(request, restart_at=now + timedelta(seconds=longest), warned=longest + 1, **_UNSTUCK)
        return now

    async def _hand_over(self, request: Request, server: Server, signal: PowerSignal) -> datetime | None:
        details = {"request": request.id, "attempt": request.attempts}
        row = await self._activity.write(actor_of(request), f"server:power.{signal.value}", server, metadata=details)
        try:
            signal_id = await self._nodes.client(server.node).power(server.uuid, signal)
        except NodeUnreachable as error:  # it may have arrived all the same
            log.warning("request %d: no answer to its signal, it will be judged by the server: %s", request.id, error)
            await self._activity.amend(row, Outcome.FAILED, str(error))
            return self._clock.now() + SETTLE
        except AerieError as error:
            await self._activity.amend(row, Outcome.FAILED, str(error))
            await self._end(request, server, RequestState.FAILED, str(error))
            return None
        await self._move(request, state=RequestState.RESTARTING.value, signal_id=signal_id)
        return self._clock.now()

    async def _judge(self, request: Request, server: Server) -> datetime | None:
        """Nobody recorded what became of the signal: the server knows."""
        assert request.sending_at is not None
        now = self._clock.now()
        if now < request.sending_at + SETTLE:
            return request.sending_at + SETTLE
        seen = await self._look(request, server)
        if not isinstance(seen, ServerDescription):
            return seen
        if not self._untouched(request, seen):
            await self._move(request, state=RequestState.RESTARTING.value, looked_at=None, **_UNSTUCK)
            return self._clock.now()
        if request.looked_at is None:
            await self._move(request, looked_at=now, **_UNSTUCK)
            return now + SECOND_LOOK
        if now < request.looked_at + SECOND_LOOK:
            return request.looked_at + SECOND_LOOK
        if request.attempts >= MOST_SIGNALS:
            why = f"the node {server.node.name} took the signal {MOST_SIGNALS} times and did nothing"
            await self._end(request, server, RequestState.FAILED, why)
            return None
        await self._move(request, state=RequestState.WARNING.value, restart_at=now, looked_at=None, **_UNSTUCK)
        return now

    def _untouched(self, request: Request, seen: ServerDescription) -> bool:
        """Whether the server is just as if no signal had come: for a restart, still the process of before; for a start, none."""
        if request.signal == PowerSignal.START:
            return seen.state is ServerState.OFFLINE
        return seen.state in (ServerState.RUNNING, ServerState.STARTING) and not self._new_process(request, seen)

    def _new_process(self, request: Request, seen: ServerDescription) -> bool:
        """Whether the process began after the signal, by its own uptime: the node's clock may be wrong, its durations are not."""
        assert request.sending_at is not None
        return timedelta(milliseconds=seen.utilization.uptime) <= self._clock.now() - request.sending_at

    async def _watch(self, request: Request, server: Server) -> datetime | None:
        """The signal was taken: wait until the server runs again, or does not."""
        seen = await self._look(request, server)
        if not isinstance(seen, ServerDescription):
            return seen
        now, limit = self._clock.now(), START_LIMIT
        assert request.sending_at is not None
        if seen.state is ServerState.RUNNING and (request.signal == PowerSignal.START or self._new_process(request, seen)):
            await self._end(request, server, RequestState.DONE, "", took=_seconds(now - request.sending_at))
            return None
        if now >= request.sending_at + limit:
            why = f"{server.name} is still {seen.state.value} {int(limit.total_seconds()) // 60} min after the signal"
            await self._end(request, server, RequestState.FAILED, why)
            return None
        if seen.state is not ServerState.OFFLINE:
            if request.looked_at is not None or request.stuck_since is not None:
                await self._move(request, looked_at=None, **_UNSTUCK)
            return now + SOON
        if request.looked_at is None:
            await self._move(request, looked_at=now, **_UNSTUCK)
            return now + SECOND_LOOK
        if now < request.looked_at + SECOND_LOOK:
            return request.looked_at + SECOND_LOOK
        reason = seen.aerie.reason.strip().rstrip(".") if seen.aerie is not None else ""
        await self._end(
            request, server, RequestState.FAILED, f"{server.name} went offline and stayed so" + (f": {reason}" if reason else "")
        )
        return None

    async def _look(self, request: Request, server: Server) -> ServerDescription | datetime | None:
        """How the server is by its node's word. Else when to ask again, or None when that ended the request."""
        signal = PowerSignal(request.signal) if request.signal else PowerSignal.RESTART
        if request.sending_at is None and (why := obstacle(server, signal)) is not None:
            await self._end(request, server, RequestState.FAILED, str(why))
            return None
        try:
            return await self._nodes.client(server.node).server(server.uuid)
        except (NodeUnreachable, NodeError) as error:
            return await self._stuck(request, server, error.message, RETRY)
        except NotFound as error:
            await self._end(request, server, RequestState.FAILED, error.message)
        return None

    async def _stuck(self, request: Request, server: Server, why: str, again: timedelta) -> datetime | None:
        """Something must pass first: say so once, wait, and give up after the rules' patience."""
        now, since = self._clock.now(), request.stuck_since
        if since is None:
            await self._move(request, stuck_since=now, stuck_why=why, looked_at=None)
        elif now >= since + timedelta(seconds=request.patience):
            sent = " after the signal was sent, so nobody knows what came of it" if request.sending_at is not None else ""
            await self._end(request, server, RequestState.FAILED, f"{why.rstrip('.')}, for {request.patience // 60} min{sent}")
            return None
        return now + again

    async def _end(self, request: Request, server: Server | None, state: RequestState, why: str, took: int | None = None) -> None:
        call_off = state is RequestState.FAILED and request.warned is not None and request.sending_at is None
        if not await self._move(request, **ended(state, self._clock.now(), why, took), call_off=call_off):
            return
        outcome = Outcome.OK if state is RequestState.DONE else Outcome.FAILED
        details = {"request": request.id, **({"seconds": took} if took is not None else {})}
        await self._activity.write(actor_of(request), f"server:request.{state.value}", server, outcome, details, reason=why)

    async def _call_off(self, request: Request, server: Server | None) -> None:
        """Tell a game that was warned that nothing happens. At most once: a claim first, then the line."""
        if request.call_off and await self._move(request, call_off=False) and server is not None:
            await self._type(request, server, 0, "server:request.call-off", f"No restart: it was called off{_by(request)}.")

    async def _type(self, request: Request, server: Server, seconds: int, event: str, message: str) -> None:
        """A line at the game's console. A game that cannot be told is written down; the restart does not wait for it."""
        if not request.command:
            return
        line = filled(request.command, message, seconds)
        row = await self._activity.write(actor_of(request), event, server, metadata={"request": request.id, "command": line})
        try:
            await self._nodes.client(server.node).commands(server.uuid, [line])
        except AerieError as error:
            log.info("request %d: the players of %s could not be told: %s", request.id, server.short, error)
            await self._activity.amend(row, Outcome.FAILED, str(error))

    async def _move(self, request: Request, *conditions: ColumnElement[bool], **values: object) -> bool:
        return await move(self._database, request, *conditions, **values)


_UNSTUCK: dict[str, object] = {"stuck_since": None, "stuck_why": ""}


def _by(request: Request) -> str:
    return " by a moderator" if request.state == RequestState.VETOED else ""


def _seconds(duration: timedelta) -> int:
    """Whole seconds, the nearest."""
    return (duration + timedelta(milliseconds=500)) // timedelta(seconds=1)


def _planned(request: Request) -> datetime:
    assert request.restart_at is not None
    return request.restart_at
