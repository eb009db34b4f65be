"""The activity log in words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.ui.happenings import LINE, WORDS, sentence_of
from bot.ui.history import LONGEST_EVENT, Ask, PageButton
from core.models.activity import Activity

AT = datetime(2026, 1, 1, tzinfo=UTC)


def a_row(event: str = "server:power.start", **more: Any) -> Activity:
    given: dict[str, Any] = {
        "at": AT,
        "event": event,
        "outcome": "ok",
        "actor_name": "Ada",
        "server_id": 1,
        "server_uuid": "8d3f01ab-55c1-4a37-9b53-6b1c51d9a001",
        "origin": "discord:7",
        "reason": "",
        "details": {},
    }
    return Activity(**{**given, **more})


def test_who_did_what_when_and_where() -> None:
    assert sentence_of(a_row(), {1: "Luanti"}) == "<t:1767225600:R> **Ada** started **Luanti** in <#7>"


@pytest.mark.parametrize(
    ("more", "end"),
    [
        (
            {"outcome": "refused", "reason": "You may not."},
            "🚫 <t:1767225600:R> **Ada** wanted to start **Luanti** in <#7>: refused. You may not.",
        ),
        ({"outcome": "failed", "reason": "Down."}, "⚠️ <t:1767225600:R> **Ada** wanted to start **Luanti** in <#7>: it failed. Down."),
        ({"server_id": None}, "started a server that is gone (`8d3f01ab`) in <#7>"),
        ({"actor_kind": "node", "actor_name": "n1", "event": "server:install"}, "> The node **n1** installed **Luanti** in <#7>"),
        ({"origin": "203.0.113.9"}, "started **Luanti** from 203.0.113.9"),
        ({"event": "server:websocket.connect"}, "see **Luanti**, its state and its console in <#7>"),
        ({"event": "other:{it}`@everyone"}, "on **Luanti** in <#7>"),
        ({"event": "server:sftp.write", "details": {"files": ["/a", "/b", "/c"], "files_more": 50}}, "by SFTP: /a, /b and 51 more in <#7>"),
        ({"event": "server:sftp.rename", "details": {"files": [{"from": "/a", "to": "/b"}]}}, "by SFTP: /a → /b in <#7>"),
        (
            {"event": "guild:grant", "server_id": None, "server_uuid": None, "details": {"role": 5, "preset": "viewer"}},
            "granted rights on all servers, <@&5> as viewer in <#7>",
        ),
    ],
)
def test_what_came_of_it(more: dict[str, Any], end: str) -> None:
    assert sentence_of(a_row(**more), {1: "Luanti"}).endswith(end)


def test_foreign_words_cannot_act() -> None:
    row = a_row("server:console.command", actor_name="**@everyone**", details={"command": "`x` <@1> " + "y" * 5000})
    text = sentence_of(row, {1: "@here"})
    assert "@everyone" not in text
    assert "@here" not in text
    assert ": `ˋxˋ <@1> y" in text  # in code, where nothing acts
    assert len(text) <= LINE


def test_a_button_says_the_whole_question_in_its_id() -> None:
    assert all(len(event) <= LONGEST_EVENT for event in WORDS)
    ask = Ask("o", 999_999_999_999, "8d3f01ab", 2**64 - 1, "x" * LONGEST_EVENT)
    assert len(ask.custom_id) <= 100
    assert PageButton(ask, "Older").template.fullmatch(ask.custom_id)
