"""`aerie init`: whole folders, secrets for their program alone, nothing overwritten."""

import stat
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from sqlalchemy.engine import make_url

from core.config import AgentConfig, BotConfig, load
from core.errors import Invalid
from core.seal import Seal
from front.deployment import SOURCE, Unwritable, agent_folder, bot_folder


def _yaml(file: Path) -> dict[str, dict[str, dict[str, object]]]:
    loaded: dict[str, dict[str, dict[str, object]]] = YAML(typ="safe").load(file.read_text())
    return loaded


def test_the_bots_folder_holds_settings_the_bot_can_use(tmp_path: Path) -> None:
    bot_folder(tmp_path, "https://aerie.example.net/")
    named = {
        f"AERIE_{name}_FILE": str(tmp_path / "secrets" / file)
        for name, file in {"DATABASE__URL": "database_url", "SECURITY__KEY": "security_key", "DISCORD__TOKEN": "discord_token"}.items()
    }
    config = load(BotConfig, None, named)
    address = make_url(config.database.url.get_secret_value())
    assert address.password == (tmp_path / "secrets/database_password").read_text().strip()
    seal = Seal(config.security.key.get_secret_value())
    assert seal.open(seal.close("x")) == "x"
    assert "AERIE_PUBLIC_URL=https://aerie.example.net\n" in (tmp_path / ".env").read_text()


def test_the_agents_folder_holds_settings_the_agent_can_use(tmp_path: Path) -> None:
    written = agent_folder(tmp_path, "https://aerie.example.net", "a" * 16)
    config = load(AgentConfig, tmp_path / "config/aerie.toml", {})
    assert (config.remote.url, config.remote.token_id) == ("https://aerie.example.net", "a" * 16)
    assert any("node_token" in step for step in written.then)


def test_a_nodes_whole_token_is_put_where_it_belongs(tmp_path: Path) -> None:
    written = agent_folder(tmp_path, "https://aerie.example.net", "", f"{'a' * 16}.{'b' * 64}")
    assert load(AgentConfig, tmp_path / "config/aerie.toml", {}).remote.token_id == "a" * 16
    assert (tmp_path / "secrets/node_token").read_text() == "b" * 64 + "\n"
    assert not any("node_token" in step for step in written.then)
    with pytest.raises(Invalid, match=r"ID\.SECRET"):
        agent_folder(tmp_path / "other", "https://aerie.example.net", "", "a" * 16)


@pytest.mark.parametrize("program", ["bot", "agent"])
def test_secrets_are_closed_to_others_and_every_one_the_compose_file_names_is_there(tmp_path: Path, program: str) -> None:
    if program == "bot":
        bot_folder(tmp_path, "http://127.0.0.1:8400")
        compose = _yaml(tmp_path / "docker-compose.yml")
    else:
        agent_folder(tmp_path, "http://127.0.0.1:8400", "")
        compose = _yaml(tmp_path / "docker-compose.agent.yml")
    files = [tmp_path / str(secret["file"]) for secret in compose["secrets"].values()]
    assert files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    builds = [service["build"] for service in compose["services"].values() if "build" in service]
    assert builds == [str(SOURCE)]


def test_a_second_time_overwrites_nothing(tmp_path: Path) -> None:
    first = bot_folder(tmp_path, "http://127.0.0.1:8400")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    again = bot_folder(tmp_path, "http://other:1")
    assert again.made == []
    assert sorted(again.kept) == sorted(first.made)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_half_a_password_is_refused(tmp_path: Path) -> None:
    bot_folder(tmp_path, "http://127.0.0.1:8400")
    (tmp_path / "secrets/database_url").unlink()
    with pytest.raises(Invalid, match="only one is there"):
        bot_folder(tmp_path, "http://127.0.0.1:8400")


@pytest.mark.parametrize("url", ["", "aerie.example.net", "ftp://x", "http://", 'http://a"b', "http://a:99999", "http://a b"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Invalid, match="is no address"):
        bot_folder(tmp_path / "x", url)
    assert not (tmp_path / "x").exists()


def test_a_token_id_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="16 letters"):
        agent_folder(tmp_path, "http://127.0.0.1:8400", "abc")


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unwritable, match="cannot be written"):
        bot_folder(tmp_path / "file", "http://127.0.0.1:8400")


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.agent.yml"])
def test_every_service_restarts_rotates_its_log_and_says_how_it_is(name: str) -> None:
    for service in _yaml(SOURCE / name)["services"].values():
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]
        assert "max-size" in str(service["logging"])


def test_only_the_bots_endpoint_is_published() -> None:
    services = _yaml(SOURCE / "docker-compose.yml")["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["bot"]


@pytest.mark.parametrize(("name", "kind"), [("docker-compose.yml", BotConfig), ("docker-compose.agent.yml", AgentConfig)])
def test_the_compose_files_name_settings_that_exist(
    name: str, kind: type[BotConfig] | type[AgentConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("x")
    monkeypatch.chdir(tmp_path)  # no aerie.toml here
    for service in _yaml(SOURCE / name)["services"].values():
        environment = service.get("environment")
        assert isinstance(environment, dict) or environment is None
        for variable, value in (environment or {}).items():
            if variable.startswith("AERIE_") and variable != "AERIE_CONFIG" and "$" not in str(value):
                load(kind, None, {variable: str(tmp_path / "secret") if variable.endswith("_FILE") else str(value)})
            elif "$" in str(value) and variable.startswith("AERIE_"):
                section, _, key = variable.removeprefix("AERIE_").lower().partition("__")
                assert key in kind.model_fields[section].annotation.model_fields  # type: ignore[union-attr]


def test_agents_folders_lie_at_the_same_path_inside_and_outside() -> None:
    volumes = _yaml(SOURCE / "docker-compose.agent.yml")["services"]["agent"]["volumes"]
    assert isinstance(volumes, list)
    kept = [volume for volume in volumes if "AERIE_FOLDER" in volume or "AERIE_LOG_FOLDER" in volume]
    assert len(kept) == 2
    for volume in kept:
        outside = volume[: len(volume) // 2]
        assert volume == f"{outside}:{outside}"
