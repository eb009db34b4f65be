"""Who asks, as the audit log names them."""

import pytest

from core.actor import Actor
from core.vocabulary import ActorKind


@pytest.mark.parametrize(
    ("actor", "label"),
    [
        (Actor(ActorKind.DISCORD, "Ada", discord_id=42), "discord:42"),
        (Actor(ActorKind.NODE, "n", node_id=3), "node:3"),
        (Actor(ActorKind.API_KEY, "key", user_id=9), "api_key:9"),
        (Actor.system("re-attach"), "system:Aerie"),
    ],
)
def test_the_audit_log_names_an_actor_by_kind_and_id(actor: Actor, label: str) -> None:
    assert actor.label == label


def test_an_actor_holds_no_rights_by_default() -> None:
    actor = Actor(ActorKind.DISCORD, "Ada")
    assert not (actor.guild_owner or actor.guild_admin or actor.role_ids)
