"""Restart requests: ask, vote, withdraw, approve, veto, cancel, expire. What a passed request then does is in services/restarts.py.

Every step is one transaction that begins with an UPDATE under the condition it needs, so that of two presses in two processes exactly one
passes a request. Must never decide by a row it read before that UPDATE.
"""

import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from core.actor import Actor
from core.clock import Clock, unix
from core.db.engine import Database
from core.errors import AerieError, Conflict, Forbidden, Invalid, LimitReached, NotFound, ServerOffline
from core.models.server import Server
from core.models.vote import Ballot, Request
from core.permissions import CONNECT, CONTROL_RESTART
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.live import LiveBoard
from core.services.power import obstacle
from core.services.request_rules import END, RequestRules, Rules
from core.vocabulary import ActorKind, PowerSignal, RequestState, ServerState

LONGEST_REASON = 200
KEEP = timedelta(days=30)

_COOLING = (RequestState.DONE.value, RequestState.EXPIRED.value, RequestState.VETOED.value)
"""Ends after which a server rests from requests."""
_STOPPABLE = (RequestState.OPEN.value, RequestState.PASSED.value, RequestState.WARNING.value)


class Votes:
    def __init__(
        self, database: Database, access: Access, activity: ActivityLog, live: LiveBoard, rules: RequestRules, clock: Clock
    ) -> None:
        self._database = database
        self._access = access
        self._activity = activity
        self._live = live
        self._rules = rules
        self._clock = clock

    async def ask(self, actor: Actor, ref: str | int, *, reason: str = "", channel_id: int | None = None) -> Request:
        """Ask for a restart; the asker's is the first vote. `channel_id` is where it was asked, and is voted on unless the rules say where.

        Needs to see the server. Raises Invalid, NotFound, MissingPermission, Forbidden, Conflict (one is open), LimitReached (cooldown),
        ServerOffline, ServerSuspended, ServerBusy.
        """
        event = "server:request.ask"
        server = await self._access.server(actor, ref, CONNECT, event=event)
        rules = await self._rules.of(server)
        user = _person(actor)
        try:
            if not rules.enabled:
                raise Forbidden(f"Nobody may ask for a restart of {server.name}.", hint="Ask somebody who may restart it.")
            if (why := obstacle(server, PowerSignal.RESTART)) is not None:
                raise why
            live = self._live.of(server.uuid)
            if rules.when_offline == END and live.node_up and live.state is ServerState.OFFLINE:
                raise ServerOffline(f"{server.name} is offline, so there is nothing to restart.", hint="Ask somebody who may start it.")
            row = await self._open(actor, server, user, _one_line(reason), channel_id, rules)
        except AerieError as error:
            await self._activity.refused(actor, event, server, error)
            raise
        await self._activity.write(actor, event, server, metadata={"request": row.id, "reason": row.reason, "quorum": row.quorum})
        if row.state == RequestState.PASSED:
            await self._note_passed(row, server)
        return await self.get(row.id)

    async def _open(self, actor: Actor, server: Server, user: int, reason: str, asked_in: int | None, rules: Rules) -> Request:
        now = self._clock.now()
        assert server.guild_id is not None
        row = Request(
            guild_id=server.guild_id,
            server_id=server.id,
            server_uuid=server.uuid,
            server_name=server.name,
            open_for=server.id,
            asker_id=user,
            asker_name=actor.name[:191],
            reason=reason,
            state=(RequestState.PASSED if rules.quorum <= 1 else RequestState.OPEN).value,
            quorum=rules.quorum,
            ends_at=now + timedelta(seconds=rules.duration),
            countdown=list(rules.countdown),
            command=rules.command,
            when_offline=rules.when_offline,
            patience=rules.patience,
            channel_id=rules.channel_id or asked_in,
            asked_in=asked_in,
            created_at=now,
            ballots=[Ballot(user_id=user, user_name=actor.name[:191], at=now)],
        )
        try:
            async with self._database.begin() as session:
                session.add(row)
                await session.flush()  # from here on nobody else can open or end one for this server
                if (until := await self._cooling(session, server.id, rules.cooldown)) is not None and until > now:
                    raise LimitReached(
                        f"{server.name} was the matter of a request a short while ago.",
                        hint=f"The next can be made <t:{unix(until) + 1}:R>.",
                    )
        except IntegrityError as error:
            raise await self._already(server) from error
        return row

    async def _cooling(self, session: AsyncSession, server_id: int, cooldown: int) -> datetime | None:
        ended = select(func.max(Request.finished_at)).where(Request.server_id == server_id, Request.state.in_(_COOLING))
        last: datetime | None = await session.scalar(ended)
        return None if last is None else last + timedelta(seconds=cooldown)

    async def _already(self, server: Server) -> AerieError:
        async with self._database.session() as session:
            row = await session.scalar(select(Request).where(Request.open_for == server.id))
        where = f"Vote there: {link(row)}" if row is not None and row.message_id is not None else "`/request list` shows it."
        return Conflict(f"A restart of {server.name} is already asked for.", hint=where)

    async def vote(self, actor: Actor, request_id: int) -> Request:
        """Vote for it, once; the vote that makes the quorum passes it. Raises NotFound, MissingPermission, Conflict."""
        request, server, user = await self._of(actor, request_id, CONNECT, "server:request.vote")
        now, passed = self._clock.now(), False
        async with self._step(actor, "server:request.vote", server, request_id) as session:
            await _must(session, request_id, self._open_now(now))
            mine = await session.scalar(select(Ballot.id).where(Ballot.request_id == request_id, Ballot.user_id == user))
            if mine is not None:
                raise Conflict("You have voted for this already.", hint="“Withdraw my vote” takes it back.")
            session.add(Ballot(request_id=request_id, user_id=user, user_name=actor.name[:191], at=now))
            await session.flush()
            count = await session.scalar(select(func.count()).select_from(Ballot).where(Ballot.request_id == request_id)) or 0
            if count >= request.quorum:
                passed = await _changed(session, request_id, self._open_now(now), state=RequestState.PASSED.value)
        await self._activity.write(actor, "server:request.vote", server, metadata={"request": request_id, "votes": count})
        if passed:
            await self._note_passed(request, server)
        return await self.get(request_id)

    async def withdraw(self, actor: Actor, request_id: int) -> Request:
        """Take the own vote back while voting is open. Raises Conflict when there is none, or it is the asker's."""
        event = "server:request.withdraw"
        request, server, user = await self._of(actor, request_id, CONNECT, event)
        if user == request.asker_id:
            raise Conflict("You asked for this restart, so your vote stays.", hint="“Cancel request” ends it.")
        async with self._step(actor, event, server, request_id) as session:
            await _must(session, request_id, self._open_now(self._clock.now()))
            gone = delete(Ballot).where(Ballot.request_id == request_id, Ballot.user_id == user)
            if not changed_rows(await session.execute(gone)):
                raise Conflict("You have not voted for this.", hint="“Vote for a restart” does it.")
        await self._activity.write(actor, event, server, metadata={"request": request_id})
        return await self.get(request_id)

    async def approve(self, actor: Actor, request_id: int) -> Request:
        """Pass it at once, whatever the votes. Needs `control.restart`."""
        event = "server:request.approve"
        _, server, user = await self._of(actor, request_id, CONTROL_RESTART, event)
        now = self._clock.now()
        values = {"state": RequestState.PASSED.value, "decided_by": user, "decided_name": actor.name[:191]}
        async with self._step(actor, event, server, request_id) as session:
            await _must(session, request_id, self._open_now(now), **values)
        await self._activity.write(actor, event, server, metadata={"request": request_id})
        return await self.get(request_id)

    async def veto(self, actor: Actor, request_id: int) -> Request:
        """End it, during the countdown too; a game that was warned is told by the worker. Needs `control.restart`."""
        event = "server:request.veto"
        _, server, user = await self._of(actor, request_id, CONTROL_RESTART, event)
        values = {
            **_ended(RequestState.VETOED, self._clock.now()),
            "decided_by": user,
            "decided_name": actor.name[:191],
            "call_off": Request.warned.is_not(None),
        }
        async with self._step(actor, event, server, request_id) as session:
            await _must(session, request_id, Request.state.in_(_STOPPABLE), **values)
        await self._activity.write(actor, event, server, metadata={"request": request_id})
        return await self.get(request_id)

    async def cancel(self, actor: Actor, request_id: int) -> Request:
        """The asker takes the request back while voting is open. Raises Forbidden for everybody else."""
        event = "server:request.cancel"
        request, server, user = await self._of(actor, request_id, CONNECT, event)
        if user != request.asker_id:
            error = Forbidden(f"Only {request.asker_name} can cancel this request.", hint="Who may restart the server can veto it.")
            await self._activity.refused(actor, event, server, error, {"request": request_id})
            raise error
        async with self._step(actor, event, server, request_id) as session:
            await _must(session, request_id, Request.state == RequestState.OPEN.value, **_ended(RequestState.CANCELLED, self._clock.now()))
        await self._activity.write(actor, event, server, metadata={"request": request_id})
        return await self.get(request_id)

    async def expire(self, request_id: int) -> bool:
        """End it when its time has passed without enough votes; answers whether that was now."""
        now = self._clock.now()
        due = (Request.state == RequestState.OPEN.value) & (Request.ends_at <= now)
        async with self._database.begin() as session:
            if not await _changed(session, request_id, due, **_ended(RequestState.EXPIRED, now)):
                return False
        row = await self.get(request_id)
        server = await self.server_of(row)
        await self._activity.write(
            actor_of(row), "server:request.expire", server, metadata={"request": request_id, "votes": len(row.ballots)}
        )
        return True

    async def open_for(self, actor: Actor, ref: str | int) -> Request:
        """The open request for a server. Raises NotFound."""
        server = await self._access.server(actor, ref, CONNECT, event="server:request.read")
        async with self._database.session() as session:
            row = await session.scalar(whole_requests().where(Request.open_for == server.id))
        if row is None:
            raise NotFound(f"Nobody asks for a restart of {server.name} now.", hint="`/request restart` does.")
        return row

    async def recent(self, actor: Actor, most: int = 15) -> list[Request]:
        """Requests for servers the actor sees: those under way, then the latest ended."""
        seen = [server.id for server in await self._access.visible(actor)]
        wanted = whole_requests().where(Request.server_id.in_(seen)).order_by(Request.open_for.is_(None), Request.id.desc()).limit(most)
        async with self._database.session() as session:
            return list(await session.scalars(wanted))

    async def get(self, request_id: int) -> Request:
        """One request with its votes, asking nobody. Raises NotFound."""
        async with self._database.session() as session:
            row = await session.scalar(whole_requests().where(Request.id == request_id))
        if row is None:
            raise NotFound("This request is not known any more.", hint="Requests are forgotten after 30 days.")
        return row

    async def server_of(self, request: Request) -> Server | None:
        """The request's server whole, asking nobody; None when it was deleted."""
        if request.server_id is None:
            return None
        try:
            return await self._access.server(Actor.system("restart request"), request.server_id, CONNECT)
        except NotFound:
            return None

    async def prune(self, keep: timedelta = KEEP) -> int:
        """Forget requests that ended longer ago; returns how many."""
        async with self._database.begin() as session:
            return changed_rows(await session.execute(delete(Request).where(Request.finished_at < self._clock.now() - keep)))

    async def _of(self, actor: Actor, request_id: int, permission: str, event: str) -> tuple[Request, Server, int]:
        request = await self.get(request_id)
        if actor.guild_id != request.guild_id:
            raise NotFound("There is no such request here.")
        if request.server_id is None:
            raise Conflict(f"{request.server_name} was deleted.", hint="`/server list` shows what there is.")
        server = await self._access.server(actor, request.server_id, permission, event=event)
        return request, server, _person(actor)

    @asynccontextmanager
    async def _step(self, actor: Actor, event: str, server: Server, request_id: int) -> AsyncIterator[AsyncSession]:
        """A transaction; when it came too late, says how the request stands now. The refusal is written after it has ended."""
        try:
            async with self._database.begin() as session:
                yield session
        except _Late:
            raise await self._closed(actor, event, server, request_id) from None

    async def _closed(self, actor: Actor, event: str, server: Server, request_id: int) -> AerieError:
        row = await self.get(request_id)
        state = RequestState(row.state)
        words = {
            RequestState.OPEN: "Its time is over",
            RequestState.PASSED: "It has passed already",
            RequestState.WARNING: "It has passed already, and players are being warned",
            RequestState.SENDING: f"{server.name} is restarting already",
            RequestState.RESTARTING: f"{server.name} is restarting already",
        }.get(state, "It has ended already")
        error = Conflict(f"{words}.", hint="Its message shows how it stands.")
        await self._activity.refused(actor, event, server, error, {"request": request_id})
        return error

    async def _note_passed(self, request: Request, server: Server) -> None:
        voters = (await self.get(request.id)).ballots
        details = {"request": request.id, "votes": len(voters), "by": [str(one.user_id) for one in voters]}
        await self._activity.write(actor_of(request), "server:request.pass", server, metadata=details)

    @staticmethod
    def _open_now(now: datetime) -> ColumnElement[bool]:
        return (Request.state == RequestState.OPEN.value) & (Request.ends_at > now)


