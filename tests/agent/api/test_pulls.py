"""Remote pulls over the agent's API, from a real server on loopback that the node's settings allow."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from agent.app import running
from core.agent_settings import PullSection
from core.tokens import new_node_token
from tests.agent.api.conftest import Bench, config, settings
from tests.fakes.panel import standing


@dataclass
class Store:
    """Serves `body` for every path; `/slow` holds back its second half until `go`."""

    body: bytes = field(default_factory=lambda: os.urandom(400_000))
    go: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("slow"):
            return web.Response(body=self.body, headers={"Content-Disposition": 'attachment; filename="told.zip"'})
        response = web.StreamResponse(headers={"Content-Length": str(len(self.body))})
        await response.prepare(request)
        await response.write(self.body[:200_000])
        await self.go.wait()
        await response.write(self.body[200_000:])
        return response


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = Store()
    app = web.Application()
    app.router.add_get("/{rest:.*}", made.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert isinstance(site._server, asyncio.Server)
    made.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    yield made
    made.go.set()
    await runner.cleanup()


@asynccontextmanager
async def pulling(place: Path, store: Store, *, enabled: bool = True) -> AsyncIterator[Bench]:
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        pulls = PullSection(enabled=enabled, allowed_networks=["127.0.0.1"], ports=[int(store.url.rpartition(":")[2])])
        async with running(config(panel, place).model_copy(update={"pull": pulls})) as agent:
            agent.manager.get(uuid).folder.mkdir(parents=True, exist_ok=True)
            headers = {"Authorization": f"Bearer {panel.token.secret}"}
            async with aiohttp.ClientSession(agent.url, headers=headers) as http:
                yield Bench(agent, panel, http, uuid)


@pytest.fixture
async def bench(tmp_path: Path, store: Store) -> AsyncIterator[Bench]:
    async with pulling(tmp_path, store) as made:
        yield made


async def pull(bench: Bench, url: str, status: int, **more: object) -> dict[str, object]:
    async with bench.http.post(bench.path("/files/pull"), json={"url": url, "root": "/mods", **more}) as answer:
        assert answer.status == status, await answer.text()
        return dict(await answer.json())


async def under_way(bench: Bench) -> list[dict[str, object]]:
    async with bench.http.get(bench.path("/files/pull")) as answer:
        assert answer.status == 200
        return (await answer.json())["downloads"] or []


def folder(bench: Bench) -> Path:
    return bench.agent.manager.get(bench.uuid).folder / "mods"


async def test_a_foreground_pull_answers_the_file(bench: Bench, store: Store) -> None:
    made = await pull(bench, f"{store.url}/a/b.zip", 200, foreground=True)
    assert (made["name"], made["size"]) == ("b.zip", len(store.body))
    assert (folder(bench) / "b.zip").read_bytes() == store.body
    await pull(bench, f"{store.url}/a/b.zip", 200, foreground=True, use_header=True)
    await pull(bench, f"{store.url}/a/b.zip", 200, foreground=True, file_name="named.zip")
    assert sorted(os.listdir(folder(bench))) == ["b.zip", "named.zip", "told.zip"]


async def test_a_background_pull_shows_its_progress_and_ends(bench: Bench, store: Store) -> None:
    id_ = (await pull(bench, f"{store.url}/slow", 202))["identifier"]
    async with asyncio.timeout(20):
        while not (shown := await under_way(bench)) or shown[0]["Progress"] == 0:
            await asyncio.sleep(0.02)
    assert shown == [{"Identifier": id_, "Progress": 0.5}]
    store.go.set()
    async with asyncio.timeout(20):
        while await under_way(bench):
            await asyncio.sleep(0.02)
    assert (folder(bench) / "slow").read_bytes() == store.body


async def test_a_cancelled_pull_leaves_nothing_and_gives_its_room_back(bench: Bench, store: Store) -> None:
    server = bench.agent.manager.get(bench.uuid)
    server.configuration.settings.build.disk_space = 1
    id_ = (await pull(bench, f"{store.url}/slow", 202))["identifier"]
    async with asyncio.timeout(20):
        while not (shown := await under_way(bench)) or shown[0]["Progress"] == 0:
            await asyncio.sleep(0.02)
    async with bench.http.delete(bench.path(f"/files/pull/{id_}")) as answer:
        assert answer.status == 204
    async with asyncio.timeout(20):
        while await under_way(bench) or server.volume.quota.used:
            await asyncio.sleep(0.02)
    assert os.listdir(folder(bench)) == []
    async with bench.http.delete(bench.path("/files/pull/nobody")) as answer:
        assert answer.status == 204


async def test_ssrf_11_at_most_three_at_once(bench: Bench, store: Store) -> None:
    answers = await asyncio.gather(
        *(bench.http.post(bench.path("/files/pull"), json={"url": f"{store.url}/{n}/slow", "root": "/mods"}) for n in range(6))
    )
    assert sorted(answer.status for answer in answers) == [202, 202, 202, 400, 400, 400]
    for answer in answers:
        answer.release()


async def test_ssrf_9_a_name_that_leads_elsewhere_loses_its_folders(bench: Bench, store: Store) -> None:
    await pull(bench, f"{store.url}/x", 200, foreground=True, file_name="../../../evil.txt")
    assert os.listdir(folder(bench)) == ["evil.txt"]
    bench.agent.manager.get(bench.uuid).configuration.settings.egg.file_denylist = ["*.secret"]
    await pull(bench, f"{store.url}/x", 403, foreground=True, file_name="host.secret")
    await pull(bench, f"{store.url}/", 400, foreground=True)


async def test_what_does_not_fit_is_refused_before_it_is_fetched(bench: Bench, store: Store) -> None:
    store.body = bytes(2_000_000)
    bench.agent.manager.get(bench.uuid).configuration.settings.build.disk_space = 1
    assert "disk limit" in str((await pull(bench, f"{store.url}/x", 400, foreground=True))["error"])
    assert not folder(bench).exists() or os.listdir(folder(bench)) == []


async def test_it_can_be_switched_off(tmp_path: Path, store: Store) -> None:
    async with pulling(tmp_path, store, enabled=False) as bench:
        await pull(bench, f"{store.url}/x", 400)
        async with bench.http.get(bench.path("/files/pull")) as answer:
            assert answer.status == 400


async def test_url_and_folder_are_needed(bench: Bench, store: Store) -> None:
    await pull(bench, "", 400)
    async with bench.http.post(
        bench.path("/files/pull"), json={"url": f"{store.url}/x", "directory": "/mods", "foreground": True}
    ) as answer:
        assert answer.status == 200
