"""Every spelling of a stop signal that eggs use."""

import pytest

from agent.server.signals import signal_name


@pytest.mark.parametrize("value", ["^C", "C", "^^C", "INT", "sigint", "SIGINT", " interrupt "])
def test_ctrl_c_means_sigint(value: str) -> None:
    assert signal_name(value) == "SIGINT"


@pytest.mark.parametrize(("value", "name"), [("term", "SIGTERM"), ("SIGABRT", "SIGABRT"), ("kill", "SIGKILL"), ("usr1", "SIGUSR1")])
def test_names_go_with_and_without_sig(value: str, name: str) -> None:
    assert signal_name(value) == name


@pytest.mark.parametrize("value", [None, "", "NOPE"])
def test_what_nobody_knows_is_sigterm(value: str | None) -> None:
    assert signal_name(value) == "SIGTERM"
