"""What an egg may have back, and what it may not."""

from pathlib import Path

import pytest

from agent.runtime import installer
from agent.runtime.confinement import Place, capabilities, host_config, labels
from agent.runtime.container import body
from core.agent_settings import DockerSection
from core.config import AgentConfig
from core.protocol.remote import InstallScript
from core.protocol.settings import ServerConfiguration

UUID = "11111111-2222-4333-8444-555555555555"


def configuration(**settings: object) -> ServerConfiguration:
    return ServerConfiguration.model_validate({"settings": {"uuid": UUID, "container": {"image": "~games/demo:1"}, **settings}})


def test_an_egg_gets_back_what_the_node_allows() -> None:
    assert capabilities({"aerie.capabilities": "cap_chown, SETUID fowner"}, DockerSection()) == ["CHOWN", "FOWNER", "SETUID"]


@pytest.mark.parametrize("name", ["SYS_ADMIN", "ALL", "cap_net_admin", "NET_RAW", "MKNOD", "NOT_A_CAPABILITY", "", "CHOWN;ALL"])
def test_an_egg_does_not_get_the_rest(name: str) -> None:
    assert capabilities({"aerie.capabilities": name}, DockerSection()) == []


def test_no_setting_gives_back_what_leads_outside() -> None:
    docker = DockerSection(capabilities=["SYS_ADMIN", "NET_RAW", "SYS_NICE"])
    assert capabilities({"aerie.capabilities": "SYS_ADMIN,NET_RAW,SYS_NICE"}, docker) == ["SYS_NICE"]


def test_labels_of_the_panel_neither_replace_ours_nor_speak_to_other_programs() -> None:
    given = {"dev.aerie.server": "other", "Service": "x", "traefik.enable": "true", "com.docker.compose.project": "x", "aerie.team": "a"}
    made = body(configuration(labels=given), AgentConfig(), Path("/srv"))["Labels"]
    assert made == {"aerie.team": "a", "Service": "Pterodactyl", "ContainerType": "server_process", "dev.aerie.server": UUID}
    assert labels({"traefik.enable": "true"}, DockerSection(label_prefixes=["traefik."]), {}) == {"traefik.enable": "true"}


def test_what_is_a_server_s_own_takes_the_place_of_the_node_s() -> None:
    place = Place(user="70001:70001", network="aerie-x", binds=("/srv/p:/etc/passwd:ro",))
    made = body(configuration(), AgentConfig(), Path("/srv"), place=place)
    assert (made["User"], made["HostConfig"]["NetworkMode"]) == ("70001:70001", "aerie-x")
    assert made["HostConfig"]["Binds"] == ["/srv:/home/container:rw", "/srv/p:/etc/passwd:ro"]
    assert "HOME=/home/container" in made["Env"]
    assert "HOME=/elsewhere" in body(configuration(environment={"HOME": "/elsewhere"}), AgentConfig(), Path("/srv"))["Env"]


def test_an_installer_is_confined_as_a_server_is() -> None:
    place = Place(network="aerie-x")
    script = InstallScript(container_image="a/b:1")
    made = installer.body(configuration(), script, AgentConfig(), Path("/srv"), Path("/scripts"), place)["HostConfig"]
    assert made["NetworkMode"] == "aerie-x"
    assert (made["Privileged"], made["CapDrop"], made["SecurityOpt"]) == (False, ["ALL"], ["no-new-privileges"])
    assert not {"SYS_ADMIN", "MKNOD", "NET_RAW", "SYS_PTRACE", "SYS_CHROOT", "SETFCAP", "AUDIT_WRITE"} & set(made["CapAdd"])
    assert made["Binds"] == ["/srv:/mnt/server:rw", "/scripts:/mnt/install:ro"]


def test_open_files_are_limited() -> None:
    assert {"Name": "nofile", "Soft": 2048, "Hard": 2048} in host_config(DockerSection(nofile=2048), [])["Ulimits"]
