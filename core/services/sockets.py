"""What lets a person's program talk to a node about one server: a short-lived token, and the address it is for."""

from dataclasses import dataclass

from core.clock import Clock
from core.models.server import Server
from core.models.user import User
from core.services.nodes import Nodes
from core.tokens import sign_socket_token


@dataclass(frozen=True, slots=True)
class SocketPass:
    """`token` lives ten minutes; the node reminds its bearer a minute before."""

    token: str
    socket: str

    def __repr__(self) -> str:
        return f"SocketPass(socket={self.socket!r})"


class Sockets:
    def __init__(self, nodes: Nodes, clock: Clock) -> None:
        self._nodes = nodes
        self._clock = clock

    def admit(self, user: User, server: Server, held: frozenset[str]) -> SocketPass:
        """A token with what the user holds. Asks nobody: the caller went through `access` with `websocket.connect`.

        It is signed as the node was last heard to take it; a node not heard of yet is taken for Wings.
        """
        address = self._nodes.address(server.node)
        token = sign_socket_token(
            address.token.secret,
            server_uuid=server.uuid,
            permissions=sorted(held),
            now=self._clock.now(),
            user_uuid=user.uuid,
            user_id=user.id,
            issuer=self._nodes.origin,
            audience=address.url,
            derived=bool(self._nodes.client(server.node).derived),
        )
        return SocketPass(token, f"{address.url.replace('http', 'ws', 1)}/api/servers/{server.uuid}/ws")
