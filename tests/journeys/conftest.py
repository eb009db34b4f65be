"""The stage, a running bot, a scripted node, and the three people of the demo's community."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.app import Bot
from sandbox.person import Person
from tests.fakes.node import FakeNode, fake_node
from tests.journeys.stage import Stage, standing


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with standing(tmp_path) as made:
        yield made


@pytest.fixture
async def node(stage: Stage) -> AsyncIterator[FakeNode]:
    async with fake_node(stage.token) as made:
        yield made


@pytest.fixture
async def bot(stage: Stage) -> AsyncIterator[Bot]:
    async with stage.bot() as running:
        yield running


@pytest.fixture
async def ada(stage: Stage) -> AsyncIterator[Person]:
    """The owner."""
    async with Person.connect(stage.box.url, "Ada") as person:
        yield person


@pytest.fixture
async def cleo(stage: Stage) -> AsyncIterator[Person]:
    """A member who was granted nothing."""
    async with Person.connect(stage.box.url, "Cleo") as person:
        yield person
