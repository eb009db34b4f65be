"""Settings: where they come from, which source wins, and what a wrong one is told."""

from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr

from core.agent_settings import DockerSection, RegistryLogin
from core.config import AgentConfig, BotConfig, Config, docker_host, load
from core.errors import NotConfigured

PROGRAMS = (BotConfig, AgentConfig)


def _sections(program: type[Config]) -> list[tuple[str, str]]:
    found = []
    for section, field in program.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += [(section, key) for key in field.annotation.model_fields]
    return found


SETTINGS = [(program, section, key) for program in PROGRAMS for section, key in _sections(program)]


def _other(value: object, annotation: object) -> tuple[str, object]:
    """A value that differs from the default, as a variable's text and as it is read."""
    if get_origin(annotation) is Literal:
        other = next(choice for choice in get_args(annotation) if choice != value)
        return str(other), other
    match value:
        case bool():
            return str(not value).lower(), not value
        case int() | float():
            return str(value + 1), value + 1
        case list() if annotation == list[int]:
            return "1, 2", [1, 2]
        case list():
            return "one, two", ["one", "two"]
        case SecretStr():
            return "sqlite+aiosqlite:///other", SecretStr("sqlite+aiosqlite:///other")
        case dict() if annotation == dict[int, float]:
            return '{"2048": 1.5}', {2048: 1.5}
        case dict():
            return '{"ghcr.io": {"username": "me"}}', {"ghcr.io": RegistryLogin(username="me")}
        case Path():
            return "/elsewhere", Path("/elsewhere")
        case None if "Path" in str(annotation):
            return "/elsewhere", Path("/elsewhere")
        case None:
            return "77", 77
        case _:
            return "changed", "changed"


@pytest.fixture(autouse=True)
def _no_settings_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("program", "section", "key"), SETTINGS, ids=lambda part: getattr(part, "__name__", part))
def test_each_setting_is_read_from_the_environment(program: type[Config], section: str, key: str) -> None:
    default = getattr(load(program, environment={}), section)
    text, expected = _other(getattr(default, key), type(default).model_fields[key].annotation)
    config = load(program, environment={f"AERIE_{section}__{key}".upper(): text})
    assert getattr(getattr(config, section), key) == expected


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_any_settings_everything_has_its_default(program: type[Config]) -> None:
    assert load(program, environment={}) == program()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[endpoint]\nport = 1\nhost = "10.0.0.1"\n')
    config = load(BotConfig, file, {"AERIE_ENDPOINT__PORT": "2"})
    assert (config.endpoint.port, config.endpoint.host) == (2, "10.0.0.1")


def test_the_file_named_by_the_caller_wins_over_the_one_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[endpoint]\nport = 1\n")
    (tmp_path / "b.toml").write_text("[endpoint]\nport = 2\n")
    environment = {"AERIE_CONFIG": str(tmp_path / "b.toml")}
    assert load(BotConfig, environment=environment).endpoint.port == 2
    assert load(BotConfig, tmp_path / "a.toml", environment).endpoint.port == 1


def test_aerie_toml_in_the_current_folder_is_read_unasked(tmp_path: Path) -> None:
    (tmp_path / "aerie.toml").write_text("[endpoint]\nport = 3\n")
    assert load(BotConfig, environment={}).endpoint.port == 3


def test_one_file_holds_the_settings_of_both_programs(tmp_path: Path) -> None:
    file = tmp_path / "both.toml"
    file.write_text('allowed_origins = ["http://a"]\n[endpoint]\nport = 1\n[api]\nport = 2\n[log]\nlevel = "DEBUG"\n')
    bot, agent = load(BotConfig, file, {}), load(AgentConfig, file, {})
    assert (bot.endpoint.port, agent.api.port, agent.allowed_origins) == (1, 2, ["http://a"])
    assert bot.log.level == agent.log.level == "DEBUG"


def test_a_secret_can_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-token\n")
    config = load(BotConfig, environment={"AERIE_DISCORD__TOKEN_FILE": str(tmp_path / "token")})
    assert config.discord.token.get_secret_value() == "s3cret-token"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "not text"])
def test_an_unreadable_secret_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(NotConfigured, match="AERIE_DISCORD__TOKEN_FILE names a file that cannot be read"):
        load(BotConfig, environment={"AERIE_DISCORD__TOKEN_FILE": str(tmp_path / "token")})


def test_settings_of_no_section_are_read_from_the_environment() -> None:
    assert load(AgentConfig, environment={"AERIE_ALLOWED_ORIGINS": "http://a, http://b"}).allowed_origins == ["http://a", "http://b"]


def test_an_empty_variable_is_an_empty_list_or_nothing_at_all() -> None:
    assert load(AgentConfig, environment={"AERIE_DOCKER__DNS": ""}).docker.dns == []
    assert load(BotConfig, environment={"AERIE_DISCORD__TEST_GUILD": ""}).discord.test_guild is None


