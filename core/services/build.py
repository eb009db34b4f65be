"""All services, wired once. Commands, routes and workers see `Services`; services themselves are given only what they use."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.backplane.backplane import Backplane, open_backplane
from core.bot_settings import AccountsSection
from core.clock import Clock, SystemClock
from core.db.engine import Database
from core.db.migrate import upgrade
from core.rpc.pool import NodePool
from core.seal import Seal, open_seal
from core.services.access import Access
from core.services.activity import ActivityLog
from core.services.administration import Administration
from core.services.alert_sources import AlertSources
from core.services.alerts import Alerts
from core.services.allocations import Allocations
from core.services.api_keys import ApiKeys
from core.services.backups import Backups
from core.services.console import Console
from core.services.credentials import Credentials
from core.services.directory import Directory
from core.services.drafts import Drafts
from core.services.eggs import Eggs
from core.services.fleet import Fleet
from core.services.guilds import Guilds
from core.services.history import History
from core.services.live import LiveBoard
from core.services.locations import Locations
from core.services.members import Members
from core.services.network import Network
from core.services.nodes import Nodes
from core.services.people import People
from core.services.placement import Placement
from core.services.power import Power
from core.services.request_desk import RequestDesk
from core.services.request_rules import RequestRules
from core.services.restarts import Restarts
from core.services.servers import Servers
from core.services.sessions import Sessions
from core.services.sign_ins import SignIns
from core.services.sockets import Sockets
from core.services.startup import Startup
from core.services.throttles import Throttles
from core.services.usage import Usage
from core.services.users import Users
from core.services.votes import Votes


@dataclass(frozen=True, slots=True)
class Services:
    access: Access
    activity: ActivityLog
    administration: Administration
    allocations: Allocations
    api_keys: ApiKeys
    alert_sources: AlertSources
    alerts: Alerts
    backups: Backups
    console: Console
    credentials: Credentials
    directory: Directory
    drafts: Drafts
    eggs: Eggs
    fleet: Fleet
    guilds: Guilds
    history: History
    live: LiveBoard
    members: Members
    locations: Locations
    network: Network
    nodes: Nodes
    people: People
    placement: Placement
    power: Power
    request_desk: RequestDesk
    request_rules: RequestRules
    restarts: Restarts
    servers: Servers
    sessions: Sessions
    sign_ins: SignIns
    users: Users
    sockets: Sockets
    startup: Startup
    throttles: Throttles
    usage: Usage
    votes: Votes
    database: Database
    """For /ready alone, which asks whether it answers."""
    backplane: Backplane


def build(
    database: Database,
    backplane: Backplane,
    pool: NodePool,
    clock: Clock,
    seal: Seal,
    *,
    origin: str = "",
    accounts: AccountsSection | None = None,
    managers_may_build: bool = True,
) -> Services:
    """Wire the services. `origin` is the control plane's public address (also settable later as `services.nodes.origin`)."""
    activity = ActivityLog(database, clock)
    accounts = accounts or AccountsSection()
    members = Members(database, clock, accounts)
    access = Access(database, activity, members, managers_may_build=managers_may_build)
    live = LiveBoard(database, backplane)
    eggs = Eggs(database, access, activity, clock)
    nodes = Nodes(database, access, activity, pool, clock, seal, origin)
    sessions = Sessions(database, nodes, clock)
    users = Users(database, clock)
    credentials = Credentials(database, activity, sessions, clock)

    async def lessened(guild_id: int, discord_id: int) -> None:
        await sessions.end_of([discord_id], guild_id=guild_id)

    members.lessened.append(lessened)
    directory = Directory(database)
    allocations = Allocations(database, access, activity, nodes)
    placement = Placement(database, nodes, allocations, clock)
    servers = Servers(database, access, activity, eggs, nodes, live, clock)
    rules = RequestRules(database, access, activity)
    votes = Votes(database, access, activity, live, rules, clock)
    return Services(
        access=access,
        activity=activity,
        administration=Administration(database, activity, nodes, sessions, live),
        allocations=allocations,
        api_keys=ApiKeys(database, activity, clock),
        alert_sources=AlertSources(database, access, activity, seal, clock),
        alerts=Alerts(database, access, activity, clock),
        backups=Backups(database, access, activity, nodes, live, clock),
        console=Console(access, activity, nodes, clock),
        directory=directory,
        drafts=Drafts(database, access, eggs, placement, servers, clock),
        eggs=eggs,
        credentials=credentials,
        guilds=Guilds(database, access, activity, members, sessions, clock),
        history=History(access, activity),
        live=live,
        members=members,
        fleet=Fleet(database, activity, nodes, directory, clock),
        locations=Locations(database, activity, clock),
        network=Network(database, access, activity, nodes),
        nodes=nodes,
        people=People(database, activity, sessions, clock),
        placement=placement,
        power=Power(access, activity, nodes, live),
        servers=servers,
        request_desk=RequestDesk(database, clock),
        request_rules=rules,
        restarts=Restarts(database, votes, activity, nodes, clock),
        sessions=sessions,
        sign_ins=SignIns(database, users, credentials, access, activity, backplane, live, clock, accounts),
        users=users,
        sockets=Sockets(nodes, clock),
        startup=Startup(database, access, activity, nodes),
        throttles=Throttles(backplane, clock),
        usage=Usage(nodes, live, clock),
        votes=votes,
        database=database,
        backplane=backplane,
    )


@asynccontextmanager
async def opened(
    database_url: str,
    *,
    backplane_url: str = "",
    key: str = "",
    origin: str = "",
    clock: Clock | None = None,
    accounts: AccountsSection | None = None,
) -> AsyncIterator[Services]:
    """Services for a program without a Discord client, on an up-to-date database: for scripts, the demo and tests."""
    clock = clock or SystemClock()
    await upgrade(database_url)
    async with (
        Database(database_url) as database,
        open_backplane(backplane_url, clock) as backplane,
        NodePool(clock) as pool,
    ):
        seal = await asyncio.to_thread(open_seal, key, database_url)
        yield build(database, backplane, pool, clock, seal, origin=origin, accounts=accounts)
