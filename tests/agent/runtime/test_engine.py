"""What podman says of itself and of what it refuses, as the agent takes it."""

from pathlib import Path

import pytest

from agent.runtime import engine
from agent.runtime.confinement import host_config
from agent.runtime.docker_errors import meaning
from core.config import AgentConfig
from core.errors import NotConfigured, ProcessGone, RuntimeFailure

PODMAN = {"BuildahVersion": "1.28.2", "Plugins": {"Log": ["k8s-file", "none", "passthrough", "journald"]}, "Rootless": False}
DOCKER = {"Plugins": {"Log": ["awslogs", "json-file", "local"]}, "SecurityOptions": ["name=seccomp,profile=builtin"]}


def test_docker_gets_the_settings_as_they_are() -> None:
    assert engine.suited(AgentConfig(), DOCKER) == AgentConfig()
    assert engine.suited(AgentConfig(), {}) == AgentConfig()
    assert not engine.is_rootless(DOCKER)


def test_podman_gets_a_log_driver_that_it_has_and_a_bound_for_processes() -> None:
    suited = engine.suited(AgentConfig(), PODMAN).docker
    assert suited.log_driver == "k8s-file"
    assert {"Name": "nproc", "Soft": suited.nproc, "Hard": suited.nproc} in host_config(suited, [])["Ulimits"]


def test_what_the_owner_chose_is_kept_where_podman_can_do_it() -> None:
    wanted = AgentConfig.model_validate({"docker": {"log_driver": "journald", "nproc": 100, "tmpfs_inodes": 0}})
    assert engine.suited(wanted, PODMAN) == wanted


@pytest.mark.parametrize("info", [{"Rootless": True}, {"SecurityOptions": ["name=seccomp", "name=rootless"]}])
def test_an_engine_without_root_is_recognised(info: dict[str, object]) -> None:
    assert engine.is_rootless(info)


def test_the_agent_must_be_the_user_of_an_engine_without_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "podman.sock"
    socket.touch()
    engine.check_user(f"unix://{socket}")
    engine.check_user("tcp://127.0.0.1:2375")
    monkeypatch.setattr("os.geteuid", lambda: socket.stat().st_uid + 1)
    with pytest.raises(NotConfigured, match="runs without root as user"):
        engine.check_user(f"unix://{socket}")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "container 9a2a does not exist in database: no such container"),
        (409, "can only kill running containers. 9a2a is in state exited: container state improper"),
        (404, "no container with name or ID"),
        (409, "Container 9a2a is not running"),
    ],
)
def test_a_container_that_is_gone_is_gone_in_podmans_words_too(status: int, words: str) -> None:
    assert isinstance(meaning(status, words, ""), ProcessGone)
    assert not isinstance(meaning(500, "the disk is on fire", ""), ProcessGone)
    assert isinstance(meaning(500, "the disk is on fire", ""), RuntimeFailure)
