"""The settings files that the demo writes are read by the programs that they are for."""

from pathlib import Path

from core.config import AgentConfig, BotConfig, load
from demo import cast
from demo.folder import Folder
from demo.programs import agent_program, bot_program
from demo.stage import Stage
from demo.stores import Stores, plain
from setup.engine import Engine


def _stage(root: Path, engine: Engine | None, stores: Stores | None = None) -> Stage:
    folder = Folder(root)
    return Stage(folder, folder.remember(), engine, "" if engine else "no engine is needed here", stores or plain(folder, "not needed"))


def test_the_bots_settings_point_at_the_local_discord_and_the_stores(tmp_path: Path) -> None:
    stage = _stage(tmp_path, None, Stores("mysql+aiomysql://aerie:x@127.0.0.1:8710/aerie", "redis://127.0.0.1:8711/0"))
    bot_program(stage)
    config = load(BotConfig, tmp_path / "bot.toml", {})
    assert config.discord.sandbox_url == f"http://127.0.0.1:{stage.remembered.ports['sandbox']}"
    assert config.discord.token.get_secret_value() == stage.remembered.secrets["bot_token"]
    assert config.database.url.get_secret_value() == stage.stores.database_url
    assert config.backplane.url.get_secret_value() == stage.stores.backplane_url
    assert (tmp_path / "bot.toml").stat().st_mode & 0o077 == 0


def test_the_agents_settings_follow_what_the_stage_has(tmp_path: Path) -> None:
    agent_program(_stage(tmp_path, None), "attic")
    assert load(AgentConfig, tmp_path / "agent-attic.toml", {}).docker.runtime == "process"
    stage = _stage(tmp_path, Engine("unix:///x.sock", "DOCKER_HOST", "20.10", None))
    agent_program(stage, "attic")
    config = load(AgentConfig, tmp_path / "agent-attic.toml", {})
    assert (config.docker.runtime, config.docker.host, config.docker.network) == ("docker", "unix:///x.sock", stage.network)
    assert config.remote.token_id == stage.remembered.secrets["attic_id"]


def test_the_nodes_share_nothing_but_the_engine_and_its_network(tmp_path: Path) -> None:
    stage = _stage(tmp_path, Engine("unix:///x.sock", "DOCKER_HOST", "20.10", None))
    configs = []
    for node in cast.NODES:
        agent_program(stage, node)
        configs.append(load(AgentConfig, tmp_path / f"agent-{node}.toml", {}))
    one, other = configs
    assert one.docker == other.docker
    assert one.api.port != other.api.port
    assert one.sftp.port != other.sftp.port
    assert one.remote.token_id != other.remote.token_id
    assert one.system.root_directory != other.system.root_directory
    assert one.system.data != other.system.data
