"""/server: see game servers and run them. Parses, calls, shows; decides nothing."""

import asyncio

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui import making
from bot.ui.asker import actor_of
from bot.ui.autocomplete import (
    SERVER,
    SERVER_TO_MANAGE,
    SERVER_TO_REINSTALL,
    SERVER_TO_RENAME,
    SERVER_TO_RESTART,
    SERVER_TO_START,
    SERVER_TO_STOP,
)
from bot.ui.cards import card, server_list
from bot.ui.choosing import EGG, IMAGE, NODE
from bot.ui.power import act
from bot.ui.presses import ask_to_kill
from bot.ui.text import plain
from core.models.server import Server
from core.permissions import ALL, CONNECT, allows
from core.services import amounts
from core.services.build import Services
from core.services.drafts import Order
from core.vocabulary import PowerSignal

Interaction = discord.Interaction[AerieClient]

NONE_SEEN = "You see no game servers here. The owner of this community can let you see them with `/access grant`."
NONE_YET = "There are no game servers yet. `/egg import` takes the recipe of a game; then `/server create` makes a server of it."
NEWS_WITHIN = 15.0  # s that a list with unknown states waits for news


class ServerCommands(app_commands.Group):
    """See and run game servers"""

    def __init__(self) -> None:
        super().__init__(name="server", description="See and run game servers")

    @app_commands.command(name="list", description="Game servers you may see, their states and addresses")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        actor = actor_of(interaction)
        servers = await services.access.visible(actor, CONNECT)
        nowhere = NONE_YET if not servers and allows(await services.access.in_guild(actor), ALL) else NONE_SEEN
        await interaction.edit_original_response(view=_listed(services, servers, nowhere))
        if await _news(services, servers):
            await interaction.edit_original_response(view=_listed(services, servers, nowhere))

    @app_commands.command(description="Post a server's card: live state, address, players, load, buttons")
    @app_commands.describe(server="Which server")
    async def info(self, interaction: Interaction, server: app_commands.Transform[str, SERVER]) -> None:
        services = interaction.client.services
        found = await services.access.server(actor_of(interaction), server, CONNECT)
        await interaction.response.send_message(view=card(found, services.live.of(found.uuid)))
        posted = await interaction.original_response()
        assert interaction.guild_id is not None
        await services.guilds.remember_card(found, interaction.guild_id, posted.channel.id, posted.id)
        if interaction.client.card_posted is not None:
            interaction.client.card_posted()

    @app_commands.command(description="Start a server")
    @app_commands.describe(server="Which server")
    async def start(self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_START]) -> None:
        await act(interaction, server, PowerSignal.START)

    @app_commands.command(description="Stop a server the way its game wants to be stopped")
    @app_commands.describe(server="Which server")
    async def stop(self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_STOP]) -> None:
        await act(interaction, server, PowerSignal.STOP)

    @app_commands.command(description="Stop a server and start it again")
    @app_commands.describe(server="Which server")
    async def restart(self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_RESTART]) -> None:
        await act(interaction, server, PowerSignal.RESTART)

    @app_commands.command(description="End a server at once, without saving; asks before it does")
    @app_commands.describe(server="Which server")
    async def kill(self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_STOP]) -> None:
        await ask_to_kill(interaction, server)

    @app_commands.command(description="Make a server: choose its game, then fill in what the game wants to know")
    @app_commands.describe(
        egg="Its game",
        name="What to call it",
        memory="For instance 4 GiB; 0 is unlimited",
        node="Which node; the one with the most room if you leave it out",
        disk="For instance 20 GiB; unlimited if you leave it out",
        cpu="For instance 200 % or 2 cores; unlimited if you leave it out",
        image="Container image; the egg's first if you leave it out",
        port="Which of the node's ports; a free one if you leave it out",
        skip_scripts="Do not run the egg's install script",
    )
    async def create(
        self,
        interaction: Interaction,
        egg: app_commands.Transform[str, EGG],
        name: str,
        memory: str,
        node: app_commands.Transform[str, NODE] | None = None,
        disk: str = "",
        cpu: str = "",
        image: app_commands.Transform[str, IMAGE] | None = None,
        port: app_commands.Range[int, 1, 65535] | None = None,
        skip_scripts: bool = False,
    ) -> None:
        actor, drafts = actor_of(interaction), interaction.client.services.drafts
        await interaction.client.services.access.require_in_guild(actor, ALL, event="server:create")
        order = Order(
            name=name,
            memory=amounts.memory(memory),
            disk=amounts.disk(disk),
            cpu=amounts.cpu(cpu),
            image=image,
            port=port,
            skip_scripts=skip_scripts,
        )
        await interaction.response.defer(thinking=True)
        draft = await drafts.begin(actor, egg, order, node_ref=node)
        posted = await interaction.original_response()
        await drafts.placed(draft.code, posted.channel.id, posted.id)
        await interaction.edit_original_response(content=making.summary(draft), view=making.buttons(draft))

    @app_commands.command(description="Delete a server and its files; asks for its name before it does")
    @app_commands.describe(server="Which server", force="Also when its node does not answer; the files stay there then")
    async def delete(self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_MANAGE], force: bool = False) -> None:
        found = await interaction.client.services.access.server(actor_of(interaction), server, ALL, event="server:delete")
        await interaction.response.send_modal(making.deletion_form(found.name, found.short, force=force))

    @app_commands.command(description="Run a server's install script again, over its files; asks before it does")
    @app_commands.describe(server="Which server")
    async def reinstall(self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_REINSTALL]) -> None:
        access = interaction.client.services.access
        found = await access.server(actor_of(interaction), server, "settings.reinstall", event="server:reinstall")
        words = f"Install **{plain(found.name, 80)}** again? It is stopped, and its install script may overwrite files."
        await interaction.response.send_message(words, view=making.reinstall_question(found.short), ephemeral=True)

    @app_commands.command(description="Give a server another name")
    @app_commands.describe(server="Which server", name="Its new name")
    async def rename(self, interaction: Interaction, server: app_commands.Transform[str, SERVER_TO_RENAME], name: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        found = await services.servers.rename(actor_of(interaction), server, name)
        await interaction.edit_original_response(content=f"It is called **{plain(found.name, 80)}** now.")


def _listed(services: Services, servers: list[Server], nowhere: str) -> discord.ui.LayoutView:
    return server_list([(server, services.live.of(server.uuid)) for server in servers], nowhere)


async def _news(services: Services, servers: list[Server]) -> bool:
    """Whether every unknown state of these servers became known in time; a bot that just started knows them a moment later."""

    def unknown() -> set[str]:
        board = {server.uuid: services.live.of(server.uuid) for server in servers}
        return {uuid for uuid, live in board.items() if live.state is None or not live.node_up}

    before = unknown()
    if not before:
        return False
    try:
        with services.live.changed.listen() as changed:
            async with asyncio.timeout(NEWS_WITHIN):
                while unknown():
                    await changed.drain()
    except TimeoutError:
        pass
    return unknown() != before
