"""What the demo's servers run where there is no Docker: the host's own game when it is installed, else demo/game_server.py.

Knows how a command line of each looks. A plain process has no isolation; this is for a look at Aerie, and must never be offered for more.
"""

import shlex
import subprocess
import sys
from dataclasses import dataclass

from demo.children import tree
from setup.debian import which

LUANTI_GAME = "minetest"
STAND_IN = "a small guessing game"


@dataclass(frozen=True)
class Manners:
    """How a game is spoken to at its console: the template that warns players (empty: it reads no commands), lines and their answers."""

    warning: str
    typed: tuple[tuple[str, str], ...] = ()


FREECIV = Manners("wall {message}", (("set aifill 3", "'aifill' has been set to 3"), ("set aifill 2", "'aifill' has been set to 2")))
GUESSING = Manners("say {message}", (("limit 50", "Numbers now go up to 50"), ("limit 60", "Numbers now go up to 60")))
MUTE = Manners("")


def manners(game: str, *, docker: bool) -> Manners:
    """Of what really runs as `luanti` or `freeciv` here."""
    if not docker and startup(game).shown == STAND_IN:
        return GUESSING
    return FREECIV if game == "freeciv" else MUTE


@dataclass(frozen=True)
class Startup:
    """A game as a process: `command` with `{{SERVER_PORT}}`, `done` the ready line, `stop` as an egg has it, `shown` for people."""

    command: str
    done: str
    stop: str
    shown: str


def startup(game: str) -> Startup:
    """The best this machine has for `luanti` or `freeciv`."""
    if game == "freeciv" and (program := which("freeciv-server")):
        command = f"{shlex.quote(program)} --port {{{{SERVER_PORT}}}} --saves saves --Announce none"
        return Startup(command, "Now accepting new client connections", "quit", program)
    if game == "luanti" and (program := which("luantiserver", "minetestserver")) and _has_game(program):
        command = f"{shlex.quote(program)} --port {{{{SERVER_PORT}}}} --gameid {LUANTI_GAME} --world world --logfile '' --color never"
        return Startup(command, "listening on", "^C", program)
    script = tree() / "demo" / "game_server.py"
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} --name {game} --port {{{{SERVER_PORT}}}}"
    return Startup(command, "listening on", "quit", STAND_IN)


def _has_game(program: str) -> bool:
    """Luanti is an engine; does this one have a game to serve?"""
    try:
        listed = subprocess.run([program, "--gameid", "list"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return LUANTI_GAME in (listed.stdout + listed.stderr).split()