def test_variables_of_others_are_left_alone() -> None:
    environment = {"AERIE_CONFIG": "", "AERIE_DEMO": "1", "AERIE_API__PORT": "1", "HOME": "/", "AERIE_": "x", "aerie_endpoint__port": "9"}
    assert load(BotConfig, environment=environment) == BotConfig()


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("AERIE_ENDPOINT__PORT", "many", "endpoint.port"),
        ("AERIE_ENDPOINT__PORT", "70000", "endpoint.port"),
        ("AERIE_LOG__LEVEL", "LOUD", "log.level"),
        ("AERIE_ENDPOINT__PORTT", "1", r"AERIE_ENDPOINT__PORTT is not a setting: \[endpoint\] has no portt"),
        ("AERIE_CONSOLE__INTERVAL", "0", "console.interval"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, text: str, said: str) -> None:
    with pytest.raises(NotConfigured, match=said) as caught:
        load(BotConfig, environment={variable: text})
    assert "aerie.example.toml" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[endpoint]\nprot = 1\n", "endpoint.prot"),
        ("[endpiont]\nport = 1\n", "sections nobody reads: endpiont"),
        ("endpoint = 5\n", "endpoint"),
        ("[endpoint\n", "cannot be read"),
    ],
)
def test_a_wrong_file_is_told_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(NotConfigured, match=said):
        load(BotConfig, file, {"AERIE_ENDPOINT__HOST": "127.0.0.1"})


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(NotConfigured, match=r"nowhere\.toml does not exist"):
        load(BotConfig, Path("nowhere.toml"), {})


def test_errors_and_dumps_hold_no_secret() -> None:
    environment = {"AERIE_DISCORD__TOKEN": "very-secret-token", "AERIE_ENDPOINT__PORT": "x"}
    with pytest.raises(NotConfigured) as caught:
        load(BotConfig, environment=environment)
    assert "very-secret-token" not in str(caught.value)
    config = load(BotConfig, environment={"AERIE_DISCORD__TOKEN": "very-secret-token"})
    assert "very-secret-token" not in repr(config) + config.model_dump_json()


@pytest.mark.parametrize(
    ("setting", "environment", "expected"),
    [
        ("unix:///a.sock", {"DOCKER_HOST": "unix:///b.sock"}, "unix:///a.sock"),
        ("", {"DOCKER_HOST": "unix:///b.sock"}, "unix:///b.sock"),
        ("", {}, "unix:///var/run/docker.sock"),
    ],
)
def test_the_docker_engine_is_the_setting_else_docker_host_else_the_usual_socket(
    setting: str, environment: dict[str, str], expected: str
) -> None:
    assert docker_host(DockerSection(host=setting), environment) == expected


def test_a_secret_may_stand_in_a_file_that_the_settings_file_names(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    (tmp_path / "aerie.toml").write_text(f'[discord]\ntoken_file = "{tmp_path}/token"\n')
    assert load(BotConfig, tmp_path / "aerie.toml", {}).discord.token.get_secret_value() == "hush"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('token_file = "/nowhere/token"', r"\[discord\] token_file names a file that cannot be read: No such file"),
        ('token_file = "/nowhere"\ntoken = "x"', "has both token and token_file"),
        ("token_file = 5", "must be a path"),
        ('sandbox_url_file = "/x"', "sandbox_url_file"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "aerie.toml").write_text(f"[discord]\n{line}\n")
    with pytest.raises(NotConfigured, match=words):
        load(BotConfig, tmp_path / "aerie.toml", {})


def test_a_registry_s_password_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    (tmp_path / "aerie.toml").write_text(f'[docker.registries."ghcr.io/team"]\nusername = "me"\npassword_file = "{tmp_path}/token"\n')
    login = load(AgentConfig, tmp_path / "aerie.toml", {}).docker.registries["ghcr.io/team"]
    assert (login.username, login.password.get_secret_value()) == ("me", "hush")
    assert "hush" not in repr(login)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[docker.registries."ghcr.io"]\npassword_file = "/nowhere/x"', r'\[docker.registries."ghcr.io"\] password_file names a file'),
        ('[docker.registries."ghcr.io"]\nuser = "x"', "ghcr.io.user"),
        ("[docker]\nregistries = 5", "docker.registries"),
        ("[docker.registries]\nx = 5", "docker.registries.x"),
    ],
)
def test_a_wrong_table_of_registries_is_told_where(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "aerie.toml").write_text(f"{table}\n")
    with pytest.raises(NotConfigured, match=words):
        load(AgentConfig, tmp_path / "aerie.toml", {})


def test_a_table_in_the_environment_is_json() -> None:
    assert load(AgentConfig, environment={"AERIE_DOCKER__OVERHEAD": ""}).docker.overhead == {}
    with pytest.raises(NotConfigured, match=r"docker\.overhead"):
        load(AgentConfig, environment={"AERIE_DOCKER__OVERHEAD": "2048=1.5"})
