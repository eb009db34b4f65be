"""Allocations as bindings: both protocols, both kinds of address, and no way onto the agent's own doors (DOC-7)."""

import pytest

from agent.runtime.ports import ports, refuse_own
from core.agent_settings import DockerSection
from core.config import AgentConfig
from core.errors import PortTaken, RuntimeFailure
from core.protocol.settings import ServerSettings

UUID = "11111111-2222-4333-8444-555555555555"


def server(mappings: dict[str, list[int]]) -> ServerSettings:
    return ServerSettings.model_validate({"uuid": UUID, "allocations": {"mappings": mappings}})


def bound(mappings: dict[str, list[int]], **docker: object) -> dict[str, list[str]]:
    _, bindings = ports(server(mappings), DockerSection.model_validate(docker))
    return {key: [f"{one['HostIp']} {one['HostPort']}" for one in entries] for key, entries in bindings.items()}


def test_each_port_is_bound_on_tcp_and_udp() -> None:
    assert bound({"10.0.0.1": [25565]}) == {"25565/tcp": ["10.0.0.1 25565"], "25565/udp": ["10.0.0.1 25565"]}
    assert ports(server({"10.0.0.1": [25565]}), DockerSection())[0] == {"25565/tcp": {}, "25565/udp": {}}


def test_several_addresses_of_both_kinds_share_a_port() -> None:
    made = bound({"10.0.0.1": [1], "10.0.0.2": [1, 2], "[2001:DB8::0:1]": [1], "2001:db8::1": [1], "::": [3]})
    assert made["1/udp"] == ["10.0.0.1 1", "10.0.0.2 1", "2001:db8::1 1"]
    assert (made["2/tcp"], made["3/tcp"]) == (["10.0.0.2 2"], [":: 3"])


@pytest.mark.parametrize("port", [0, -1, 65536, 70000, 10**9])
def test_doc_7_ports_that_do_not_exist_are_left_out(port: int) -> None:
    assert bound({"10.0.0.1": [port]}) == {}


@pytest.mark.parametrize("address", ["", "games.example", "10.0.0.256", "10.0.0.1/24", "0.0.0.0:80", "eth0"])
def test_doc_7_an_allocation_without_an_address_is_refused(address: str) -> None:
    with pytest.raises(RuntimeFailure, match="is no address"):
        ports(server({address: [25565]}), DockerSection())


def test_the_interface_stands_in_for_the_loopback_and_networks_over_machines_have_none() -> None:
    assert bound({"127.0.0.1": [5]}, interface="172.18.0.1")["5/tcp"] == ["172.18.0.1 5"]
    assert bound({"127.0.0.1": [5]})["5/tcp"] == ["127.0.0.1 5"]
    assert bound({"127.0.0.1": [5], "10.0.0.1": [6]}, ispn=True).keys() == {"6/tcp", "6/udp"}


@pytest.mark.parametrize(
    ("address", "port", "api"),
    [
        ("10.0.0.1", 8080, "0.0.0.0"),
        ("0.0.0.0", 8080, "10.0.0.1"),
        ("10.0.0.1", 8080, "10.0.0.1"),
        ("::", 2022, "10.0.0.1"),
        ("1.1.1.1", 8080, "host"),
    ],
)
def test_doc_7_the_agent_s_own_ports_are_refused(address: str, port: int, api: str) -> None:
    config = AgentConfig.model_validate({"api": {"host": api}})
    with pytest.raises(PortTaken, match=f"Port {port} is the agent's own"):
        refuse_own(server({address: [port]}), config)


def test_doc_7_elsewhere_the_same_number_is_free() -> None:
    config = AgentConfig.model_validate({"api": {"host": "10.0.0.2"}, "sftp": {"enabled": False}})
    refuse_own(server({"10.0.0.1": [8080, 2022]}), config)
