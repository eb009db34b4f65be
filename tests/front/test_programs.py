"""What `aerie up` makes for its own agent."""

from pathlib import Path

from core.config import AgentConfig
from core.services.build import opened
from front.programs import LOCAL_NODE, local_node


async def test_the_first_start_makes_a_node_with_ports_and_the_next_one_finds_it(tmp_path: Path) -> None:
    config = AgentConfig.model_validate({"remote": {"url": "", "token_id": "", "token": ""}})
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3") as services:
        first = await local_node(services, config)
        again = await local_node(services, config)
        node = await services.nodes.by_name(LOCAL_NODE)
        assert (first.id, first.secret) == (again.id, again.secret)
        assert (await services.allocations.counts())[node.id].free == 16
