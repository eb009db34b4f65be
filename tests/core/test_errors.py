"""Errors as data: the tree drawn in core/errors.py is the tree there is, and each sentence says what to do."""

import re
from collections.abc import Iterator

import pytest

import core.errors
from core.errors import AerieError, MissingPermission, NodeError


def _tree(kind: type[AerieError]) -> Iterator[type[AerieError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == core.errors.__name__:
            yield from _tree(child)


KINDS = list(_tree(AerieError))


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = re.findall(r"(\w+)\s+(\d{3}) (\w+)", core.errors.__doc__ or "")
    assert [(kind.__name__, str(kind.status), kind.code) for kind in KINDS] == drawn


def test_codes_are_unique() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not MissingPermission])
def test_an_error_reads_as_what_happened_and_what_to_do(kind: type[AerieError]) -> None:
    error = kind("It broke.", hint="Mend it.")
    assert (error.message, error.hint, str(error)) == ("It broke.", "Mend it.", "It broke. Mend it.")
    assert str(kind("It broke.")) == "It broke."


def test_a_refusal_names_the_permission_and_who_can_grant_it() -> None:
    error = MissingPermission("control.stop", "stop Luanti", grantors="<@1>")
    assert str(error) == "You may not stop Luanti: you lack the permission `control.stop`. <@1> can grant it with `/access grant`."


def test_a_nodes_failure_keeps_what_to_look_for_in_its_log() -> None:
    error = NodeError("It failed.", node_status=500, request_id="abc")
    assert (error.node_status, error.request_id) == (500, "abc")
