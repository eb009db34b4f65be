"""Configuration files and a start: rewritten before the process sees them, and never a reason not to start."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.runtime.process import ProcessRuntime
from core.clock import SystemClock
from core.protocol.settings import ConfigFile
from core.supervise import Supervisor
from core.vocabulary import PowerPhase, PowerSignal
from tests.agent.server.test_power import Stage, agent_config, configuration

READS = 'echo "port is $(cat server.properties)"; echo ready; while read line; do [ "$line" = end ] && exit 0; done'


@pytest.fixture
async def tasks() -> AsyncIterator[Supervisor]:
    async with Supervisor("test") as supervisor:
        yield supervisor


async def started(tmp_path: Path, tasks: Supervisor, *configs: ConfigFile) -> list[str]:
    """The console of a server that was started with these files to rewrite, and ended."""
    config = agent_config(tmp_path)
    runtime = ProcessRuntime(config, SystemClock())
    settings = configuration(READS)
    settings.process_configuration.configs = list(configs)
    stage = Stage(config, runtime, tasks, settings)
    assert (await stage.end_of(stage.server.power(PowerSignal.START))).phase is PowerPhase.DONE
    lines = stage.server.console.history(20)
    await stage.end_of(stage.server.power(PowerSignal.KILL))
    await runtime.close()
    return lines


def a_file(name: str, parser: str, match: str, value: str) -> ConfigFile:
    return ConfigFile.model_validate({"file": name, "parser": parser, "replace": [{"match": match, "replace_with": value}]})


async def test_the_process_reads_what_its_egg_wants(tmp_path: Path, tasks: Supervisor) -> None:
    lines = await started(tmp_path, tasks, a_file("server.properties", "properties", "port", "{{config.docker.interface}}:25565"))
    assert "port is port=127.0.0.1:25565" in lines


async def test_a_file_that_cannot_be_rewritten_is_told_and_does_not_hinder(tmp_path: Path, tasks: Supervisor) -> None:
    good = a_file("server.properties", "properties", "port", "1")
    lines = await started(tmp_path, tasks, a_file("../../etc/evil.json", "json", "a", "1"), good)
    assert "port is port=1" in lines
    assert any("The configuration file ../../etc/evil.json was left alone" in line for line in lines)
    assert not list(tmp_path.parent.rglob("evil.json"))