def actor_of(request: Request) -> Actor:
    """The votes themselves, as the activity log names them."""
    return Actor(ActorKind.VOTE, f"request {request.id}", guild_id=request.guild_id, origin=f"request:{request.id}")


def link(request: Request) -> str:
    """Where its message is, for people."""
    return f"https://discord.com/channels/{request.guild_id}/{request.channel_id}/{request.message_id}"


async def move(database: Database, request: Request, *conditions: ColumnElement[bool], **values: Any) -> bool:
    """Change a request if it is still as it was read: same state, same version. Answers whether it was changed."""
    same = (Request.version == request.version) & (Request.state == request.state)
    async with database.begin() as session:
        return await _changed(session, request.id, same, *conditions, **values)


def ended(state: RequestState, now: datetime, outcome: str = "", took: int | None = None) -> dict[str, Any]:
    """The columns of a request that is over."""
    return {**_ended(state, now), "outcome": outcome, "took": took}


def _ended(state: RequestState, now: datetime) -> dict[str, Any]:
    return {"state": state.value, "finished_at": now, "open_for": None, "stuck_since": None, "stuck_why": ""}


class _Late(Exception):
    """The request is not any more as the step needs it."""


async def _must(session: AsyncSession, request_id: int, *conditions: ColumnElement[bool], **values: Any) -> None:
    if not await _changed(session, request_id, *conditions, **values):
        raise _Late


async def _changed(session: AsyncSession, request_id: int, *conditions: ColumnElement[bool], **values: Any) -> bool:
    """One conditional UPDATE, which holds the row until the transaction ends; answers whether its conditions held."""
    changing = update(Request).where(Request.id == request_id, *conditions).values(version=Request.version + 1, **values)
    return changed_rows(await session.execute(changing.execution_options(synchronize_session=False))) == 1


def changed_rows(result: Any) -> int:
    """How many rows an UPDATE or DELETE met."""
    assert isinstance(result, CursorResult)
    return result.rowcount


def whole_requests() -> Select[Request]:
    """Requests with their votes, as the services hand them out."""
    return select(Request).options(selectinload(Request.ballots))


def _person(actor: Actor) -> int:
    if actor.discord_id is None:
        raise Forbidden("Only members of the community vote.", hint="Use `/request restart` in Discord.")
    return actor.discord_id


def _one_line(reason: str) -> str:
    if len(reason) > LONGEST_REASON:
        raise Invalid(f"A reason may have {LONGEST_REASON} characters at most; this one has {len(reason)}.")
    return " ".join("".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in reason).split())
