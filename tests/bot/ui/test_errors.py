"""Failures become one sentence that says what happened and what to do."""

import logging

import discord
import pytest
from discord import app_commands

from bot.ui.errors import sentence_of
from core.errors import AerieError, MissingPermission, NodeTimeout


def test_a_refusal_names_the_permission_and_who_can_grant_it() -> None:
    words = sentence_of(MissingPermission("control.stop", "stop luanti", grantors="<@42>"))
    assert "control.stop" in words
    assert "<@42> can grant it" in words


def test_message_and_hint_are_sentences() -> None:
    assert sentence_of(NodeTimeout("The node n1 does not answer", hint="Try again")) == "The node n1 does not answer. Try again."


def test_an_unknown_failure_shows_an_id_that_the_log_has_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        words = sentence_of(ZeroDivisionError("secret detail"))
    assert "secret detail" not in words
    incident = words.split("`")[1]
    assert incident in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_wrapped_failures_are_unwrapped() -> None:
    @app_commands.command()
    async def probe(interaction: discord.Interaction) -> None:
        """Nothing"""

    wrapped = app_commands.CommandInvokeError(probe, AerieError("It broke", hint="Mend it"))
    assert sentence_of(wrapped) == "It broke. Mend it."


def test_a_stale_command_is_answered_politely() -> None:
    assert "older version" in sentence_of(app_commands.CommandNotFound("gone", []))


def test_the_longest_error_fits_a_message() -> None:
    assert len(sentence_of(AerieError("x" * 10_000))) <= 2000
