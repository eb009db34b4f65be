"""How Discord computes what a member may do."""

import pytest

from sandbox.permissions import ALL, MANAGE_MESSAGES, SEND_MESSAGES, VIEW_CHANNEL, Overwrite, compute, from_names, names_of

BASE = VIEW_CHANNEL | SEND_MESSAGES


def bits(*, owner: bool = False, roles: list[tuple[str, int]] | None = None, overwrites: list[Overwrite] | None = None) -> int:
    return compute(guild_id="g", member_id="m", is_owner=owner, everyone=BASE, roles=roles or [], overwrites=overwrites or [])


def test_the_owner_may_everything() -> None:
    assert bits(owner=True, overwrites=[Overwrite("g", 0, 0, ALL)]) == ALL


def test_an_administrator_may_everything() -> None:
    assert bits(roles=[("r", from_names(["administrator"]))], overwrites=[Overwrite("g", 0, 0, ALL)]) == ALL


def test_roles_add_up() -> None:
    assert bits(roles=[("r", MANAGE_MESSAGES)]) == BASE | MANAGE_MESSAGES


def test_a_role_opens_what_everyone_is_denied_and_a_member_overwrite_has_the_last_word() -> None:
    closed = Overwrite("g", 0, 0, SEND_MESSAGES)
    assert not bits(overwrites=[closed]) & SEND_MESSAGES
    assert bits(roles=[("r", 0)], overwrites=[closed, Overwrite("r", 0, SEND_MESSAGES, 0)]) & SEND_MESSAGES
    assert not bits(roles=[("r", 0)], overwrites=[Overwrite("r", 0, SEND_MESSAGES, 0), Overwrite("m", 1, 0, SEND_MESSAGES)]) & SEND_MESSAGES


def test_who_cannot_see_cannot_send() -> None:
    assert not bits(overwrites=[Overwrite("g", 0, 0, VIEW_CHANNEL)]) & SEND_MESSAGES


def test_names_and_bits_are_inverse() -> None:
    assert names_of(from_names(["send_messages", "view_channel"])) == ["view_channel", "send_messages"]
    with pytest.raises(ValueError, match="unknown permission"):
        from_names(["fly"])
