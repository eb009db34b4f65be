"""Images pulled by a real engine from a registry of our own: logins, progress, pins, sharing, limits, and registries on a bad day."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from uuid import uuid4

import pytest
from aiodocker import Docker, DockerError

from agent.runtime.image_name import read_image
from agent.runtime.images import Images
from core.agent_settings import DockerSection
from core.clock import SystemClock
from core.errors import ImageUnavailable
from core.supervise import Supervisor
from tests.fakes.registry import FakeRegistry

pytestmark = pytest.mark.real


class Heard:
    """Somebody who waits for an image."""

    def __init__(self) -> None:
        self.details: list[str] = []
        self.said: list[str] = []

    def detail(self, line: str) -> None:
        self.details.append(line)

    def say(self, words: str) -> None:
        self.said.append(words)


class Stage:
    """A registry, an engine, and images of settings of one's choice."""

    def __init__(self, docker: Docker, registry: FakeRegistry, tasks: Supervisor) -> None:
        self.docker, self.registry, self.tasks = docker, registry, tasks
        self.name = f"aerie-test/{uuid4().hex[:12]}"
        self.image = f"{registry.host}/{self.name}:1"

    def images(self, **settings: object) -> Images:
        return Images(DockerSection.model_validate(settings), SystemClock(), self.tasks)

    async def ensure(self, image: str = "", **settings: object) -> Heard:
        heard = Heard()
        async with asyncio.timeout(50):
            await self.images(**settings).ensure(self.docker, read_image(image or self.image), heard)
        return heard

    async def held(self) -> str:
        """The id of the copy that is here; empty for none."""
        try:
            return str((await self.docker.images.inspect(self.image))["Id"])
        except DockerError:
            return ""


@pytest.fixture
async def stage(docker_host: str) -> AsyncIterator[Stage]:
    registry = FakeRegistry()
    await registry.open()
    docker = Docker(url=docker_host)
    async with Supervisor("test") as tasks:
        made = Stage(docker, registry, tasks)
        yield made
        await registry.close()
        for shown in await docker.images.list(filters={"reference": [f"{registry.host}/*/*"]}):
            with suppress(DockerError):
                await docker.images.delete(shown["Id"], force=True)
    await docker.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def test_an_image_comes_layer_by_layer_and_people_hear_two_sentences(stage: Stage) -> None:
    stage.registry.offer(stage.name, layers=3, size=400_000)
    heard = await stage.ensure()
    assert await stage.held()
    assert heard.said[0] == f"Pulling {stage.image}, this may take some minutes."
    assert heard.said[-1].startswith("Pulled in ")
    assert len(heard.said) == 2
    assert sum(line.endswith("Pull complete") or "Pull complete" in line for line in heard.details) == 3
    assert len(heard.details) < 60
    again = await stage.ensure()
    assert again.said == []


async def test_ten_who_start_at_once_pull_once(stage: Stage) -> None:
    stage.registry.offer(stage.name)
    stage.registry.stalled.add(stage.name)
    images, heard = stage.images(), [Heard() for _ in range(10)]
    waiting = [asyncio.ensure_future(images.ensure(stage.docker, read_image(stage.image), one)) for one in heard]
    await until(lambda: all(one.said for one in heard) and bool(stage.registry.asked))
    stage.registry.go_on.set()
    async with asyncio.timeout(50):
        await asyncio.gather(*waiting)
    assert len(stage.registry.asked) == 1
    assert all(one.said[-1].startswith("Pulled in ") for one in heard)


async def test_one_who_goes_leaves_the_pull_to_the_others_and_the_last_one_ends_it(stage: Stage) -> None:
    stage.registry.offer(stage.name)
    stage.registry.stalled.add(stage.name)
    images, heard = stage.images(), [Heard(), Heard()]
    first, second = (asyncio.ensure_future(images.ensure(stage.docker, read_image(stage.image), one)) for one in heard)
    await until(lambda: all(one.said for one in heard))
    first.cancel()
    await asyncio.wait({first})
    assert not second.done() and images._pulls
    second.cancel()
    await asyncio.wait({second})
    await until(lambda: not images._pulls)
    assert not await stage.held()


