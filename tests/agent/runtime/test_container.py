"""A server's settings as Docker wants them: Wings' options, number by number."""

from pathlib import Path

import pytest

from agent.runtime.container import body, environment, limits, ports
from core.config import AgentConfig
from core.protocol.settings import Allocations, Build, ServerConfiguration, ServerSettings

UUID = "11111111-2222-4333-8444-555555555555"


def made(**settings: object) -> dict[str, object]:
    configuration = ServerConfiguration.model_validate({"settings": {"uuid": UUID, "container": {"image": "~games/demo:1"}, **settings}})
    return body(configuration, AgentConfig(), Path("/srv") / UUID)


def host(**settings: object) -> dict[str, object]:
    config = made(**settings)["HostConfig"]
    assert isinstance(config, dict)
    return config


def test_a_container_is_locked_down() -> None:
    config = host()
    assert config["ReadonlyRootfs"] is True
    assert config["SecurityOpt"] == ["no-new-privileges"]
    assert (config["CapDrop"], config["CapAdd"], config["Privileged"]) == (["ALL"], [], False)
    assert config["PidsLimit"] == 512
    assert config["Tmpfs"] == {"/tmp": "rw,exec,nosuid,nodev,size=100M"}
    assert {"Name": "core", "Soft": 0, "Hard": 0} in config["Ulimits"]  # type: ignore[operator]
    assert config["RestartPolicy"] == {"Name": "no"}


def test_it_has_a_terminal_and_its_own_files() -> None:
    created = made()
    assert (created["Tty"], created["OpenStdin"], created["User"]) == (True, True, "988:988")
    assert created["Image"] == "games/demo:1"
    assert host()["Binds"] == [f"/srv/{UUID}:/home/container:rw"]


def test_a_full_log_never_stops_a_game() -> None:
    assert host()["LogConfig"] == {
        "Type": "local",
        "Config": {"max-size": "5m", "max-file": "1", "mode": "non-blocking", "compress": "false"},
    }


@pytest.mark.parametrize(("limit", "bytes_"), [(1000, 1_150_000_000), (2048, 2_355_200_000), (4096, 4_505_600_000), (8192, 8_601_600_000)])
def test_memory_gets_wings_overhead(limit: int, bytes_: int) -> None:
    assert limits(Build(memory_limit=limit), 512)["Memory"] == bytes_


def test_swap_goes_with_memory_or_not_at_all() -> None:
    assert limits(Build(memory_limit=1000, swap=-1), 0)["MemorySwap"] == -1
    assert limits(Build(memory_limit=1000, swap=500), 0)["MemorySwap"] == 1_650_000_000
    assert "MemorySwap" not in limits(Build(memory_limit=0, swap=500), 0)


def test_cpu_is_limited_only_where_asked() -> None:
    assert limits(Build(cpu_limit=150), 0)["CpuQuota"] == 150_000
    assert "CpuQuota" not in limits(Build(), 0)
    assert limits(Build(threads="0-1"), 0)["CpusetCpus"] == "0-1"


def test_ports_are_bound_on_both_protocols_and_impossible_ones_left_out() -> None:
    settings = ServerSettings(uuid=UUID, allocations=Allocations(mappings={"10.0.0.1": [25565, 0, 70000]}))
    exposed, bindings = ports(settings)
    assert exposed == {"25565/tcp": {}, "25565/udp": {}}
    assert bindings["25565/udp"] == [{"HostIp": "10.0.0.1", "HostPort": "25565"}]


def test_fixed_variables_cannot_be_overridden_and_strange_names_are_left_out() -> None:
    settings = ServerSettings(uuid=UUID, invocation="./run", environment={"startup": "evil", "a-b": "x", "level": "5", "nul": "a\0b"})
    assert [entry for entry in environment(settings, "UTC") if not entry.startswith(("TZ", "SERVER_"))] == ["STARTUP=./run", "LEVEL=5"]
