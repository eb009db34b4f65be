"""The demo's bot and agents as programs on their stage: their settings files, their command lines, how to tell that they are ready.

Settings are written anew at each start, so that a changed port or engine is taken up. Must never write a secret of a real system.
"""

import json
from pathlib import Path
from typing import Any

from demo.children import Program, aerie, answers
from demo.play import HOST
from demo.stage import Stage

GAME_USER = 988  # as the images' Dockerfile makes it


def bot_program(stage: Stage) -> Program:
    """The control plane, pointed at the local Discord, on MariaDB and Redis where the stage has them."""
    port = stage.remembered.ports["bot"]
    path = stage.folder.root / "bot.toml"
    _write(
        path,
        {
            "discord": {
                "token": stage.remembered.secrets["bot_token"],
                "sandbox_url": f"http://{HOST}:{stage.remembered.ports['sandbox']}",
            },
            "database": {"url": stage.stores.database_url},
            "security": {"key": stage.remembered.secrets["seal"]},
            "backplane": {"url": stage.stores.backplane_url},
            "endpoint": {"host": HOST, "port": port},
        },
    )

    async def ready() -> bool:
        return await answers(HOST, port, "/ready") == 200

    return Program("bot", aerie("bot", "--config", str(path)), ready, ready_seconds=60.0)


def agent_program(stage: Stage, node: str) -> Program:
    """A node's daemon, on Docker or, where there is none, on plain processes."""
    ports, secrets = stage.remembered.ports, stage.remembered.secrets
    port, token = ports[f"agent-{node}"], secrets[f"{node}_token"]
    path = stage.folder.root / f"agent-{node}.toml"
    data = stage.folder.agent_data(node)
    docker: dict[str, Any] = {"runtime": "process"}
    if stage.engine is not None:  # both nodes share a network, as they share the machine
        docker = {"runtime": "docker", "host": stage.engine.host, "network": stage.network, "network_subnet": ""}
    _write(
        path,
        {
            "api": {"host": HOST, "port": port},
            "remote": {"url": f"http://{HOST}:{ports['bot']}", "token_id": secrets[f"{node}_id"], "token": token},
            "system": {
                "root_directory": str(data),
                "data": str(data / "volumes"),
                "uid": GAME_USER,
                "gid": GAME_USER,
            },
            "docker": docker,
            "sftp": {"host": HOST, "port": ports[f"sftp-{node}"]},
        },
    )

    async def ready() -> bool:
        return await answers(HOST, port, "/api/servers", {"Authorization": f"Bearer {token}"}) == 200

    return Program(f"agent-{node}", aerie("agent", "--config", str(path)), ready, ready_seconds=60.0)


def _write(path: Path, sections: dict[str, dict[str, Any]]) -> None:
    """TOML of plain sections; JSON's strings and numbers are TOML's too."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        lines.append("")
    path.touch(mode=0o600)
    path.write_text("\n".join(lines), encoding="utf-8")
