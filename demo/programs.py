"""The demo's bot and agent as programs on their stage: their settings files, their command lines, how to tell that they are ready.

Settings are written anew at each start, so that a changed port or engine is taken up. Must never write a secret of a real system.
"""

import json
from typing import Any

from demo.children import Program, aerie, answers
from demo.play import HOST
from demo.stage import Stage

GAME_USER = 988  # as the images' Dockerfile makes it


def bot_program(stage: Stage) -> Program:
    """The control plane on SQLite, pointed at the local Discord."""
    port = stage.remembered.ports["bot"]
    path = stage.folder.root / "bot.toml"
    _write(
        path,
        {
            "discord": {
                "token": stage.remembered.secrets["bot_token"],
                "sandbox_url": f"http://{HOST}:{stage.remembered.ports['sandbox']}",
            },
            "database": {"url": database_url(stage)},
            "endpoint": {"host": HOST, "port": port},
        },
    )

    async def ready() -> bool:
        return await answers(HOST, port, "/ready") == 200

    return Program("bot", aerie("bot", "--config", str(path)), ready)


def agent_program(stage: Stage) -> Program:
    """The node's daemon, on Docker or, where there is none, on plain processes."""
    port = stage.remembered.ports["agent"]
    secrets = stage.remembered.secrets
    path = stage.folder.root / "agent.toml"
    data = stage.folder.agent_data
    docker: dict[str, Any] = {"runtime": "process"}
    if stage.engine is not None:
        docker = {"runtime": "docker", "host": stage.engine.host, "network": stage.network}
    _write(
        path,
        {
            "api": {"host": HOST, "port": port},
            "remote": {"url": f"http://{HOST}:{stage.remembered.ports['bot']}", "token_id": secrets["token_id"], "token": secrets["token"]},
            "system": {
                "root_directory": str(data),
                "data": str(data / "volumes"),
                "uid": GAME_USER,
                "gid": GAME_USER,
            },
            "docker": docker,
            "sftp": {"host": HOST, "port": stage.remembered.ports["sftp"]},
        },
    )

    async def ready() -> bool:
        return await answers(HOST, port, "/api/servers", {"Authorization": f"Bearer {secrets['token']}"}) == 200

    return Program("agent", aerie("agent", "--config", str(path)), ready)


def database_url(stage: Stage) -> str:
    """The demo's SQLite file as SQLAlchemy names it."""
    return f"sqlite+aiosqlite:///{stage.folder.database}"


def _write(path: Any, sections: dict[str, dict[str, Any]]) -> None:
    """TOML of plain sections; JSON's strings and numbers are TOML's too."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        lines.append("")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines), encoding="utf-8")
