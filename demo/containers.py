"""The demo's game containers, seen from outside the agent: stopped when the demo ends, removed when one was killed.

Knows them by name alone, which is the server's UUID (as Wings names them). Must never touch a container whose name is not given.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from setup.engine_api import EngineApi, EngineError, query

STOP_SECONDS = 10
BESIDE = "dev.aerie.beside"
"""The label by which agents mark their servers' own networks; its value is the node's network."""


async def stop_all(api: EngineApi, uuids: Iterable[str]) -> list[str]:
    """Stop (SIGTERM, killed after ten seconds) and remove these servers' containers; the UUIDs of those that existed."""
    names = list(uuids)
    stopped = await asyncio.gather(*(asyncio.to_thread(_remove, api, name) for name in names))
    return [name for name, existed in zip(names, stopped, strict=True) if existed]


def _remove(api: EngineApi, name: str) -> bool:
    try:
        api.json("POST", f"/containers/{name}/stop{query(t=STOP_SECONDS)}", timeout=STOP_SECONDS + 20)
        api.json("DELETE", f"/containers/{name}{query(force='true', v='true')}", timeout=30)
    except EngineError as error:
        return error.status not in (0, 404)
    return True


def host_pid(api: EngineApi, name: str) -> int:
    """The process id of a container's first process on the engine's machine; 0 when it is not running. Raises EngineError."""
    return int(api.json("GET", f"/containers/{name}/json")["State"]["Pid"])


def strike(api: EngineApi, name: str) -> None:
    """End a container's process by SIGKILL, behind its agent's back. Raises EngineError."""
    api.json("POST", f"/containers/{name}/kill{query(signal='SIGKILL')}")


def starts(api: EngineApi, name: str, since: float, until: float) -> int:
    """How often the container was started between two moments (seconds since 1970). Raises EngineError."""
    wanted = query(since=f"{since:.3f}", until=f"{until:.3f}", filters={"container": [name], "event": ["start"]})
    return sum(1 for _ in api.events("GET", f"/events{wanted}"))


def remove_network(api: EngineApi, name: str) -> None:
    """Take the demo's network away, and those of its servers beside it, unless something still uses them."""
    try:
        own = [one["Id"] for one in api.json("GET", f"/networks{query(filters={'label': [f'{BESIDE}={name}']})}")]
    except EngineError:
        return
    for network in (*own, name):
        with suppress(EngineError):
            api.json("DELETE", f"/networks/{network}")
