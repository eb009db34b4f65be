"""A server's settings as Docker wants them: Wings' options, number by number."""

from pathlib import Path

import pytest

from agent.runtime.container import MARK, body, mark, same
from core.config import AgentConfig
from core.protocol.settings import ServerConfiguration

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
    assert config["Tmpfs"] == {"/tmp": "rw,exec,nosuid,nodev,size=100M,nr_inodes=65536"}
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


def test_mounts_are_handed_on_and_a_user_namespace_only_where_there_is_one() -> None:
    one = {"Type": "bind", "Source": "/srv/maps", "Target": "/maps", "ReadOnly": True}
    settings = ServerConfiguration.model_validate({"settings": {"uuid": UUID, "container": {"image": "~games/demo:1"}}})
    made = body(settings, AgentConfig(), Path("/srv"), mounts=[one])["HostConfig"]
    assert made["Mounts"] == [one]
    assert "UsernsMode" not in made
    config = AgentConfig.model_validate({"docker": {"userns_mode": "host"}})
    assert body(settings, config, Path("/srv"))["HostConfig"]["UsernsMode"] == "host"


@pytest.mark.parametrize("name", ["com.docker.compose.project", "traefik.enable", "Service", "ContainerType", "dev.aerie.server"])
def test_doc_3_no_label_of_a_panel_beats_ours_or_moves_other_programs(name: str) -> None:
    labels = made(labels={name: "mine", "aerie.note": "kept"})["Labels"]
    assert labels == {"Service": "Pterodactyl", "ContainerType": "server_process", "dev.aerie.server": UUID, "aerie.note": "kept"}


def test_doc_3_ours_win_even_where_the_owner_lets_every_label_in() -> None:
    config = AgentConfig.model_validate({"docker": {"label_prefixes": [""]}})
    settings = ServerConfiguration.model_validate(
        {
            "settings": {
                "uuid": UUID,
                "container": {"image": "~a"},
                "labels": {"Service": "x", "dev.aerie.server": "y", "traefik.enable": "1"},
            }
        }
    )
    labels = body(settings, config, Path("/srv"))["Labels"]
    assert (labels["Service"], labels["dev.aerie.server"], labels["traefik.enable"]) == ("Pterodactyl", UUID, "1")


def test_doc_2_a_start_up_line_full_of_shell_is_one_variable_and_nothing_else() -> None:
    line = "java -jar x.jar; $(touch /tmp/x) `id` && rm -rf / | sh > /dev/null # \"' {{SERVER_PORT}}"
    created = made(invocation=line)
    assert f"STARTUP={line}" in created["Env"]  # type: ignore[operator]
    assert not {"Cmd", "Entrypoint"} & created.keys()


def test_a_container_serves_again_only_when_it_is_the_same_in_all_and_off() -> None:
    wanted, other = made(), made(environment={"LEVEL": "8"})
    mark(wanted)
    mark(other)
    assert wanted["Labels"][MARK] != other["Labels"][MARK]  # type: ignore[index]
    shown = {"State": {"Status": "exited"}, "Config": {"Labels": wanted["Labels"]}, "Image": "sha256:1", "Mounts": [{"Type": "bind"}]}
    assert same(shown, wanted, "sha256:1")
    assert not same(shown, other, "sha256:1")
    assert not same(shown, wanted, "sha256:2")
    assert not same({**shown, "State": {"Status": "running"}}, wanted, "sha256:1")
    assert not same({**shown, "Mounts": [{"Type": "volume"}]}, wanted, "sha256:1")
    assert not same({**shown, "Config": {"Labels": None}}, wanted, "sha256:1")
    wanted["HostConfig"]["ReadonlyRootfs"] = False  # type: ignore[index]
    assert not same(shown, wanted, "sha256:1")
