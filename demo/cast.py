"""Who plays in the demo: two nodes, three servers and where each lives, and the ports that are kept free for servers made by hand.

Plain facts. Must never hold what differs from one start to the next; that is demo/folder.py's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """One server: the egg in demo/eggs it is made of, its node, and its own values of the egg's variables."""

    egg: str
    node: str
    variables: Mapping[str, str] = field(default_factory=dict)


NODES = ("attic", "cellar")
SERVERS = {
    "luanti": Part("luanti", "attic"),
    "freeciv": Part("freeciv", "cellar"),
    "aliens": Part("freeciv", "attic", {"RULESET": "alien"}),
}
SPARE = 2
"""Ports each node has left for servers that people make."""


def ports() -> dict[str, int]:
    """Every port of the demo by name, with the number it has when nobody else took it."""
    named = {"sandbox": 8700, "bot": 8701, "mariadb": 8710, "redis": 8711, "luanti": 30000, "freeciv": 5556, "aliens": 5557}
    for place, node in enumerate(NODES):
        named |= {f"agent-{node}": 8702 + 2 * place, f"sftp-{node}": 8703 + 2 * place}
        named |= {f"spare-{node}-{number}": 30010 + 10 * place + number for number in range(SPARE)}
    return named


def played(name: str) -> bool:
    """Whether a port of that name is one players use: over UDP too, and from other machines."""
    return name in SERVERS or name.startswith("spare-")
