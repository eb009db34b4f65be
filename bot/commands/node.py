"""/node: the machines that run servers, and their ports. Parses, calls, shows; who may change them, services decide."""

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.choosing import NODE
from bot.ui.text import CONTENT, clip, code, plain
from core.permissions import ALL
from core.services import allocations, amounts
from core.services.placement import Room

Interaction = discord.Interaction[AerieClient]

DOINGS = [app_commands.Choice(name="Add", value="add"), app_commands.Choice(name="Remove", value="remove")]


class NodeCommands(app_commands.Group):
    """Machines that run servers"""

    def __init__(self) -> None:
        super().__init__(name="node", description="Nodes: the machines that run servers")

    @app_commands.command(description="Add a machine; shows once what its agent must be told")
    @app_commands.describe(
        name="What to call it",
        address="Where its agent answers, for instance https://node.example.net:8080",
        location="A short code that games see, else local",
        memory="What servers may be given together, for instance 24 GiB; else what it has",
        disk="What servers may be given together, for instance 400 GiB; else unlimited",
        sftp="Where SFTP clients find it, for instance node.example.net:2022; else its agent's host and 2022",
    )
    async def create(
        self,
        interaction: Interaction,
        name: str,
        address: str,
        location: str = "local",
        memory: str = "",
        disk: str = "",
        sftp: str = "",
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        node, token = await services.nodes.make(
            actor_of(interaction), name, address, location=location, memory=amounts.memory(memory), disk=amounts.disk(disk), sftp=sftp
        )
        port = node.url.rpartition(":")[2] if node.url.rpartition(":")[2].isdigit() else "8080"
        words = (
            f"The node **{plain(node.name, 80)}** is made. On that machine, paste this. Only you see it, and only now.\n"
            f"```sh\naerie agent configure --panel-url {services.nodes.origin} --token {token.id}.{token.secret} --port {port}\n```\n"
            f"It writes `aerie.toml` (with `--format wings`, a config.yml); then start `aerie agent`.\n"
            f"Then give it ports: {code(f'/node ports node:{node.name} do:Add ports:25565-25580', 150)}"
        )
        await interaction.edit_original_response(content=clip(words, CONTENT))

    @app_commands.command(name="list", description="Every node, whether it answers, and what is left on it")
    async def show_all(self, interaction: Interaction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        await services.access.require_in_guild(actor_of(interaction), ALL, event="node:list")
        lines = [_line(room) for room in await services.placement.rooms()]
        await interaction.edit_original_response(
            content=clip("\n".join(lines), CONTENT) or "There are no nodes yet. `/node create` adds one."
        )

    @app_commands.command(description="One node: state, memory, disk, ports")
    @app_commands.describe(node="Which node")
    async def info(self, interaction: Interaction, node: app_commands.Transform[str, NODE]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        services = interaction.client.services
        await services.access.require_in_guild(actor_of(interaction), ALL, event="node:info")
        room = await services.placement.room(await services.nodes.find(node))
        ports = await services.allocations.of(room.node)
        lines = [
            f"### {plain(room.node.name, 80)}",
            f"🔌 Does not answer: {plain(room.fault, 200)}." if room.fault else f"🟢 Answers · version {plain(room.version, 40)}",
            f"**Address** {code(room.node.url, 200)} · **Location** {plain(room.node.location, 60)}",
            f"**SFTP** {code(':'.join(map(str, services.nodes.sftp(room.node))), 200)} · **Servers** {room.servers}",
            f"**Memory** {_left(room.memory_given, 'MB')} given, {_memory_left(room)} left",
            f"**Disk** {_left(room.disk_given, 'MiB')} given, {_left(room.disk_left, 'MiB')} left",
            f"**Ports** {room.ports.free} of {room.ports.total} free" if ports else "**Ports** none yet: `/node ports` adds some",
            *([f"-# free: {free[:600]}"] if (free := allocations.spans([one.port for one in ports if one.server_id is None])) else []),
        ]
        await interaction.edit_original_response(content=clip("\n".join(lines), CONTENT))

    @app_commands.command(description="Forget a node that has no servers")
    @app_commands.describe(node="Which node")
    async def delete(self, interaction: Interaction, node: app_commands.Transform[str, NODE]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        gone = await interaction.client.services.nodes.remove(actor_of(interaction), node)
        await interaction.edit_original_response(content=f"The node **{plain(gone.name, 80)}** is deleted; its agent may be ended.")

    @app_commands.command(description="Say where people's SFTP clients find a node")
    @app_commands.describe(node="Which node", at="For instance node.example.net:2022, a name or a port; else its agent's host and 2022")
    async def sftp(self, interaction: Interaction, node: app_commands.Transform[str, NODE], at: str = "") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        nodes = interaction.client.services.nodes
        found = await nodes.reach(actor_of(interaction), node, at)
        host, port = nodes.sftp(found)
        words = f"SFTP of **{plain(found.name, 80)}** is at {code(host, 200)}, port {port}."
        await interaction.edit_original_response(content=words)

    @app_commands.command(description="Give a node ports for servers, or take free ones away")
    @app_commands.describe(
        node="Which node",
        do="Add or remove",
        ports="For instance 25565-25580, 30000",
        ip="Address the node binds, else every one of its own",
        alias="Address players are told, where it differs",
    )
    @app_commands.choices(do=DOINGS)
    async def ports(
        self,
        interaction: Interaction,
        node: app_commands.Transform[str, NODE],
        do: app_commands.Choice[str],
        ports: str,
        ip: str | None = None,
        alias: str | None = None,
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        service, actor = interaction.client.services.allocations, actor_of(interaction)
        if do.value == "add":
            found, fresh = await service.add(actor, node, ports, ip=ip or "0.0.0.0", alias=alias)
            words = f"**{plain(found.name, 80)}** has {fresh} new port{'' if fresh == 1 else 's'}."
        else:
            found, gone, kept = await service.remove(actor, node, ports, ip=ip)
            words = f"{gone} port{'' if gone == 1 else 's'} of **{plain(found.name, 80)}** removed."
            words += f" {kept} stay, since servers use them." if kept else ""
        await interaction.edit_original_response(content=words)


def _line(room: Room) -> str:
    state = f"🔌 {plain(room.fault, 80)}" if room.fault else "🟢 answers"
    count = f"{room.servers} server{'' if room.servers == 1 else 's'}"
    left = f"{_memory_left(room)} of memory left · "
    left += f"{room.ports.free} of {room.ports.total} ports free" if room.ports.total else "no ports yet: `/node ports` adds some"
    return f"**{plain(room.node.name, 60)}** · {state} · {count} · {left}"


def _memory_left(room: Room) -> str:
    """A node that never answered and was given no limit may have any amount."""
    return "an unknown amount" if room.memory is None and room.fault else _left(room.memory_left, "MB")


def _left(amount: int | None, unit: str) -> str:
    return "unlimited" if amount is None else amounts.shown(amount, unit) if amount > 0 else "nothing"
