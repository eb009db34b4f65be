"""A server row as services hand it out, without a database."""

from core.models.node import Node
from core.models.server import Allocation, Server


def a_server(name: str = "luanti", *, uuid: str = "7a1f0c7e-0000-4000-8000-000000000000", host: str = "127.0.0.1") -> Server:
    """A detached server with a node and an address."""
    server = Server(id=1, uuid=uuid, short=uuid[:8], name=name, node=Node(id=1, name="n1"))
    server.__dict__["allocation"] = Allocation(ip=host, port=30000)
    return server
