"""Eggs, nodes and images as options of commands: what managers are offered while they type. Never fails; offers nothing then."""

import discord
from discord import app_commands

from bot.client import AerieClient
from bot.ui.asker import actor_of
from bot.ui.autocomplete import Pairs, fitting, in_time
from bot.ui.text import CHOICE
from core.permissions import ALL, allows
from core.services.build import Services


class _Option(app_commands.Transformer):
    """Offers pairs of label and value that hold what was typed."""

    async def transform(self, interaction: discord.Interaction, value: str, /) -> str:
        return value.strip()[:191]

    async def autocomplete(  # type: ignore[override]  # discord.py types the value per option kind
        self, interaction: discord.Interaction[AerieClient], value: str, /
    ) -> list[app_commands.Choice[str]]:
        return fitting(await in_time(self._allowed(interaction)), value)

    async def _allowed(self, interaction: discord.Interaction[AerieClient]) -> Pairs:
        services = interaction.client.services
        if not allows(await services.access.in_guild(actor_of(interaction)), ALL):
            return []
        return await self.pairs(services, interaction)

    async def pairs(self, services: Services, interaction: discord.Interaction[AerieClient]) -> Pairs:
        raise NotImplementedError


class EggOption(_Option):
    """By id, so that two eggs of one name can be told apart."""

    async def pairs(self, services: Services, interaction: discord.Interaction[AerieClient]) -> Pairs:
        eggs = await services.eggs.all()
        names = [egg.name for egg in eggs]
        return [(egg.name if names.count(egg.name) == 1 else f"{egg.name} · {egg.author} · {egg.id}", str(egg.id)) for egg in eggs]


class NodeOption(_Option):
    async def pairs(self, services: Services, interaction: discord.Interaction[AerieClient]) -> Pairs:
        return [(node.name, node.name) for node in await services.nodes.all()]


class ImageOption(_Option):
    """Images of the egg chosen beside it."""

    async def pairs(self, services: Services, interaction: discord.Interaction[AerieClient]) -> Pairs:
        egg = await services.eggs.find(str(getattr(interaction.namespace, "egg", "")))
        return [
            (label if label == image else f"{label} · {image}", image) for label, image in egg.docker_images.items() if len(image) <= CHOICE
        ]


EGG, NODE, IMAGE = EggOption(), NodeOption(), ImageOption()
