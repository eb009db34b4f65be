"""Old console lines over HTTP."""

import asyncio
from typing import Any

from tests.agent.api.conftest import Bench


async def page(bench: Bench, **query: str) -> dict[str, Any]:
    async with bench.http.get(f"/api/aerie/servers/{bench.uuid}/console", params=query) as answer:
        assert answer.status == 200, await answer.text()
        body: dict[str, Any] = await answer.json()
        return body


async def test_what_a_console_said_can_be_read_and_searched_page_by_page(bench: Bench) -> None:
    server = bench.agent.manager.get(bench.uuid)
    server.console.add_output(["alpha", "Beta \x1b[31mred\x1b[0m", "gamma"])
    server.notice("a word of ours")
    newest = await page(bench, limit="2")
    assert [line["text"] for line in newest["lines"]][1] == "gamma"
    assert [line["kind"] for line in newest["lines"]] == ["notice", "output"]
    rest = await page(bench, limit="2", cursor=newest["cursor"])
    assert [line["seq"] for line in rest["lines"]] == [2, 1]
    assert rest["cursor"] is None
    assert [line["seq"] for line in (await page(bench, text="beta RED"))["lines"]] == [2]
    assert [line["seq"] for line in (await page(bench, regex="^(alpha|gamma)$", order="oldest"))["lines"]] == [1, 3]
    assert [line["seq"] for line in (await page(bench, after="1", before="4", order="oldest"))["lines"]] == [2, 3]
    since = newest["lines"][0]["time"]
    assert (await page(bench, since=str(since + 60_000)))["lines"] == []
    assert len((await page(bench, since="2020-01-01T00:00:00Z", until="2100-01-01"))["lines"]) == 4
    assert (newest["last_seq"], newest["boot"]) == (4, server.console.count)


async def test_what_cannot_be_read_is_refused_in_words(bench: Bench) -> None:
    for query in ({"after": "x"}, {"since": "yesterday"}, {"regex": "("}, {"cursor": "1"}, {"order": "up"}, {"text": "x" * 201}):
        async with bench.http.get(f"/api/aerie/servers/{bench.uuid}/console", params=query) as answer:
            assert answer.status == 400
            assert next(iter(query)) in (await answer.json())["error"]
    async with bench.http.get("/api/aerie/servers/11111111-1111-4111-8111-111111111111/console") as answer:
        assert answer.status == 404
    async with bench.http.get(f"/api/aerie/servers/{bench.uuid}/console", headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.status == 403


async def test_the_history_goes_with_its_server(bench: Bench) -> None:
    server = bench.agent.manager.get(bench.uuid)
    server.console.add_output(["one"])
    await page(bench)
    folder = bench.agent.manager.history.book(bench.uuid).shelf.folder
    assert await asyncio.to_thread(folder.exists)
    async with bench.http.delete(bench.path()) as answer:
        assert answer.status == 204
    assert not await asyncio.to_thread(folder.exists)
