"""How servers look: one card per server, one list per asker. Components v2; state is icon and word, never colour alone.

Pure: takes a server row and what is known live, gives a view. At most 40 components and 4000 characters, whatever the names are.
"""

from collections.abc import Sequence
from typing import Any

import discord

from bot.ui.buttons import Act, ServerButton
from bot.ui.text import LAYOUT_TEXT, clip, plain, size
from core.clock import unix
from core.models.server import Server
from core.services.live import Live
from core.vocabulary import ServerState

ICONS = {ServerState.OFFLINE: "⚫", ServerState.STARTING: "🟡", ServerState.RUNNING: "🟢", ServerState.STOPPING: "🟠"}
COLOURS = {
    ServerState.OFFLINE: 0x747F8D,
    ServerState.STARTING: 0xFAA61A,
    ServerState.RUNNING: 0x3BA55C,
    ServerState.STOPPING: 0xE67E22,
}
UNKNOWN_COLOUR = 0xED4245
LIST_MOST = 25
PLAYERS_SHOWN = 12


def state_of(live: Live) -> str:
    """Icon and word."""
    if not live.node_up:
        return "🔌 Node down"
    if live.state is None:
        return "❔ Unknown"
    return f"{ICONS[live.state]} {live.state.value.capitalize()}"


def address_of(server: Server) -> str:
    """Where players connect, or nothing."""
    return server.allocation.address if server.allocation is not None else ""


def card(server: Server, live: Live) -> discord.ui.LayoutView:
    """One server's card with its buttons; stays useful after a restart of the bot."""
    view = discord.ui.LayoutView(timeout=None)
    colour = COLOURS[live.state] if live.node_up and live.state is not None else UNKNOWN_COLOUR
    container: discord.ui.Container[discord.ui.LayoutView] = discord.ui.Container(accent_colour=discord.Colour(colour))
    container.add_item(discord.ui.TextDisplay(f"### {plain(server.name, 80)}\n{_standing(live)}"))
    container.add_item(discord.ui.TextDisplay(clip("\n".join(_facts(server, live)), 2500)))
    if reason := _reason(live):
        container.add_item(discord.ui.TextDisplay(f"-# {plain(reason, 400)}"))
    container.add_item(discord.ui.Separator())
    container.add_item(_row(server, live))
    view.add_item(container)
    return view


def _standing(live: Live) -> str:
    since = f" since <t:{unix(live.since)}:R>" if live.since is not None and live.state is not None and live.node_up else ""
    return f"**{state_of(live)}**{since}"


def _facts(server: Server, live: Live) -> list[str]:
    facts = []
    if address := address_of(server):
        facts.append(f"**Address** `{address}`")
    stats = live.stats
    if live.node_up and stats is not None and live.state not in (None, ServerState.OFFLINE):
        if (players := stats.aerie_players) is not None:
            facts.append(f"**Players** {_players(players)}")
        facts.append(f"**CPU** {rounded_cpu(stats.cpu_absolute)} %")
        limit = f" of {size(stats.memory_limit_bytes)}" if stats.memory_limit_bytes else ""
        facts.append(f"**Memory** {size(rounded_memory(stats.memory_bytes))}{limit}")
    facts.append(f"**Node** {plain(server.node.name, 60)}")
    return facts


def rounded_cpu(percent: float) -> int:
    """Whole percent below ten, else steps of five: a card is not edited for every flicker."""
    return round(percent) if percent < 10 else 5 * round(percent / 5)


def rounded_memory(count: int) -> int:
    """Steps of 4 MiB below 256 MiB, else of 16 MiB."""
    step = (4 if count < 256 * 1024**2 else 16) * 1024**2
    return step * round(count / step)


def _players(players: Sequence[str]) -> str:
    if not players:
        return "nobody"
    names = ", ".join(plain(name, 32) for name in players[:PLAYERS_SHOWN])
    more = f" and {len(players) - PLAYERS_SHOWN} more" if len(players) > PLAYERS_SHOWN else ""
    return f"{len(players)}: {names}{more}"


def _reason(live: Live) -> str:
    if not live.node_up:
        return live.node_reason or "The node does not answer; the last known state is not shown."
    return live.reason


def _row(server: Server, live: Live) -> discord.ui.ActionRow[Any]:
    """Buttons as the state demands. An unknown state leaves all open: the node will say."""
    state = live.state if live.node_up else None
    row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    sid = server.short
    up = state in (ServerState.STARTING, ServerState.RUNNING)
    down = not live.node_up
    row.add_item(ServerButton(Act.START, sid, disabled=down or state not in (None, ServerState.OFFLINE)))
    stop = Act.KILL if state is ServerState.STOPPING else Act.STOP
    row.add_item(ServerButton(stop, sid, disabled=down or state is ServerState.OFFLINE))
    row.add_item(ServerButton(Act.RESTART, sid, disabled=down or not (up or state is None)))
    row.add_item(ServerButton(Act.CONSOLE, sid, disabled=down))
    row.add_item(ServerButton(Act.ASK, sid, disabled=down or state is ServerState.STOPPING))
    return row


def server_list(servers: Sequence[tuple[Server, Live]], nowhere: str) -> discord.ui.LayoutView:
    """The servers an asker may see; `nowhere` is said when there are none."""
    view = discord.ui.LayoutView(timeout=None)
    container: discord.ui.Container[discord.ui.LayoutView] = discord.ui.Container(accent_colour=discord.Colour(0x5865F2))
    if not servers:
        container.add_item(discord.ui.TextDisplay(nowhere))
    else:
        running = sum(live.state is ServerState.RUNNING and live.node_up for _, live in servers)
        container.add_item(discord.ui.TextDisplay(f"### Game servers\n{len(servers)} in all, {running} up"))
        shown = servers[:LIST_MOST]
        room = (LAYOUT_TEXT - 400) // len(shown)
        lines = [clip(_line(server, live), room) for server, live in shown]
        if len(servers) > LIST_MOST:
            lines.append(f"-# and {len(servers) - LIST_MOST} more: `/server info` finds them by name")
        container.add_item(discord.ui.TextDisplay("\n".join(lines)))
    view.add_item(container)
    return view


def _line(server: Server, live: Live) -> str:
    address = address_of(server)
    parts = [f"**{plain(server.name, 60)}** · {state_of(live)}", f"`{address}`" if address else ""]
    stats = live.stats
    if live.node_up and live.state is ServerState.RUNNING and stats is not None and stats.aerie_players is not None:
        count = len(stats.aerie_players)
        parts.append(f"{count} player{'' if count == 1 else 's'}")
    return " · ".join(part for part in parts if part)


def kill_question(server: Server) -> discord.ui.View:
    """The buttons under «really kill it?»."""
    view = discord.ui.View(timeout=None)
    view.add_item(ServerButton(Act.CONFIRM_KILL, server.short, label=clip(f"Kill {server.name}", 34)))
    view.add_item(ServerButton(Act.CANCEL, server.short))
    return view
