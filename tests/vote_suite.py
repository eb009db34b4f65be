"""Tests of restart requests that every database must pass. Modules that run them import everything and give a fixture `database_url`.

Time is the fake clock's alone, moved in whole seconds; the scripted node measures uptime by the same clock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from core.actor import Actor
from core.clock import ManualClock
from core.errors import Conflict, Forbidden, Invalid, LimitReached, MissingPermission, NotFound, ServerOffline, ServerSuspended
from core.events import ServerStateChanged
from core.models.activity import Activity
from core.models.server import Server
from core.models.vote import Request
from core.protocol.socket import StateChange
from core.seal import new_key
from core.services.build import Services, opened
from core.services.request_rules import RulesChange, filled
from core.vocabulary import Outcome, RequestState, ServerState, ServerStatus
from tests.control_plane import Stage, member, owner, staged
from tests.fakes.node import FakeServer

VIEWERS = 701
"""A role that may see the servers and no more."""
RULES = RulesChange(quorum=3, duration=600, cooldown=1800, countdown=[60, 30, 10], command="say {message}", patience=300)


@dataclass
class Polls:
    """A stage with one running server, three or more people, and the hands of the clock."""

    stage: Stage
    clock: ManualClock
    key: str
    server: Server
    game: FakeServer
    doors: AsyncExitStack
    others: list[Services] = field(default_factory=list)

    @property
    def services(self) -> Services:
        return self.stage.services

    async def another(self) -> Services:
        """Another process on the same database."""
        url = self.services.database.url
        made = await self.doors.enter_async_context(opened(url, key=self.key, origin="http://127.0.0.1:8401", clock=self.clock))
        self.others.append(made)
        return made

    async def pass_time(self, seconds: int) -> None:
        await self.clock.advance(seconds)

    async def until(self, moment: datetime) -> None:
        """Whole seconds on, to a moment or just past it."""
        short = moment - self.clock.now()
        if short > timedelta(0):
            await self.pass_time(-(-short // timedelta(seconds=1)))

    async def carry(self, request_id: int, *, most: int = 200, within: int = 4000) -> Request:
        """Let every process do what is due, moment after moment, until nothing is."""
        end = self.clock.now() + timedelta(seconds=within)
        for _ in range(most):
            answers = await asyncio.gather(*(one.restarts.step(request_id) for one in (self.services, *self.others)))
            if self.game.script is not None:
                await asyncio.wait({self.game.script})
            later = [moment for moment in answers if moment is not None]
            if not later or self.clock.now() > end:
                return await self.services.votes.get(request_id)
            await self.until(min(later))
        raise AssertionError(f"still {(await self.services.votes.get(request_id)).state} after {most} steps")

    async def step(self, request_id: int) -> Request:
        await self.services.restarts.step(request_id)
        return await self.services.votes.get(request_id)

    async def passed(self) -> Request:
        """A request that a moderator approved."""
        asked = await self.services.votes.ask(person(1), self.server.name)
        return await self.services.votes.approve(owner(), asked.id)

    async def events(self) -> list[Activity]:
        async with self.services.database.session() as session:
            wanted = select(Activity).where(Activity.server_uuid == self.server.uuid).order_by(Activity.id)
            return [row for row in await session.scalars(wanted) if row.event.startswith(("server:request.", "server:power."))]


def person(number: int) -> Actor:
    return member(VIEWERS, discord_id=9000 + number)


@pytest.fixture
async def polls(database_url: str) -> AsyncIterator[Polls]:
    clock, key = ManualClock(), new_key()
    async with staged(database_url, clock=clock, key=key) as stage, AsyncExitStack() as doors:
        stage.fake.now = clock.now
        server = await stage.a_server()
        game = stage.fake.servers[server.uuid]
        game.state, game.step = "running", 0.0
        await stage.services.guilds.grant(owner(), preset="viewer", role_id=VIEWERS)
        await stage.services.request_rules.change(owner(), RULES)
        yield Polls(stage, clock, key, server, game, doors)


def names(request: Request) -> list[int]:
    return [ballot.user_id - 9000 for ballot in request.ballots]


async def test_a_request_opens_with_its_askers_vote_and_passes_at_the_quorum(polls: Polls) -> None:
    votes = polls.services.votes
    asked = await votes.ask(person(1), "luanti", reason=" lag\n since  noon ", channel_id=77)
    assert (asked.state, names(asked), asked.reason, asked.channel_id) == ("open", [1], "lag since noon", 77)
    assert asked.ends_at == polls.clock.now() + timedelta(seconds=600)
    assert (await votes.vote(person(2), asked.id)).state == RequestState.OPEN
    assert (await votes.vote(person(3), asked.id)).state == RequestState.PASSED
    with pytest.raises(Conflict, match="passed already"):
        await votes.vote(person(4), asked.id)
    kinds = [(row.event, row.actor_kind, row.outcome) for row in await polls.events()]
    assert kinds == [
        ("server:request.ask", "discord", "ok"),
        ("server:request.vote", "discord", "ok"),
        ("server:request.vote", "discord", "ok"),
        ("server:request.pass", "vote", "ok"),
        ("server:request.vote", "discord", "refused"),
    ]


async def test_a_quorum_of_one_passes_as_it_is_asked(polls: Polls) -> None:
    await polls.services.request_rules.change(owner(), RulesChange(quorum=1), "Luanti")
    assert (await polls.services.votes.ask(person(1), "Luanti")).state == RequestState.PASSED
    assert (await polls.events())[-1].event == "server:request.pass"


async def test_a_vote_counts_once_and_can_be_taken_back(polls: Polls) -> None:
    votes = polls.services.votes
    asked = await votes.ask(person(1), "Luanti")
    await votes.vote(person(2), asked.id)
    for again in (1, 2):
        with pytest.raises(Conflict, match="voted for this already"):
            await votes.vote(person(again), asked.id)
    assert names(await votes.withdraw(person(2), asked.id)) == [1]
    with pytest.raises(Conflict, match="have not voted"):
        await votes.withdraw(person(2), asked.id)
    with pytest.raises(Conflict, match="your vote stays"):
        await votes.withdraw(person(1), asked.id)
    assert names(await votes.vote(person(2), asked.id)) == [1, 2]


async def test_who_cannot_see_the_server_neither_asks_nor_votes(polls: Polls) -> None:
    votes = polls.services.votes
    stranger = member(discord_id=5)
    with pytest.raises(MissingPermission, match=r"websocket\.connect"):
        await votes.ask(stranger, "Luanti")
    asked = await votes.ask(person(1), "Luanti")
    with pytest.raises(MissingPermission):
        await votes.vote(stranger, asked.id)
    with pytest.raises(NotFound):
        await votes.vote(owner(2002), asked.id)


async def test_only_who_may_restart_approves_and_vetoes(polls: Polls) -> None:
    votes = polls.services.votes
    asked = await votes.ask(person(1), "Luanti")
    for step in (votes.approve, votes.veto):
        with pytest.raises(MissingPermission, match=r"control\.restart"):
            await step(person(2), asked.id)
    approved = await votes.approve(owner(), asked.id)
    assert (approved.state, approved.decided_by, approved.decided_name) == ("passed", 11, "Ada")
    vetoed = await votes.veto(owner(), asked.id)
    assert (vetoed.state, vetoed.call_off, vetoed.open_for) == ("vetoed", False, None)
    with pytest.raises(Conflict, match="ended already"):
        await votes.approve(owner(), asked.id)


async def test_one_request_is_open_per_server_and_the_next_waits_for_the_cooldown(polls: Polls) -> None:
    votes = polls.services.votes
    asked = await votes.ask(person(1), "Luanti")
    with pytest.raises(Conflict, match="already asked for"):
        await votes.ask(person(2), "Luanti")
    assert await votes.expire(asked.id) is False
    await polls.pass_time(600)
    with pytest.raises(Conflict, match="time is over"):
        await votes.vote(person(2), asked.id)
    assert await votes.expire(asked.id) is True
    assert await votes.expire(asked.id) is False
    with pytest.raises(LimitReached, match=r"<t:\d+:R>"):
        await votes.ask(person(2), "Luanti")
    await polls.pass_time(1799)
    with pytest.raises(LimitReached):
        await votes.ask(person(2), "Luanti")
    await polls.pass_time(1)
    assert (await votes.ask(person(2), "Luanti")).state == RequestState.OPEN
    assert [row.state for row in await votes.recent(person(3))] == ["open", "expired"]


async def test_a_cancelled_request_leaves_no_cooldown(polls: Polls) -> None:
    votes = polls.services.votes
    asked = await votes.ask(person(1), "Luanti")
    with pytest.raises(Forbidden, match="Only Mia"):
        await votes.cancel(person(2), asked.id)
    assert (await votes.cancel(person(1), asked.id)).state == RequestState.CANCELLED
    assert (await votes.ask(person(2), "Luanti")).state == RequestState.OPEN


async def test_what_cannot_be_restarted_cannot_be_asked_for(polls: Polls) -> None:
    votes, rules = polls.services.votes, polls.services.request_rules
    await rules.change(owner(), RulesChange(when_offline="end"))
    change = StateChange(state=ServerState.OFFLINE, previous=ServerState.RUNNING, at=polls.clock.now())
    polls.services.live.apply(ServerStateChanged(server_uuid=polls.server.uuid, change=change))
    with pytest.raises(ServerOffline):
        await votes.ask(person(1), "Luanti")
    await rules.change(owner(), RulesChange(enabled=False))
    with pytest.raises(Forbidden, match="Nobody may ask"):
        await votes.ask(person(1), "Luanti")
    await rules.change(owner(), RulesChange(enabled=True, when_offline="start"))
    with pytest.raises(Invalid):
        await votes.ask(person(1), "Luanti", reason="x" * 201)
    await _suspend(polls)
    with pytest.raises(ServerSuspended):
        await votes.ask(person(1), "Luanti")


async def _suspend(polls: Polls) -> None:
    async with polls.services.database.begin() as session:
        await session.execute(update(Server).where(Server.id == polls.server.id).values(status=ServerStatus.SUSPENDED.value))


async def test_the_last_vote_cast_in_two_processes_at_once_passes_once(polls: Polls) -> None:
    other = await polls.another()
    asked = await polls.services.votes.ask(person(1), "Luanti")
    both = [polls.services, other]
    cast = [both[number % 2].votes.vote(person(number), asked.id) for number in range(2, 10)]
    results = await asyncio.gather(*cast, return_exceptions=True)
    assert [kind for kind in map(type, results) if kind not in (Request, Conflict)] == []
    assert sum(isinstance(result, Request) for result in results) == 2
    after = await polls.services.votes.get(asked.id)
    assert (after.state, len(after.ballots)) == ("passed", 3)
    assert sum(row.event == "server:request.pass" for row in await polls.events()) == 1


async def test_one_persons_two_presses_in_two_processes_count_once(polls: Polls) -> None:
    other = await polls.another()
    asked = await polls.services.votes.ask(person(1), "Luanti")
    results = await asyncio.gather(
        *(one.votes.vote(person(2), asked.id) for one in (polls.services, other) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(result, Request) for result in results) == 1
    assert all(isinstance(result, Request | Conflict) for result in results)
    assert names(await other.votes.get(asked.id)) == [1, 2]


async def test_of_many_who_ask_at_once_one_asks(polls: Polls) -> None:
    other = await polls.another()
    asking = [one.votes.ask(person(number), "Luanti") for number, one in enumerate((polls.services, other) * 3)]
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(result, Request) for result in results) == 1
    assert all(isinstance(result, Request | Conflict) for result in results)


async def test_an_approval_and_a_veto_at_once_leave_one_end(polls: Polls) -> None:
    other = await polls.another()
    asked = await polls.services.votes.ask(person(1), "Luanti")
    await asyncio.gather(polls.services.votes.approve(owner(), asked.id), other.votes.veto(owner(), asked.id), return_exceptions=True)
    assert (await polls.carry(asked.id)).state == RequestState.VETOED
    assert polls.game.signals == []


async def test_players_are_warned_then_the_server_restarts_once(polls: Polls) -> None:
    request = await polls.passed()
    done = await polls.carry(request.id)
    assert (done.state, done.outcome, done.open_for) == ("done", "", None)
    assert done.took is not None
    assert 0 <= done.took <= 2
    assert polls.game.typed == [f"say This server restarts in {n} s, as its players asked." for n in (60, 30, 10)]
    assert polls.game.signals == ["restart"]
    assert done.sending_at is not None
    assert done.sending_at - request.created_at == timedelta(seconds=60)
    told = [(row.event, row.actor_kind, row.outcome) for row in await polls.events()][2:]
    assert told == [
        *[("server:request.warn", "vote", "ok")] * 3,
        ("server:power.restart", "vote", "ok"),
        ("server:request.done", "vote", "ok"),
    ]


async def test_two_processes_carrying_out_one_request_do_everything_once(polls: Polls) -> None:
    await polls.another()
    await polls.another()
    request = await polls.passed()
    assert (await polls.carry(request.id)).state == RequestState.DONE
    assert len(polls.game.typed) == 3
    assert polls.game.signals == ["restart"]
    assert sum(row.event == "server:request.done" for row in await polls.events()) == 1


async def test_without_a_command_nobody_is_warned_and_a_veto_has_its_time(polls: Polls) -> None:
    await polls.services.request_rules.change(owner(), RulesChange(command=""))
    request = await polls.passed()
    counting = await polls.step(request.id)
    assert counting.restart_at == polls.clock.now() + timedelta(seconds=60)
    assert (await polls.carry(request.id)).state == RequestState.DONE
    assert polls.game.typed == []


async def test_an_answer_that_was_lost_is_judged_by_what_the_server_did(polls: Polls) -> None:
    request = await polls.passed()
    polls.game.loses = "answer"
    assert (await polls.carry(request.id)).state == RequestState.DONE
    assert polls.game.signals == ["restart"]


async def test_a_signal_that_was_lost_is_sent_again_after_two_looks(polls: Polls) -> None:
    request = await polls.passed()
    polls.game.loses = "signal"
    done = await polls.carry(request.id)
    assert (done.state, done.attempts) == ("done", 2)
    assert polls.game.signals == ["restart"]
    assert [row.outcome for row in await polls.events() if row.event == "server:power.restart"] == ["failed", "ok"]


async def test_a_signal_in_doubt_is_not_sent_again_before_its_time(polls: Polls) -> None:
    request = await polls.passed()
    await polls.pass_time(0)
    for _ in range(2):
        await polls.step(request.id)
    await polls.pass_time(60)
    polls.game.loses = "signal"
    doubt = await polls.step(request.id)
    assert (doubt.state, doubt.attempts) == ("sending", 1)
    for seconds, looked in ((14, False), (1, True), (4, True)):
        await polls.pass_time(seconds)
        doubt = await polls.step(request.id)
        assert (doubt.state, doubt.looked_at is not None) == ("sending", looked)
    polls.game.signals.append("by hand")
    polls.game.up_since = polls.clock.now()
    await polls.pass_time(1)
    assert (await polls.step(request.id)).state == RequestState.RESTARTING
    assert (await polls.carry(request.id)).state == RequestState.DONE
    assert polls.game.signals == ["by hand"]


async def test_a_node_that_loses_every_signal_ends_it(polls: Polls) -> None:
    request = await polls.passed()
    for _ in range(2):
        polls.game.loses = "signal"
        while (await polls.services.votes.get(request.id)).state != RequestState.SENDING:
            moment = await polls.services.restarts.step(request.id)
            assert moment is not None
            await polls.until(moment)
        while (await polls.services.votes.get(request.id)).state == RequestState.SENDING:
            moment = await polls.services.restarts.step(request.id)
            if moment is None:
                break
            await polls.until(moment)
    failed = await polls.services.votes.get(request.id)
    assert failed.state == RequestState.FAILED
    assert "did nothing" in failed.outcome
    assert polls.game.signals == []


async def test_a_server_offline_by_then_is_started_or_the_request_ends(polls: Polls) -> None:
    polls.game.state = "offline"
    request = await polls.passed()
    started = await polls.carry(request.id)
    assert (started.state, started.signal, polls.game.signals, polls.game.typed) == ("done", "start", ["start"], [])
    await polls.pass_time(1800)
    await polls.services.request_rules.change(owner(), RulesChange(when_offline="end"))
    request = await polls.passed()
    await polls.step(request.id)
    polls.game.state = "offline"
    over = await polls.carry(request.id)
    assert over.state == RequestState.FAILED
    assert "was offline by then" in over.outcome
    assert polls.game.signals == ["start"]


async def test_a_node_that_is_away_is_waited_for_and_said(polls: Polls) -> None:
    request = await polls.passed()
    await polls.stage.fake.down()
    stuck = await polls.step(request.id)
    assert (stuck.state, stuck.stuck_since) == ("passed", polls.clock.now())
    assert "local" in stuck.stuck_why
    await polls.pass_time(120)
    assert (await polls.step(request.id)).state == RequestState.PASSED
    await polls.stage.fake.up()
    await polls.pass_time(60)
    counting = await polls.step(request.id)
    assert (counting.state, counting.stuck_since, counting.stuck_why) == ("warning", None, "")
    assert (await polls.carry(request.id)).state == RequestState.DONE
    assert polls.game.signals == ["restart"]


async def test_a_node_away_for_too_long_ends_it(polls: Polls) -> None:
    request = await polls.passed()
    await polls.stage.fake.down()
    failed = await polls.carry(request.id)
    assert failed.state == RequestState.FAILED
    assert "for 5 min" in failed.outcome
    assert failed.finished_at is not None
    assert failed.finished_at >= request.created_at + timedelta(seconds=300)
    assert polls.game.signals == []


async def test_a_node_lost_at_the_last_moment_means_a_new_countdown(polls: Polls) -> None:
    request = await polls.passed()
    for _ in range(2):
        await polls.step(request.id)
    await polls.stage.fake.down()
    await polls.pass_time(60)
    assert (await polls.step(request.id)).stuck_since is not None
    await polls.pass_time(200)
    await polls.stage.fake.up()
    again = await polls.step(request.id)
    assert (again.state, again.restart_at) == ("warning", polls.clock.now() + timedelta(seconds=60))
    assert (await polls.carry(request.id)).state == RequestState.DONE
    assert [line.split(" in ")[1].split(",")[0] for line in polls.game.typed] == ["60 s", "60 s", "30 s", "10 s"]
    assert polls.game.signals == ["restart"]


async def test_a_countdown_that_was_slept_through_begins_anew(polls: Polls) -> None:
    request = await polls.passed()
    for _ in range(2):
        await polls.step(request.id)
    await polls.pass_time(3600)
    assert (await polls.step(request.id)).restart_at == polls.clock.now() + timedelta(seconds=60)
    assert polls.game.signals == []
    assert (await polls.carry(request.id)).state == RequestState.DONE


async def test_a_veto_in_the_countdown_stops_it_and_tells_the_game_once(polls: Polls) -> None:
    other = await polls.another()
    request = await polls.passed()
    for _ in range(2):
        await polls.step(request.id)
    vetoed = await other.votes.veto(owner(), request.id)
    assert (vetoed.state, vetoed.call_off) == ("vetoed", True)
    assert [row.id for row in await other.request_desk.due()] == [request.id]
    await polls.carry(request.id)
    await polls.pass_time(120)
    await polls.carry(request.id)
    assert polls.game.signals == []
    assert polls.game.typed[1:] == ["say No restart: it was called off by a moderator."]


async def test_a_veto_after_the_signal_comes_too_late(polls: Polls) -> None:
    request = await polls.passed()
    for _ in range(2):
        await polls.step(request.id)
    await polls.pass_time(60)
    assert (await polls.step(request.id)).state == RequestState.RESTARTING
    with pytest.raises(Conflict, match="restarting already"):
        await polls.services.votes.veto(owner(), request.id)


async def test_a_server_that_does_not_come_back_is_told(polls: Polls) -> None:
    request = await polls.passed()
    polls.game.fails = "The port 30000 is already taken."
    failed = await polls.carry(request.id)
    assert failed.state == RequestState.FAILED
    assert "went offline and stayed so" in failed.outcome
    last = (await polls.events())[-1]
    assert (last.event, last.outcome) == ("server:request.failed", Outcome.FAILED)


async def test_a_deleted_server_ends_its_request(polls: Polls) -> None:
    asked = await polls.services.votes.ask(person(1), "Luanti")
    await polls.services.servers.delete(Actor.system("tests"), polls.server.uuid)
    with pytest.raises(Conflict, match="was deleted"):
        await polls.services.votes.vote(person(2), asked.id)
    gone = await polls.step(asked.id)
    assert (gone.state, gone.outcome, gone.server_name) == ("failed", "the server was deleted", "Luanti")


async def test_a_server_suspended_meanwhile_is_not_restarted(polls: Polls) -> None:
    request = await polls.passed()
    await _suspend(polls)
    failed = await polls.carry(request.id)
    assert failed.state == RequestState.FAILED
    assert "suspended" in failed.outcome
    assert polls.game.signals == []


async def test_rules_of_a_server_go_before_its_games_and_the_guilds(polls: Polls) -> None:
    rules = polls.services.request_rules
    await rules.change(owner(), RulesChange(command="/broadcast {message}", quorum=5), "Luanti", same_game=True)
    _, mine = await rules.change(owner(), RulesChange(quorum=2, countdown=[10, 300, 10]), "Luanti")
    assert (mine.quorum, mine.command, mine.countdown, mine.cooldown) == (2, "/broadcast {message}", (300, 10), 1800)
    assert (await rules.show(owner()))[1].quorum == 3
    assert (await rules.show(owner(), "Luanti", same_game=True))[1].quorum == 5
    _, reset = await rules.change(owner(), RulesChange(), "Luanti", reset=True)
    assert (reset.quorum, reset.countdown) == (5, (60, 30, 10))
    with pytest.raises(MissingPermission):
        await rules.change(person(1), RulesChange(quorum=1), "Luanti")


@pytest.mark.parametrize(
    "change",
    [
        RulesChange(quorum=0),
        RulesChange(quorum=101),
        RulesChange(duration=59),
        RulesChange(cooldown=-1),
        RulesChange(countdown=[0]),
        RulesChange(countdown=list(range(1, 12))),
        RulesChange(command="say hello"),
        RulesChange(command="say {message}\nstop"),
        RulesChange(command="say {message} {player}"),
        RulesChange(command="say {message}" + "x" * 200),
        RulesChange(when_offline="maybe"),
        RulesChange(patience=3601),
    ],
)
async def test_rules_that_make_no_sense_are_refused(polls: Polls, change: RulesChange) -> None:
    with pytest.raises(Invalid):
        await polls.services.request_rules.change(owner(), change)


def test_a_template_is_filled_in_one_pass_on_one_line() -> None:
    assert filled('tellraw @a {"text":"{message}"}', "a {seconds}\nstop", 30) == 'tellraw @a {"text":"a {seconds} stop"}'
    assert filled("say {seconds}: {message}", "bye", 10) == "say 10: bye"


async def test_one_process_holds_a_request_until_it_lets_go_or_dies(polls: Polls) -> None:
    desk, other = polls.services.request_desk, (await polls.another()).request_desk
    request = await polls.services.votes.ask(person(1), "Luanti")
    assert await desk.hold(request, "a", 30)
    assert not await other.hold(request, "b", 30)
    await polls.pass_time(20)
    assert await desk.hold(request, "a", 30)
    await polls.pass_time(29)
    assert not await other.hold(request, "b", 30)
    await polls.pass_time(1)
    assert await other.hold(request, "b", 30)
    await other.release("b")
    assert await desk.hold(request, "a", 30)


async def test_a_message_that_is_gone_moves_and_is_given_up_in_the_end(polls: Polls) -> None:
    desk, votes = polls.services.request_desk, polls.services.votes
    await polls.services.request_rules.change(owner(), RulesChange(channel_id=2**62))
    request = await votes.ask(person(1), "Luanti", channel_id=5)
    assert request.channel_id == 2**62
    await desk.posted(request.id, 8, request.version)
    assert (await votes.get(request.id)).shown == request.version
    await desk.displaced(await votes.get(request.id), channel_gone=True)
    moved = await votes.get(request.id)
    assert (moved.channel_id, moved.message_id) == (5, None)
    for message in (9, 10):
        await desk.posted(request.id, message, request.version)
        await desk.displaced(await votes.get(request.id), channel_gone=False)
    given_up = await votes.get(request.id)
    assert (given_up.channel_id, given_up.message_id) == (None, None)


async def test_old_requests_are_forgotten_with_their_votes(polls: Polls) -> None:
    votes = polls.services.votes
    asked = await votes.ask(person(1), "Luanti")
    await votes.cancel(person(1), asked.id)
    kept = await votes.ask(person(1), "Luanti")
    await polls.pass_time(30 * 86400)
    assert await votes.prune() == 0
    await polls.pass_time(1)
    assert await votes.prune() == 1
    with pytest.raises(NotFound):
        await votes.get(asked.id)
    assert (await votes.get(kept.id)).state == RequestState.OPEN