@pytest.mark.parametrize("tokens", [False, True], ids=["basic", "token"])
async def test_a_private_image_comes_with_its_registry_s_login_alone(stage: Stage, tokens: bool) -> None:
    registry = stage.registry
    registry.user, registry.password, registry.tokens = "me", "hush-hush", tokens
    registry.offer(stage.name)
    with pytest.raises(ImageUnavailable) as caught:
        await stage.ensure(registries={"127.0.0.1": {"username": "me", "password": "for another host"}})
    assert f'[docker.registries."{registry.host}"]' in caught.value.hint
    assert not registry.seen, "a password went to a host that it is not for"
    with pytest.raises(ImageUnavailable, match="does not let this node have it") as caught:
        await stage.ensure(registries={registry.host: {"username": "me", "password": "wrong"}})
    assert "wrong" not in str(caught.value)
    await stage.ensure(registries={registry.host: {"username": "me", "password": "hush-hush"}})
    assert await stage.held()


async def test_a_digest_s_image_is_fetched_once_and_never_moves(stage: Stage) -> None:
    digest = stage.registry.offer(stage.name)
    pinned = f"{stage.registry.host}/{stage.name}:1@{digest}"
    await stage.ensure(pinned)
    before, asked = await stage.docker.images.inspect(read_image(pinned).name), len(stage.registry.asked)
    stage.registry.offer(stage.name)
    assert (await stage.ensure(pinned)).said == []
    assert len(stage.registry.asked) == asked
    assert (await stage.docker.images.inspect(read_image(pinned).name))["Id"] == before["Id"]


async def test_a_tag_that_moved_is_told(stage: Stage) -> None:
    stage.registry.offer(stage.name)
    await stage.ensure()
    before = await stage.held()
    stage.registry.offer(stage.name)
    heard = await stage.ensure()
    assert await stage.held() not in ("", before)
    assert "has changed at its registry; pulled the new one in " in heard.said[-1]


async def test_doc_5_what_is_not_what_its_digest_names_is_refused(stage: Stage) -> None:
    digest = "sha256:" + "ab" * 32
    stage.registry.offer(stage.name)
    stage.registry.swap(stage.name, digest)
    with pytest.raises(ImageUnavailable, match="is not what its digest names"):
        await stage.ensure(f"{stage.registry.host}/{stage.name}@{digest}")
    stage.registry.forged.add(stage.name)
    with pytest.raises(ImageUnavailable, match="is not what its digest names"):
        await stage.ensure()
    assert not await stage.held()


async def test_a_registry_that_breaks_or_is_gone_leaves_the_copy_that_is_here(stage: Stage) -> None:
    stage.registry.offer(stage.name)
    await stage.ensure()
    stage.registry.broken.add(stage.name)
    heard = await stage.ensure()
    assert heard.said[-1].endswith("Going on with the copy that is here.")
    await stage.registry.close()
    heard = await stage.ensure()
    assert heard.said[-1].endswith("Going on with the copy that is here.")


async def test_res_7_a_pull_that_never_ends_is_ended(stage: Stage) -> None:
    stage.registry.offer(stage.name)
    stage.registry.stalled.add(stage.name)
    with pytest.raises(ImageUnavailable, match="could not be pulled within 1 s"):
        await stage.ensure(pull_timeout=1.0)
    assert not await stage.held()


async def test_res_7_an_image_over_the_node_s_limit_is_refused_and_not_kept(stage: Stage) -> None:
    stage.registry.offer(stage.name, layers=2, size=900_000)
    with pytest.raises(ImageUnavailable, match="more than the 1 MB this node allows"):
        await stage.ensure(image_size_limit=1)
    assert not await stage.held()
    await stage.ensure(image_size_limit=3)
    assert await stage.held()


@pytest.mark.parametrize("policy", ["if-not-present", "never"])
async def test_the_policy_says_when_a_registry_is_asked(stage: Stage, policy: str) -> None:
    stage.registry.offer(stage.name)
    if policy == "never":
        with pytest.raises(ImageUnavailable, match="is not pulled"):
            await stage.ensure(pull_policy=policy)
        assert not stage.registry.asked
    await stage.ensure()
    asked = len(stage.registry.asked)
    await stage.ensure(pull_policy=policy)
    assert len(stage.registry.asked) == asked
    with pytest.raises(ImageUnavailable, match="is not on this node"):
        await stage.ensure(f"~{stage.registry.host}/{stage.name}:other")
