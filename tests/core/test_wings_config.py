"""A Wings config.yml as it lies on nodes: what it becomes here, and that nothing of it is passed over in silence."""

from pathlib import Path

import pytest

from core import wings_config
from core.config import AgentConfig, BotConfig, load
from core.errors import NotConfigured
from core.wings_config import translate

WINGS = Path(__file__).parents[1] / "golden/wings_config.yml"


def test_every_setting_of_a_wings_node_is_taken_over() -> None:
    config = load(AgentConfig, WINGS, {})
    assert (config.remote.url, config.remote.token_id) == ("https://panel.example.net", "VH3yWuPcnDb2Xq0z")
    assert config.remote.token.get_secret_value() == "k2Jq9ZcTgX7vLr4mB1nYwEoHsD5fUa8pV0iKxNbQeRtGyMzWlChSjAuFdP3I6O7T"
    assert (config.remote.timeout, config.remote.boot_servers_per_page) == (20, 25)
    assert (config.api.host, config.api.port, config.api.trusted_proxies) == ("0.0.0.0", 8443, ["10.0.0.0/8"])
    assert config.api.certificate == Path("/etc/letsencrypt/live/node.example.net/fullchain.pem")
    assert config.api.key == Path("/etc/letsencrypt/live/node.example.net/privkey.pem")
    assert (config.system.root_directory, config.system.data) == (Path("/var/lib/pterodactyl"), Path("/srv/games"))
    assert config.system.log_directory == Path("/var/log/pterodactyl")
    assert (config.system.uid, config.system.gid, config.system.timezone) == (993, 992, "Europe/Berlin")
    assert (config.system.check_permissions_on_boot, config.system.websocket_log_count) == (False, 200)
    assert (config.sftp.host, config.sftp.port, config.sftp.read_only) == ("10.1.2.3", 2222, True)
    assert (config.crash.enabled, config.crash.detect_clean_exit_as_crash, config.crash.timeout) == (True, False, 90)
    assert (config.docker.network, config.docker.network_subnet) == ("pterodactyl_nw", "172.20.0.0/16")
    assert (config.docker.interface, config.docker.dns, config.docker.domainname) == ("172.20.0.1", ["9.9.9.9"], "games.example.net")
    assert (config.docker.tmpfs_size, config.docker.container_pid_limit) == (200, 256)
    assert (config.install.memory, config.install.cpu) == (2048, 200)
    assert (config.docker.log_driver, config.docker.log_max_size, config.docker.log_max_file) == ("json-file", "10m", 2)
    assert (config.throttles.enabled, config.throttles.lines, config.throttles.line_reset_interval) == (True, 1000, 50)
    assert (config.allowed_origins, config.ignore_panel_config_updates) == (["https://other.example.net"], True)
    assert config.log.level == "INFO"
    assert (config.api.upload_limit, config.allow_cors_private_network, config.pull.enabled) == (100, False, True)


def test_what_a_node_of_wings_lets_people_do_stays_as_it_was() -> None:
    text = "api:\n  upload_limit: 512\n  disable_remote_download: true\nallow_cors_private_network: true\n"
    made = translate(f"{text}system:\n  backup_directory: /srv/backups\n")
    assert made.remarks == []
    assert made.values["api"]["upload_limit"] == "512"
    assert made.values["allow_cors_private_network"] == "true"
    assert made.values["backups"]["directory"] == "/srv/backups"
    assert made.values["pull"] == {"enabled": False}


def test_a_panel_of_any_age_signs_addresses_for_a_node_of_wings() -> None:
    assert load(AgentConfig, WINGS, {}).api.unscoped_tokens
    assert not load(AgentConfig, None, {}).api.unscoped_tokens


def test_the_file_is_left_as_it_is() -> None:
    before = (WINGS.read_bytes(), WINGS.stat().st_mtime_ns)
    load(AgentConfig, WINGS, {})
    assert (WINGS.read_bytes(), WINGS.stat().st_mtime_ns) == before


