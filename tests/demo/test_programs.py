"""The settings files that the demo writes are read by the programs that they are for."""

from pathlib import Path

from core.config import AgentConfig, BotConfig, load
from demo.folder import Folder
from demo.programs import agent_program, bot_program
from demo.stage import Stage
from setup.engine import Engine


def _stage(root: Path, engine: Engine | None) -> Stage:
    folder = Folder(root)
    return Stage(folder, folder.remember(), engine, "" if engine else "no engine is needed here")


def test_the_bots_settings_point_at_the_local_discord(tmp_path: Path) -> None:
    stage = _stage(tmp_path, None)
    bot_program(stage)
    config = load(BotConfig, tmp_path / "bot.toml", {})
    assert config.discord.sandbox_url == f"http://127.0.0.1:{stage.remembered.ports['sandbox']}"
    assert config.discord.token.get_secret_value() == stage.remembered.secrets["bot_token"]
    assert (tmp_path / "bot.toml").stat().st_mode & 0o077 == 0


def test_the_agents_settings_follow_what_the_stage_has(tmp_path: Path) -> None:
    agent_program(_stage(tmp_path, None))
    assert load(AgentConfig, tmp_path / "agent.toml", {}).docker.runtime == "process"
    stage = _stage(tmp_path, Engine("unix:///x.sock", "DOCKER_HOST", "20.10", None))
    agent_program(stage)
    config = load(AgentConfig, tmp_path / "agent.toml", {})
    assert (config.docker.runtime, config.docker.host, config.docker.network) == ("docker", "unix:///x.sock", stage.network)
    assert config.remote.token_id == stage.remembered.secrets["token_id"]
