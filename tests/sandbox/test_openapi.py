"""The checker that holds what a bot sends against Discord's own schema."""

from typing import Any

import pytest

from sandbox.rest import applications, channels, guilds, interactions, messages, users, webhooks
from sandbox.rest.router import Recorded
from tests import discord_openapi
from tests.discord_openapi import Checker, complaint

POST = ("POST", "/channels/{channel_id}/messages")
CALLBACK = ("POST", "/interactions/{interaction_id}/{interaction_token}/callback")


@pytest.fixture(autouse=True)
def schema() -> None:
    discord_openapi.require()


@pytest.mark.parametrize(
    ("route", "body"),
    [
        (POST, {"content": "x", "nonce": 5, "allowed_mentions": {"parse": []}}),
        (POST, {"flags": 32768, "components": [{"type": 17, "components": [{"type": 10, "content": "x"}]}]}),
        (POST, {"content": "x", "message_reference": {"message_id": 123, "channel_id": "456"}}),
        (CALLBACK, {"type": 4, "data": {"content": "x", "flags": 64}}),
        (CALLBACK, {"type": 5}),
        (CALLBACK, {"type": 8, "data": {"choices": [{"name": "a", "value": "a"}]}}),
        (("GET", "/users/@me"), None),
    ],
)
def test_good_bodies_pass(route: tuple[str, str], body: Any) -> None:
    assert complaint(*route, body) is None


@pytest.mark.parametrize(
    ("route", "body", "words"),
    [
        (POST, {"content": 5}, "content"),
        (
            POST,
            {"content": "x", "components": [{"type": 1, "components": [{"type": 2, "style": 1, "label": "x" * 81, "custom_id": "a"}]}]},
            "components",
        ),
        (POST, {"content": "x", "nonce": "n" * 26}, "nonce"),
        (CALLBACK, {"type": 9, "data": {"custom_id": "x", "title": "x" * 46, "components": []}}, "at"),
        (("POST", "/nowhere"), {}, "no such route"),
    ],
)
def test_bad_bodies_are_named(route: tuple[str, str], body: Any, words: str) -> None:
    found = complaint(*route, body)
    assert found is not None
    assert words in found


def test_the_checker_collects_what_was_accepted_and_wrong() -> None:
    checker = Checker()
    checker(Recorded(*POST, "/channels/1/messages", {"content": 5}, 200))
    checker(Recorded(*POST, "/channels/1/messages", {"content": 5}, 400))
    assert (len(checker.complaints), checker.checked) == (1, 1)


def test_every_route_of_the_sandbox_exists_at_discord() -> None:
    assert discord_openapi.LOADED is not None
    known = discord_openapi.LOADED[0]["paths"]
    for room in (users, applications, guilds, channels, messages, interactions, webhooks):
        for route in room.ROUTES:
            assert route.template in known, route.template
            assert route.method.lower() in known[route.template], (route.method, route.template)
