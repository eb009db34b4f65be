"""The doctor's line about walls."""

import os

import pytest

from core.config import AgentConfig
from front.walls import walls


def config(**docker: object) -> AgentConfig:
    return AgentConfig.model_validate({"docker": docker})


async def test_an_engine_elsewhere_is_told_with_what_to_do() -> None:
    finding = await walls(config(host="tcp://192.0.2.1:2376"))
    assert "another machine" in finding.words
    assert not finding.well


async def test_what_the_settings_open_is_told_and_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    asked = AgentConfig.model_validate({"docker": {"network_per_server": False}, "system": {"uid_per_server": False}})
    finding = await walls(asked)
    assert "uid_per_server" in finding.words
    assert "one network" in finding.words
    assert finding.well


async def test_without_root_both_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    finding = await walls(config(host="unix:///var/run/docker.sock"))
    assert "one user" in finding.words
    assert "open to servers: the agent is not root" in finding.words
    assert not finding.well