def test_what_the_panel_shows_for_pasting_is_enough_and_the_rest_is_as_under_wings(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(
        "debug: true\ntoken_id: abcdefghijklmnop\ntoken: '1234567890123456789012345678901234567890123456789012345678901234'\n"
        "api:\n  port: 8080\n  ssl:\n    enabled: false\n    cert: /x\n    key: /y\nremote: 'http://panel.example.net'\n"
    )
    config = load(AgentConfig, file, {})
    assert config.remote.token.get_secret_value() == "1234567890123456789012345678901234567890123456789012345678901234"
    assert (config.api.certificate, config.api.key) == (None, None)
    assert (config.system.root_directory, config.system.data) == (Path("/var/lib/pterodactyl"), Path("/var/lib/pterodactyl/volumes"))
    assert (config.docker.network, config.docker.network_subnet) == ("pterodactyl_nw", "172.18.0.0/16")
    assert config.log.level == "DEBUG"
    assert [remark for remark in config.remarks if "may read" not in remark] == []


def test_cfg_2_a_file_with_secrets_that_others_may_read_is_told(tmp_path: Path) -> None:
    for file, text in ((tmp_path / "config.yml", f"token: {'t' * 64}\n"), (tmp_path / "aerie.toml", f'[remote]\ntoken = "{"t" * 64}"\n')):
        file.write_text(text)
        file.chmod(0o640)
        remark = load(AgentConfig, file, {}).remarks[-1]
        assert f"may read {file}, which holds token: chmod 600" in remark
        assert "tttt" not in remark
        file.chmod(0o600)
        assert load(AgentConfig, file, {}).remarks == ()
    file.write_text("[api]\nport = 1\n")
    file.chmod(0o644)
    assert load(AgentConfig, file, {}).remarks == ()


def test_pelicans_own_places_are_meant_when_the_file_is_pelicans() -> None:
    made = translate("app_name: pelican\nsystem:\n  username: pelican\n")
    assert made.values["system"]["data"] == "/var/lib/pelican/volumes"
    assert made.values["docker"]["network"] == "pelican_nw"
    assert made.remarks == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("system:\n  backups:\n    write_limit: 20\n", "system.backups.write_limit has no effect"),
        ("system:\n  disk_check_interval: 0\n", "system.disk_check_interval has no effect"),
        ("Search:\n  max_recursion_depth: 3\n", "Search has no effect"),
        ("remote_query:\n  custom_headers:\n    CF-Access-Client-Id: secret-value\n", "remote_query.custom_headers has no effect"),
        ("docker:\n  enable_native_kvm: true\n", "docker.enable_native_kvm has no effect"),
        ("docker:\n  log_config:\n    config:\n      labels: a\n", "docker.log_config.config.labels has no effect"),
        ("docker:\n  network:\n    name: a\n    network_mode: b\n", "docker.network.name (a) has no effect: servers join b"),
        ("sytem:\n  data: /x\n", "sytem.data is no key of Wings' that we know"),
        ("api:\n  prot: 1\n", "api.prot is no key of Wings' that we know"),
    ],
)
def test_a_key_without_effect_is_told_with_the_reason_and_never_with_a_secret(text: str, said: str) -> None:
    remarks = translate(text).remarks
    assert len(remarks) == 1 and remarks[0].startswith(said), remarks
    assert "secret-value" not in remarks[0]


def test_nothing_is_told_of_keys_that_stand_at_wings_own_defaults() -> None:
    text = WINGS.read_text().replace("somebody", "").replace("a-password-of-a-registry", "").replace("172.20.", "172.18.")
    assert [remark for remark in translate(text).remarks if "registries" not in remark] == []


