"""The control plane, top to bottom: database, backplane, nodes, services, REST, workers, Discord.

`async with running(config) as bot:` yields once the endpoint listens; Discord is connected in the background and may be down for as long as
it likes. What was started is stopped in reverse.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from bot.api.app import make_app
from bot.api.auth import Limits
from bot.api.health import BotState
from bot.client import AerieClient
from bot.commands.access import AccessCommands
from bot.commands.account import AccountCommands
from bot.commands.activity import activity
from bot.commands.alert import AlertCommands
from bot.commands.backup import BackupCommands
from bot.commands.console import ConsoleCommands
from bot.commands.egg import EggCommands
from bot.commands.node import NodeCommands
from bot.commands.request import RequestCommands
from bot.commands.server import ServerCommands
from bot.commands.settings import SettingsCommands
from bot.endpoint import point_at
from bot.patience import once_there
from bot.ui import errors, presses
from bot.ui.account import AccountButton
from bot.ui.alerts import AlertButton
from bot.ui.backups import RestoreButton
from bot.ui.buttons import OldButton, ServerButton
from bot.ui.found_lines import LinesButton
from bot.ui.history import PageButton
from bot.ui.making import MakingButton
from bot.ui.requests import RequestButton
from bot.workers.alert_relay import AlertRelay
from bot.workers.cards import Cards
from bot.workers.console_bridge import ConsoleBridge
from bot.workers.discord_link import DiscordLink
from bot.workers.installs import Installs
from bot.workers.member_roles import MemberRoles
from bot.workers.node_watch import NodeWatch
from bot.workers.own_alerts import OwnAlerts
from bot.workers.streams import Streams
from bot.workers.votes import RequestWorker
from bot.workers.writes import Writes
from core import log
from core.backplane.backplane import open_backplane
from core.clock import Clock, SystemClock
from core.config import BotConfig, secrets_of
from core.db.engine import Database
from core.db.migrate import upgrade
from core.errors import NotConfigured
from core.rpc.pool import NodePool
from core.seal import open_seal
from core.services.build import Services, build
from core.supervise import Supervisor
from core.tls import ServerTls, client_context, server_tls


@dataclass
class Bot:
    """A running control plane."""

    config: BotConfig
    services: Services
    client: AerieClient
    discord: DiscordLink
    streams: Streams
    tasks: Supervisor
    port: int

    @property
    def url(self) -> str:
        """How nodes reach the endpoint."""
        return self.services.nodes.origin


@asynccontextmanager
async def running(config: BotConfig, clock: Clock | None = None) -> AsyncIterator[Bot]:
    """Run the control plane until the block ends. Raises NotConfigured for settings that cannot be used, a taken port among them."""
    clock = clock or SystemClock()
    token, database_url = config.discord.token.get_secret_value(), config.database.url.get_secret_value()
    for secret in secrets_of(config):
        log.hide(secret)
    for remark in config.remarks:
        logging.getLogger(__name__).warning("%s", remark)
    point_at(config.discord.sandbox_url)
    async with AsyncExitStack() as stack:
        database = await _database(stack, database_url, clock)
        backplane = open_backplane(config.backplane.url.get_secret_value(), clock)
        stack.push_async_callback(backplane.close)
        await once_there(clock, backplane.ping)
        pool = await stack.enter_async_context(NodePool(clock, await asyncio.to_thread(client_context, config.tls.ca)))
        seal = await asyncio.to_thread(open_seal, config.security.key.get_secret_value(), database_url)
        services = build(
            database,
            backplane,
            pool,
            clock,
            seal,
            origin=config.endpoint.public_url.rstrip("/"),
            accounts=config.accounts,
            managers_may_build=config.discord.managers_may_build,
        )

        tasks = Supervisor("bot", clock)
        client = AerieClient(services, tasks, clock, errors.tell, test_guild=config.discord.test_guild)
        stack.push_async_callback(client.close)
        await stack.enter_async_context(tasks)
        roles = MemberRoles(client, services.members)
        services.members.discord = roles
        client.interaction_hooks.append(roles.on_interaction)
        services.nodes.sftp_host = config.accounts.sftp_host
        link = DiscordLink(client, token, clock)
        writes = Writes(clock)
        services.api_keys.owners.update(config.discord.owners)
        tls = await asyncio.to_thread(server_tls, config.endpoint.certificate, config.endpoint.key, "endpoint")
        port = await _serve(stack, config, _endpoint(config, services, client, link, tasks, writes, clock), tls)
        if tls is not None:
            tasks.run("certificate", lambda: tls.run(clock))
        services.nodes.origin = services.nodes.origin or f"{'https' if tls else 'http'}://{config.endpoint.host}:{port}"

        watch = NodeWatch(services, pool, clock)
        streams = Streams(services, pool, tasks, clock, watch)
        bridge = ConsoleBridge(client, services, streams, config.console, clock, writes)
        cards = Cards(client, services, writes, clock)
        relay = AlertRelay(client, services, writes, clock)
        own_alerts = OwnAlerts(services, clock)
        requests = RequestWorker(client, services, writes, clock)
        _furnish(client, bridge, cards, requests)
        installs = Installs(client, services, streams, writes, tasks, clock)
        client.server_made = installs.look

        await services.live.load()
        tasks.run("own alerts", own_alerts.run)
        tasks.run("live", services.live.run)
        tasks.run("sessions", services.sessions.run)
        tasks.run("activity", lambda: services.activity.run(timedelta(days=config.activity.keep_days)))
        tasks.run("node watch", watch.run)
        tasks.run("streams", streams.run)
        tasks.run("console bridge", bridge.run)
        tasks.run("cards", cards.run)
        tasks.run("installs", installs.run)
        tasks.run("alert relay", relay.run)
        tasks.run("restart requests", requests.run)
        tasks.run("discord", link.run)
        yield Bot(config, services, client, link, streams, tasks, port)


async def _database(stack: AsyncExitStack, url: str, clock: Clock) -> Database:
    """The database, up to date and open, as soon as it is there."""
    await once_there(clock, lambda: upgrade(url))
    database = Database(url)
    stack.push_async_callback(database.close)
    await once_there(clock, database.open)
    return database


def _endpoint(
    config: BotConfig, services: Services, client: AerieClient, link: DiscordLink, tasks: Supervisor, writes: Writes, clock: Clock
) -> web.Application:
    """The HTTP endpoint, told what it may know of the rest."""
    state = BotState(lambda: link.ready, tasks.health.values, lambda: {"discord_writes": writes.all_waiting})
    limits = Limits(config.rest.client_per_minute, config.rest.application_per_minute)
    token = config.metrics.token.get_secret_value()
    proxies = config.endpoint.trusted_proxies
    return make_app(services, state, limits, client.metrics, metrics_token=token, clock=clock, proxies=proxies)


def _furnish(client: AerieClient, bridge: ConsoleBridge, cards: Cards, requests: RequestWorker) -> None:
    """Give the client its commands and buttons, and tell it whom to call."""
    for group in (
        ServerCommands(),
        ConsoleCommands(),
        AccessCommands(),
        AccountCommands(),
        AlertCommands(),
        BackupCommands(),
        EggCommands(),
        NodeCommands(),
        RequestCommands(),
        SettingsCommands(),
    ):
        client.tree.add_command(group)
    client.tree.add_command(activity)
    ServerButton.presses = presses.PRESSES
    client.dynamic_items += [ServerButton, MakingButton, AccountButton, AlertButton, RestoreButton, LinesButton, PageButton]
    client.dynamic_items += [RequestButton, OldButton]
    client.modal_hooks.append(presses.submitted)
    client.message_hooks.append(bridge.on_message)
    client.console_attached = bridge.attach
    client.console_detached = bridge.detach
    client.card_posted = cards.look
    client.request_changed = requests.look


async def _serve(stack: AsyncExitStack, config: BotConfig, app: web.Application, tls: ServerTls | None) -> int:
    """Listen, and answer the port that was bound."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, config.endpoint.host, config.endpoint.port, ssl_context=tls.context if tls else None)
    try:
        await site.start()
    except OSError as error:
        raise NotConfigured(
            f"The bot's endpoint cannot listen on {config.endpoint.host}:{config.endpoint.port}: {error.strerror}.",
            hint="Choose another [endpoint] port, or end the program that holds it.",
        ) from error
    port: int = runner.addresses[0][1]
    return port
