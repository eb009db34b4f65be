"""All services, wired once. Commands, routes and workers see `Services`; services themselves are given only what they use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.backplane.backplane import Backplane, open_backplane
from core.clock import Clock, SystemClock
from core.db.engine import Database
from core.db.migrate import upgrade
from core.rpc.pool import NodePool
from core.seal import Seal, open_seal
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.console import Console
from core.services.eggs import Eggs
from core.services.guilds import Guilds
from core.services.live import LiveBoard
from core.services.nodes import Nodes
from core.services.power import Power
from core.services.servers import Servers


@dataclass(frozen=True, slots=True)
class Services:
    access: Access
    activity: ActivityLog
    console: Console
    eggs: Eggs
    guilds: Guilds
    live: LiveBoard
    nodes: Nodes
    power: Power
    servers: Servers
    database: Database
    """For /ready alone, which asks whether it answers."""
    backplane: Backplane


def build(
    database: Database, backplane: Backplane, pool: NodePool, clock: Clock, seal: Seal | None = None, *, origin: str = ""
) -> Services:
    """Wire the services. `origin` is the control plane's public address (also settable later as `services.nodes.origin`).

    Without `seal`, the key file beside the SQLite database is used; a MariaDB needs one. Raises NotConfigured.
    """
    activity = ActivityLog(database, clock)
    access = Access(database, activity)
    live = LiveBoard(database, backplane)
    eggs = Eggs(database, clock)
    nodes = Nodes(database, pool, clock, seal or open_seal("", database.url), origin)
    return Services(
        access=access,
        activity=activity,
        console=Console(access, activity, nodes),
        eggs=eggs,
        guilds=Guilds(database, access, activity, clock),
        live=live,
        nodes=nodes,
        power=Power(access, activity, nodes, live),
        servers=Servers(database, access, activity, eggs, nodes, live, clock),
        database=database,
        backplane=backplane,
    )


@asynccontextmanager
async def opened(
    database_url: str, *, backplane_url: str = "", key: str = "", origin: str = "", clock: Clock | None = None
) -> AsyncIterator[Services]:
    """Services for a program without a Discord client, on an up-to-date database: for scripts, the demo and tests."""
    clock = clock or SystemClock()
    await upgrade(database_url)
    async with (
        Database(database_url) as database,
        open_backplane(backplane_url, clock) as backplane,
        NodePool(clock) as pool,
    ):
        yield build(database, backplane, pool, clock, open_seal(key, database_url), origin=origin)