def test_logins_mounts_and_overheads_are_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(
        "allowed_mounts: [/srv/maps]\ndocker:\n  userns_mode: host\n  network:\n    ispn: true\n    network_mtu: 1400\n"
        "  registries:\n    ghcr.io:\n      username: me\n      password: hush\n"
        "  overhead:\n    override: true\n    default_multiplier: 1.01\n    multipliers:\n      2048: 1.5\n"
    )
    config = load(AgentConfig, file, {})
    assert config.remarks == ()
    docker = config.docker
    assert (config.allowed_mounts, docker.userns_mode, docker.ispn, docker.network_mtu) == (["/srv/maps"], "host", True, 1400)
    assert docker.registries["ghcr.io"].password.get_secret_value() == "hush"
    assert (docker.overhead, docker.overhead_default) == ({2048: 1.5}, 1.01)


def test_every_key_that_wings_writes_is_known_to_us() -> None:
    assert not [remark for remark in translate(WINGS.read_text()).remarks if "no key of Wings'" in remark]


def test_every_setting_that_a_key_becomes_is_one_of_ours() -> None:
    for setting in (*wings_config._BECOMES.values(), *wings_config._defaults("x")):
        kind: object = AgentConfig
        for name in setting.split("."):
            kind = kind.model_fields[name].annotation  # type: ignore[attr-defined]


def test_values_are_read_as_wings_reads_them() -> None:
    made = translate("token_id: 0123456789012345\ntoken: 12e4\nthrottles:\n  enabled: no\napi:\n  host:\n  port: 9000\n")
    assert (made.values["remote"]["token_id"], made.values["remote"]["token"]) == ("0123456789012345", "12e4")
    config = AgentConfig.model_validate(made.values)
    assert (config.throttles.enabled, config.api.host, config.api.port) == (False, "0.0.0.0", 9000)


def test_user_and_time_zone_of_the_machine_count_where_the_file_names_none() -> None:
    text = "system:\n  username: games\n  user:\n    uid: 0\n"
    made = translate(text, timezone="Asia/Tokyo", ids=lambda name: (7, 8) if name == "games" else None)
    assert (made.values["system"]["uid"], made.values["system"]["gid"], made.values["system"]["timezone"]) == (7, 8, "Asia/Tokyo")


def test_a_token_in_a_file_or_in_the_environment_is_taken_from_there(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * 64 + "\n")
    file = tmp_path / "config.yml"
    file.write_text(f"token_id: abc\ntoken: file://{tmp_path}/token\nremote: https://panel\n")
    assert load(AgentConfig, file, {}).remote.token.get_secret_value() == "t" * 64
    assert load(AgentConfig, file, {"WINGS_TOKEN": "e" * 64, "WINGS_TOKEN_ID": "other"}).remote.token_id == "other"


def test_our_own_variables_win_over_a_wings_file() -> None:
    assert load(AgentConfig, WINGS, {"AERIE_SYSTEM__DATA": "/elsewhere"}).system.data == Path("/elsewhere")


@pytest.mark.parametrize("text", ["a: [1\n", "- a\n", "", "a: b: c\n", "\x00"])
def test_a_file_that_is_no_table_of_keys_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text(text)
    with pytest.raises(NotConfigured, match="cannot be read"):
        load(AgentConfig, file, {})


def test_a_value_that_cannot_be_used_is_named() -> None:
    with pytest.raises(NotConfigured, match=r"api\.port"):
        load(AgentConfig, WINGS, {"AERIE_API__PORT": "99999"})


def test_the_bot_takes_no_settings_from_wings() -> None:
    with pytest.raises(NotConfigured, match="holds nothing for the bot"):
        load(BotConfig, WINGS, {})


def test_remarks_name_the_file_and_do_not_make_two_settings_differ(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text("system:\n  backups:\n    write_limit: 20\n")
    config = load(AgentConfig, file, {})
    assert config.remarks and all(str(file) in remark for remark in config.remarks)
    assert config.model_copy().remarks == config.remarks
    assert AgentConfig().remarks == ()
