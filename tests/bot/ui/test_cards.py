"""Cards and lists fit Discord's limits whatever they hold, and their buttons follow the state."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.ui.buttons import Act, ServerButton
from bot.ui.cards import card, kill_question, server_list
from bot.ui.presses import PRESSES
from core.protocol.socket import StatsFrame
from core.services.live import Live
from core.vocabulary import ServerState
from tests.bot.ui.servers import a_server

AT = datetime(2026, 1, 1, tzinfo=UTC)
ASK = "Ask for a restart"


def labels(view: Any, *, open_only: bool) -> list[str]:
    return [
        str(item.item.label) for item in view.walk_children() if isinstance(item, ServerButton) and not (open_only and item.item.disabled)
    ]


def text(view: Any) -> str:
    return "\n".join(getattr(item, "content", "") for item in view.walk_children())


@pytest.mark.parametrize(
    ("state", "pressable"),
    [
        (ServerState.OFFLINE, ["Start", "Console", ASK]),
        (ServerState.STARTING, ["Stop", "Restart", "Console", ASK]),
        (ServerState.RUNNING, ["Stop", "Restart", "Console", ASK]),
        (ServerState.STOPPING, ["Kill", "Console"]),
        (None, ["Start", "Stop", "Restart", "Console", ASK]),
    ],
)
def test_the_buttons_that_can_be_pressed_follow_the_state(state: ServerState | None, pressable: list[str]) -> None:
    assert labels(card(a_server(), Live(state=state, since=AT)), open_only=True) == pressable


def test_a_card_says_its_state_in_words_with_address_load_players_and_reason() -> None:
    stats = StatsFrame(memory_bytes=134217728, memory_limit_bytes=536870912, cpu_absolute=7.2, aerie_players=["ann", "bob"])
    shown = text(card(a_server(), Live(ServerState.RUNNING, AT, "started by Ada", stats)))
    for words in ("luanti", "🟢 Running", "`127.0.0.1:30000`", "2: ann, bob", "7 %", "128 MiB of 512 MiB", "started by Ada"):
        assert words in shown


def test_a_lost_node_is_said_and_nothing_can_be_pressed() -> None:
    view = card(a_server(), Live(ServerState.RUNNING, AT, node_up=False, node_reason="connection refused"))
    assert labels(view, open_only=True) == []
    assert "Node down" in text(view)
    assert "connection refused" in text(view)


def test_the_longest_names_still_fit() -> None:
    names = ["**" + "x" * 190 + "@everyone"] * 200
    stats = StatsFrame(aerie_players=["p" * 500] * 300)
    view = card(a_server(names[0], host="a" * 191), Live(ServerState.RUNNING, AT, "r" * 5000, stats))
    assert view.content_length() <= 4000
    listed = server_list([(a_server(name), Live(ServerState.RUNNING, AT, "", stats)) for name in names], "none")
    assert listed.content_length() <= 4000
    assert "and 175 more" in text(listed)
    assert len(kill_question(a_server(names[0])).children) == 2


def test_every_button_survives_a_restart() -> None:
    for view in (card(a_server(), Live()), kill_question(a_server())):
        buttons = [item for item in view.walk_children() if isinstance(item, ServerButton)]
        assert buttons
        assert all(ServerButton.__discord_ui_compiled_template__.fullmatch(button.custom_id) for button in buttons)
        assert len({button.custom_id for button in buttons}) == len(buttons)


def test_every_act_has_a_press() -> None:
    assert set(PRESSES) == set(Act)


def test_an_empty_list_says_what_to_do() -> None:
    assert "Ask Ada" in text(server_list([], "Ask Ada."))
