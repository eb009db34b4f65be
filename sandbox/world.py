"""The parts of one running sandbox, held together for those who answer requests.

A bag without behaviour of its own; must never grow any.
"""

from dataclasses import dataclass, field

from sandbox.clock import Clock
from sandbox.commands import Commands
from sandbox.gateway import Gateway
from sandbox.hub import Hub
from sandbox.interactions import Interactions
from sandbox.ratelimits import Limiter
from sandbox.state import Attachment, State


@dataclass
class World:
    """Everything a handler may need."""

    clock: Clock
    state: State
    hub: Hub
    commands: Commands
    interactions: Interactions
    gateway: Gateway
    limiter: Limiter
    nonces: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)

    def url_of(self, channel_id: str, item: Attachment) -> str:
        """Where a file of a channel is served."""
        return f"{self.hub.base_url}/attachments/{channel_id}/{item.id}/{item.filename}"
