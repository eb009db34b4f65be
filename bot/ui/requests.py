"""How a request for a restart looks: one message, edited in place, with buttons that outlive the bot.

What a button does and for which request stands in its custom_id; the presser's rights are checked at every press. Pure but for the presses,
which call one service each; the message itself is written by bot/workers/votes.py alone. At most 4000 characters, whatever the names are.
"""

import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Self

import discord

from bot.client import AerieClient
from bot.ui import errors
from bot.ui.asker import actor_of
from bot.ui.text import clip, duration, plain, sentence
from core.actor import Actor
from core.clock import unix
from core.models.vote import Request
from core.services.votes import Votes, link
from core.vocabulary import PowerSignal, RequestState

VERSION = 1
NAMES_SHOWN = 30
LIST_MOST = 15

Interaction = discord.Interaction[AerieClient]


class Ballot(StrEnum):
    """What a button does; part of custom_ids already posted, so never rename one."""

    VOTE = "vote"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    VETO = "veto"
    CANCEL = "cancel"


_LOOKS = {
    Ballot.VOTE: ("Vote for a restart", discord.ButtonStyle.success),
    Ballot.WITHDRAW: ("Withdraw my vote", discord.ButtonStyle.secondary),
    Ballot.APPROVE: ("Approve", discord.ButtonStyle.primary),
    Ballot.VETO: ("Veto", discord.ButtonStyle.danger),
    Ballot.CANCEL: ("Cancel request", discord.ButtonStyle.secondary),
}
_DOES: dict[Ballot, Callable[[Votes], Callable[[Actor, int], Awaitable[Request]]]] = {
    Ballot.VOTE: lambda votes: votes.vote,
    Ballot.WITHDRAW: lambda votes: votes.withdraw,
    Ballot.APPROVE: lambda votes: votes.approve,
    Ballot.VETO: lambda votes: votes.veto,
    Ballot.CANCEL: lambda votes: votes.cancel,
}
_HEADS = {
    RequestState.OPEN: ("🗳️", "Restart {0}?", 0x5865F2),
    RequestState.PASSED: ("✅", "Restart of {0} passed", 0xFAA61A),
    RequestState.WARNING: ("⏳", "{0} is about to restart", 0xFAA61A),
    RequestState.SENDING: ("🔄", "{0} is restarting", 0xE67E22),
    RequestState.RESTARTING: ("🔄", "{0} is restarting", 0xE67E22),
    RequestState.DONE: ("🟢", "{0} restarted", 0x3BA55C),
    RequestState.FAILED: ("❌", "{0} was not restarted", 0xED4245),
    RequestState.EXPIRED: ("⌛", "{0} was not restarted", 0x747F8D),
    RequestState.VETOED: ("🛑", "{0} was not restarted", 0xED4245),
    RequestState.CANCELLED: ("↩️", "{0} was not restarted", 0x747F8D),
}


class RequestButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"ar(?P<version>\d{1,4}):(?P<act>\w{1,20}):(?P<id>\d{1,9})"):
    """One act for one request."""

    def __init__(self, act: Ballot, request_id: int) -> None:
        label, style = _LOOKS[act]
        super().__init__(discord.ui.Button(label=label, style=style, custom_id=f"ar{VERSION}:{act.value}:{request_id}"))
        self.act = act
        self.request_id = request_id
        self.known = True

    @classmethod
    async def from_custom_id(cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /) -> Self:
        known = int(match["version"]) == VERSION and match["act"] in list(Ballot)
        made = cls(Ballot(match["act"]) if known else Ballot.VOTE, int(match["id"]))
        made.known = known
        return made

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        try:
            if not self.known:
                await errors.say(interaction, errors.OLD_PANEL)
                return
            await _press(interaction, self.act, self.request_id)
        except Exception as error:  # noqa: BLE001 — discord.py would swallow it and the person would see "interaction failed"
            await errors.tell(interaction, error)


async def _press(interaction: Interaction, act: Ballot, request_id: int) -> None:
    """Acknowledge silently, do it, and have the message written anew; a refusal is told to the presser alone."""
    await interaction.response.defer()
    client = interaction.client
    await _DOES[act](client.services.votes)(actor_of(interaction), request_id)
    if client.request_changed is not None:
        client.request_changed()


