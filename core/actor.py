"""Who asks. An actor says who somebody is and what Discord says of them; it never says what they may (core/services/access.py does)."""

from dataclasses import dataclass, field

from core.vocabulary import ActorKind


@dataclass(frozen=True, slots=True)
class Actor:
    """One asker. For Discord members the ids are Discord snowflakes as integers.

    `role_ids` and `guild_owner` and `guild_admin` come from the interaction itself, resolved by Discord, so no member cache is needed.
    """

    kind: ActorKind
    name: str
    discord_id: int | None = None
    guild_id: int | None = None
    role_ids: frozenset[int] = field(default_factory=frozenset)
    guild_owner: bool = False
    guild_admin: bool = False
    """Holds Discord's Administrator or Manage Server permission in the guild."""
    node_id: int | None = None
    user_id: int | None = None
    """Row of the Aerie user behind an API key."""
    root_admin: bool = False
    """An administrator of Aerie itself, whom no guild bounds; only API keys carry it."""
    origin: str = ""
    """Where from: `discord:<channel id>`, an IP address, a schedule's name."""

    @classmethod
    def system(cls, why: str) -> "Actor":
        """Aerie itself, named by its reason. The only actor that needs no permission."""
        return cls(ActorKind.SYSTEM, "Aerie", origin=why)

    @property
    def label(self) -> str:
        """How the audit log names them."""
        return f"{self.kind.value}:{self.discord_id or self.node_id or self.user_id or self.name}"
