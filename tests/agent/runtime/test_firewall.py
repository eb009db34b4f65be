"""What the rules say. That they hold is tested in tests/real/evil_tenant."""

import re
from ipaddress import ip_network

from agent.runtime.firewall import denied, obstacle_here, prefix_of, text
from agent.runtime.neighbours import Tenant
from core.agent_settings import DockerSection

PRIVATE = Tenant("aeab12one", public=(("203.0.113.7", 25565),), private=(25566,))
SHARED = Tenant("aeab12two", shared=True, public=(("0.0.0.0", 25577), ("2001:db8::1", 25577)))


def made(*tenants: Tenant, family: int = 4, api_port: int = 8080, **docker: object) -> list[str]:
    return text("ab12", tenants, DockerSection.model_validate(docker), "172.29.0.1", api_port, family).splitlines()


def test_what_is_published_to_all_is_open_to_servers_too() -> None:
    rules = made(PRIVATE, SHARED)
    for protocol in ("tcp", "udp"):
        assert f"-A AERIE-IN-ab12 -d 203.0.113.7 -p {protocol} -m {protocol} --dport 25565 -j RETURN" in rules
        assert f"-A AERIE-IN-ab12 -p {protocol} -m {protocol} --dport 25577 -j RETURN" in rules
    assert any("2001:db8::1" in rule for rule in made(SHARED, family=6))
    assert not any("203.0.113.7" in rule or "172.29.0.1" in rule for rule in made(PRIVATE, family=6))


def test_what_is_allocated_inside_is_open_to_its_own_network_alone() -> None:
    assert [rule for rule in made(PRIVATE, SHARED) if "25566" in rule] == [
        f"-A AERIE-IN-ab12 -i aeab12one -d 172.29.0.1 -p {protocol} -m {protocol} --dport 25566 -j RETURN" for protocol in ("tcp", "udp")
    ]


def test_everything_else_on_this_machine_is_refused_after_that() -> None:
    inward = [rule for rule in made(PRIVATE, host_ports=[3306]) if rule.startswith("-A AERIE-IN-ab12 ")]
    assert inward[-1] == "-A AERIE-IN-ab12 -j REJECT"
    assert any(rule.endswith("--dport 3306 -j RETURN") for rule in inward)


def test_the_agent_s_own_api_is_never_opened() -> None:
    rules = made(Tenant("aeab12one", public=(("0.0.0.0", 8080),)), host_ports=[8080])
    assert not any("8080" in rule for rule in rules)


def test_only_shared_networks_reach_each_other_and_nobody_the_metadata_addresses() -> None:
    forward = [rule for rule in made(PRIVATE, SHARED) if rule.startswith("-A AERIE-FW-ab12 ")]
    assert "-A AERIE-FW-ab12 -d 169.254.0.0/16 -j REJECT" in forward
    assert "-A AERIE-FW-ab12 -i aeab12two -o aeab12two -j RETURN" in forward
    assert not any("aeab12one" in rule for rule in forward)
    assert forward.index("-A AERIE-FW-ab12 -o aeab12+ -j REJECT") > forward.index("-A AERIE-FW-ab12 -i aeab12two -o aeab12two -j RETURN")
    assert "-A AERIE-FW-ab12 -d fd00:ec2::254/128 -j REJECT" in made(PRIVATE, family=6)


def test_what_is_no_network_is_left_out() -> None:
    assert denied(DockerSection(denied_networks=["192.168.0.0/16", "nonsense", "fe80::/10"]), 4) == ["192.168.0.0/16"]


def test_the_text_is_one_transaction_over_our_chains_alone() -> None:
    rules = made(PRIVATE, SHARED)
    assert (rules[0], rules[-1]) == ("*filter", "COMMIT")
    assert all(re.match(r"(:|-A )AERIE-(IN|FW)-ab12 ", rule) for rule in rules[1:-1])


def test_an_engine_elsewhere_is_told() -> None:
    assert "another machine" in obstacle_here("tcp://10.0.0.2:2376")


def test_names_of_bridges_fit_an_interface() -> None:
    assert len(prefix_of("ab12")) + 9 <= 15
    assert ip_network("10.213.0.0/16").is_private