async def ask(interaction: Interaction, ref: str, reason: str = "") -> None:
    """Ask for a restart and tell the asker where it is voted on. Raises AerieError."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    client = interaction.client
    request = await client.services.votes.ask(actor_of(interaction), ref, reason=reason, channel_id=interaction.channel_id)
    if client.request_changed is not None:
        client.request_changed()
    where = f" in <#{request.channel_id}>" if request.channel_id is not None else ""
    votes = "It passed at once." if request.quorum <= 1 else f"Your vote is the first of {request.quorum}."
    await interaction.edit_original_response(content=f"Asked for a restart of **{plain(request.server_name, 80)}**{where}. {votes}")


def board(request: Request) -> discord.ui.LayoutView:
    """The message of one request."""
    state = RequestState(request.state)
    icon, head, colour = _HEADS[state]
    name = plain(request.server_name, 80)
    view = discord.ui.LayoutView(timeout=None)
    container: discord.ui.Container[discord.ui.LayoutView] = discord.ui.Container(accent_colour=discord.Colour(colour))
    container.add_item(discord.ui.TextDisplay(clip(f"### {icon} {head.format(name)}\n{_standing(request, state)}", 1500)))
    container.add_item(discord.ui.TextDisplay(clip("\n".join(_facts(request, state)), 2300)))
    for row in _rows(request, state):
        container.add_item(row)
    view.add_item(container)
    return view


def _standing(request: Request, state: RequestState) -> str:
    """One sentence: how it stands, and what happens when."""
    wait = f"\n🔌 {sentence(plain(request.stuck_why, 300))} Waiting until <t:{_patience(request)}:t>." if request.stuck_since else ""
    if state is RequestState.WARNING:
        what = "starts" if request.signal == PowerSignal.START else "restarts"
        offline = "It is offline, so it is started. " if request.signal == PowerSignal.START else ""
        return f"{offline}It {what} <t:{unix(request.restart_at)}:R>.{wait}" if request.restart_at else wait
    return _said(request, state) + wait


def _said(request: Request, state: RequestState) -> str:
    match state:
        case RequestState.OPEN:
            return f"**{len(request.ballots)} of {request.quorum}** votes; voting ends <t:{unix(request.ends_at)}:R>."
        case RequestState.PASSED:
            return "Players are warned in a moment, then it restarts."
        case RequestState.SENDING:
            return "The node is being told …"
        case RequestState.RESTARTING:
            return f"Since <t:{unix(request.sending_at)}:R> …" if request.sending_at else "…"
        case RequestState.DONE:
            verb = "Started" if request.signal == PowerSignal.START else "Restarted"
            return f"{verb}, {duration(request.took or 0)}."
        case RequestState.FAILED:
            return sentence(plain(request.outcome[:1].upper() + request.outcome[1:], 900)) or "It failed."
        case RequestState.EXPIRED:
            return f"Too few votes: {len(request.ballots)} of {request.quorum}."
        case RequestState.VETOED:
            return f"Vetoed by {plain(request.decided_name, 60)}."
        case _:
            return f"{plain(request.asker_name, 60)} took the request back."


def _patience(request: Request) -> int:
    assert request.stuck_since is not None
    return unix(request.stuck_since) + request.patience


def _facts(request: Request, state: RequestState) -> list[str]:
    facts = [f"**Asked by** {plain(request.asker_name, 60)} <t:{unix(request.created_at)}:R>"]
    if request.reason:
        facts.append(f"**Why** {plain(request.reason, 400)}")
    voters = [plain(ballot.user_name, 40) for ballot in request.ballots]
    more = f" and {len(voters) - NAMES_SHOWN} more" if len(voters) > NAMES_SHOWN else ""
    facts.append(f"**Votes** {', '.join(voters[:NAMES_SHOWN])}{more}")
    if request.decided_name and state not in (RequestState.VETOED, RequestState.OPEN):
        facts.append(f"**Approved by** {plain(request.decided_name, 60)}")
    if request.finished_at is not None:
        facts.append(f"-# Ended <t:{unix(request.finished_at)}:f>")
    return facts


def _rows(request: Request, state: RequestState) -> list[discord.ui.ActionRow[Any]]:
    """Buttons as far as they can still do something."""
    if state is RequestState.OPEN:
        acts: list[list[Ballot]] = [[Ballot.VOTE, Ballot.WITHDRAW, Ballot.CANCEL], [Ballot.APPROVE, Ballot.VETO]]
    elif state in (RequestState.PASSED, RequestState.WARNING):
        acts = [[Ballot.VETO]]
    else:
        acts = []
    rows = []
    for line in acts:
        row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
        for act in line:
            row.add_item(RequestButton(act, request.id))
        rows.append(row)
    return rows


def listed(requests: list[Request]) -> str:
    """Requests in lines, those under way first."""
    if not requests:
        return "Nobody has asked for a restart of a server you may see. `/request restart` does."
    return clip("\n".join(_line(request) for request in requests[:LIST_MOST]), 2000)


def _line(request: Request) -> str:
    state = RequestState(request.state)
    icon, head, _ = _HEADS[state]
    place = f" · [message](<{link(request)}>)" if request.message_id is not None and request.channel_id is not None else ""
    when = request.finished_at or request.created_at
    said = _said(request, state) if state is not RequestState.WARNING else "The countdown runs."
    return clip(f"{icon} **{head.format(plain(request.server_name, 40))}** {said} <t:{unix(when)}:R>{place}", 400)
