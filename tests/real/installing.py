"""An agent that begins to install one server as soon as it runs: to be killed in the middle of it."""

import asyncio
import sys
from pathlib import Path

from agent.app import running
from core.config import AgentConfig, load
from core.protocol.agent import CreateServer


async def main(file: Path, uuid: str) -> None:
    async with running(load(AgentConfig, file, {})) as agent:
        agent.manager.get(uuid).install_failed = True
        await agent.manager.create(CreateServer(uuid=uuid))
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
