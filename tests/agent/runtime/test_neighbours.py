"""Who may reach whom, and where a server's own network lies."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from agent.runtime.neighbours import Tenant, group_of, tenant
from agent.runtime.subnets import candidates, pool_of, routed, subnets_of
from core.agent_settings import DockerSection
from core.errors import NotConfigured, RuntimeFailure
from core.protocol.settings import ServerSettings

UUID = "11111111-2222-4333-8444-555555555555"


def settings(**more: object) -> ServerSettings:
    return ServerSettings.model_validate({"uuid": UUID, **more})


def test_a_server_is_alone_unless_an_administrator_says_otherwise() -> None:
    assert group_of(settings(environment={"aerie.network": "lobby"}), DockerSection()) == ""
    assert group_of(settings(labels={"aerie.network": " Lobby "}), DockerSection()) == "lobby"
    assert group_of(settings(labels={"aerie.network": "../x y"}), DockerSection()) == ""


def test_the_node_s_settings_put_servers_together_by_uuid_or_its_beginning() -> None:
    for member in (UUID, UUID[:8]):
        docker = DockerSection(shared_networks=["others: 99999999", f"lobby: {member} 22222222"])
        assert group_of(settings(labels={"aerie.network": "mine"}), docker) == "lobby"
    assert group_of(settings(), DockerSection(shared_networks=["lobby: 1111"])) == ""


def test_allocations_are_public_or_inside() -> None:
    made = tenant(
        settings(allocations={"mappings": {"127.0.0.1": [25566], "0.0.0.0": [1, 99999], "[2001:db8::1]": [2], "rubbish": [3]}}),
        "aex",
        shared=True,
    )
    assert made == Tenant("aex", True, (("0.0.0.0", 1), ("2001:db8::1", 2)), (25566,))


def test_five_hundred_servers_fit_and_nobody_s_addresses_are_taken() -> None:
    docker = DockerSection()
    taken = [IPv4Network("10.213.0.0/17"), IPv4Network("172.17.0.0/16")]
    for number in range(500):
        taken.append(next(candidates(docker, f"server {number}", taken)))
    ours = taken[2:]
    assert all(one.prefixlen == 28 and one.subnet_of(IPv4Network("10.213.128.0/17")) for one in ours)
    assert len(set(ours)) == 500


def test_a_full_pool_says_what_to_do() -> None:
    with pytest.raises(RuntimeFailure, match=r"10\.213\.0\.0/16"):
        next(candidates(DockerSection(), "x", [IPv4Network("10.0.0.0/8")]))


@pytest.mark.parametrize("wrong", [{"network_pool": "nonsense"}, {"network_pool": "10.0.0.0/28"}])
def test_a_pool_that_cannot_be_used_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(NotConfigured, match="network_pool"):
        pool_of(DockerSection.model_validate(wrong))


def test_routes_are_read_without_the_default_one(tmp_path: Path) -> None:
    file = tmp_path / "route"
    file.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "tun0\t0000D50A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert routed(file) == [IPv4Network("10.213.0.0/16")]
    assert routed(tmp_path / "none") == []


def test_subnets_of_docker_s_list() -> None:
    listed: list[dict[str, object]] = [
        {"IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}, {"Subnet": "fd00::/64"}]}},
        {"IPAM": {"Config": None}},
        {"IPAM": {"Config": [{}]}},
        {},
    ]
    assert subnets_of(listed) == [IPv4Network("172.17.0.0/16")]
