"""Fetching lends nobody our place in the network: the SSRF ids of the record of known flaws.

A real server on loopback stands for what lies inside; the test allows its one address where something is to be fetched at all.
"""

import asyncio
import gzip
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from agent.fetching import Fetcher, NotFetched
from core.agent_settings import PullSection
from core.errors import NotConfigured

MOST = 50 * 1024 * 1024


class Names(AbstractResolver):
    """Answers what a test says, and counts how often it was asked."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers[host]
        shown = found if len(found) < 2 or found[0] != "then" else [found[1 + min(self.asked - 1, len(found) - 2)]]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET6 if ":" in one else socket.AF_INET, proto=0, flags=0)
            for one in shown
        ]

    async def close(self) -> None:
        """Nothing is open."""


class Inside:
    """A server on loopback and how often it was reached."""

    def __init__(self) -> None:
        self.reached = 0
        self.port = 0
        self.answer: Callable[[web.Request], Any] = lambda _: web.Response(body=b"secret")
        self.seen: list[web.Request] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.reached += 1
        self.seen.append(request)
        made = self.answer(request)
        return await made if asyncio.iscoroutine(made) else made  # type: ignore[no-any-return]


@asynccontextmanager
async def _serving() -> AsyncIterator[Inside]:
    inside = Inside()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", inside.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert isinstance(site._server, asyncio.Server)
    inside.port = site._server.sockets[0].getsockname()[1]
    try:
        yield inside
    finally:
        await runner.cleanup()


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with _serving() as made:
        yield made


def fetcher(inside: Inside, resolver: AbstractResolver | None = None, *, allowed: bool = False, ours: tuple[str, ...] = ()) -> Fetcher:
    settings = PullSection(ports=[inside.port], allowed_networks=["127.0.0.1"] if allowed else [])
    return Fetcher(settings, ours, resolver)


async def fetched(from_: Fetcher, url: str, most: int = MOST) -> bytes:
    async with from_.open(url) as answer:
        return b"".join([chunk async for chunk in answer.chunks(most)])


LITERALS = [
    "127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]",
    "169.254.169.254", "10.0.0.1", "172.17.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "192.0.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "[fc00::1]", "[fe80::1]", "[ff02::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost", "localhost.",
]  # fmt: skip


@pytest.mark.parametrize("host", LITERALS)
async def test_ssrf_1_and_5_no_spelling_of_an_inner_address_is_asked(inside: Inside, host: str) -> None:
    with pytest.raises(NotFetched):
        async with asyncio.timeout(20):
            await fetched(fetcher(inside), f"http://{host}:{inside.port}/")
    assert inside.reached == 0


async def test_the_server_would_have_answered(inside: Inside) -> None:
    body = os.urandom(2_000_000)
    inside.answer = lambda _: web.Response(body=body, headers={"Content-Disposition": 'attachment; filename="w.zip"'})
    async with fetcher(inside, allowed=True).open(f"http://127.0.0.1:{inside.port}/a/b.zip?x=1") as answer:
        assert (answer.size, answer.name, answer.url_name) == (len(body), "w.zip", "b.zip")
        assert b"".join([chunk async for chunk in answer.chunks(MOST)]) == body


async def test_ssrf_2_a_name_that_leads_inside_is_not_asked(inside: Inside) -> None:
    for answers in (["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]):
        with pytest.raises(NotFetched):
            await fetched(fetcher(inside, Names(evil_test=answers)), f"http://evil.test:{inside.port}/")
    assert inside.reached == 0


async def test_ssrf_2_of_several_addresses_only_public_ones_are_dialled(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[str] = []
    made = fetcher(inside, Names(mixed_test=["127.0.0.1", "192.88.99.5"]))
    dial = made._dial

    def watched(found: tuple[Any, ...]) -> socket.socket:
        socket_ = dial(found)
        dialled.append(found[4][0])
        socket_.close()
        raise OSError("not really: no test leaves this machine")

    monkeypatch.setattr(made, "_dial", watched)
    with pytest.raises(NotFetched):
        await fetched(made, f"http://mixed.test:{inside.port}/")
    assert "127.0.0.1" not in dialled
    assert inside.reached == 0


async def test_ssrf_3_redirects_are_judged_hop_by_hop(inside: Inside) -> None:
    for target in ("http://127.0.0.2:{}/", "http://[::1]:{}/", "file:///etc/passwd", "gopher://127.0.0.1:{}/", "http://127.0.0.1:22/"):
        location = target.format(inside.port)
        inside.answer = _redirect(location)
        inside.reached = 0
        with pytest.raises(NotFetched):
            await fetched(fetcher(inside, allowed=True), f"http://127.0.0.1:{inside.port}/")
        assert inside.reached == 1, target


def _redirect(location: str) -> Callable[[web.Request], Any]:
    return lambda _: web.Response(status=302, headers={"Location": location})


async def test_ssrf_3_a_few_redirects_are_followed_and_many_are_not(inside: Inside) -> None:
    def answer(request: web.Request) -> web.Response:
        left = int(request.path.strip("/"))
        return web.Response(status=302, headers={"Location": f"/{left - 1}"}) if left else web.Response(body=b"here")

    inside.answer = answer
    assert await fetched(fetcher(inside, allowed=True), f"http://127.0.0.1:{inside.port}/5") == b"here"
    with pytest.raises(NotFetched):
        await fetched(fetcher(inside, allowed=True), f"http://127.0.0.1:{inside.port}/6")


async def test_ssrf_4_an_answer_that_changes_between_looks_gains_nothing(inside: Inside) -> None:
    names = Names(rebind_test=["then", "192.88.99.5", "127.0.0.1"])
    made = fetcher(inside, names)
    dial, dialled = made._dial, list[str]()

    def watched(found: tuple[Any, ...]) -> socket.socket:
        made_ = dial(found)  # raises for what may not be dialled
        made_.close()
        dialled.append(found[4][0])
        raise OSError("not really: no test leaves this machine")

    made._dial = watched  # type: ignore[method-assign]
    for _ in range(3):
        with pytest.raises(NotFetched):
            await fetched(made, f"http://rebind.test:{inside.port}/")
    assert dialled == ["192.88.99.5"]  # the first look; what came later was inside, and refused by what was dialled
    assert inside.reached == 0


async def test_ssrf_5_our_own_public_addresses_are_not_asked(inside: Inside) -> None:
    made = fetcher(inside, Names(panel_test=["192.88.99.7"]), ours=("192.88.99.7",))
    with pytest.raises(NotFetched):
        await fetched(made, f"http://panel.test:{inside.port}/")
    assert not made._open("192.88.99.7")
    assert made._open("192.88.99.8")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1:{}/",
        "file:///etc/passwd",
        "gopher://x/",
        "data:,x",
        "unix:///x",
        "http://127.0.0.1:22/",
        "http:///x",
        "",
        "x",
        "//x",
        "http://a:b",
    ],
)
async def test_ssrf_6_other_schemes_ports_and_forms_are_refused(inside: Inside, url: str) -> None:
    with pytest.raises(NotFetched):
        await fetched(fetcher(inside, allowed=True), url.format(inside.port))
    assert inside.reached == 0


async def test_ssrf_6_names_and_passwords_in_an_address_are_not_sent(inside: Inside) -> None:
    await fetched(fetcher(inside, allowed=True), f"http://user:password@127.0.0.1:{inside.port}/")
    assert "Authorization" not in inside.seen[0].headers


async def test_ssrf_7_a_proxy_of_the_environment_is_not_used(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _serving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await fetched(fetcher(inside, allowed=True), f"http://127.0.0.1:{inside.port}/") == b"secret"
        assert proxy.reached == 0


async def test_ssrf_8_what_is_larger_than_told_or_allowed_or_cut_is_refused(inside: Inside) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(bytes(100_000))
        return response

    inside.answer = endless
    with pytest.raises(NotFetched, match="more than"):
        await fetched(fetcher(inside, allowed=True), f"http://127.0.0.1:{inside.port}/", most=1024 * 1024)

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(bytes(1000))
        assert request.transport is not None
        request.transport.abort()
        return response

    inside.answer = cut
    with pytest.raises(NotFetched, match="stopped"):
        await fetched(fetcher(inside, allowed=True), f"http://127.0.0.1:{inside.port}/")


async def test_ssrf_8_nothing_is_unpacked_on_the_way(inside: Inside) -> None:
    inside.answer = lambda _: web.Response(body=gzip.compress(bytes(1_000_000)), headers={"Content-Encoding": "gzip"})
    with pytest.raises(NotFetched):
        await fetched(fetcher(inside, allowed=True), f"http://127.0.0.1:{inside.port}/")
    assert inside.seen[0].headers["Accept-Encoding"] == "identity"


async def test_ssrf_10_every_refusal_reads_the_same(inside: Inside) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = nobody.getsockname()[1]
        settings = PullSection(ports=[inside.port, closed], allowed_networks=["127.0.0.1"])
        inside.answer = lambda _: web.Response(status=404)
        words = set()
        for url in (f"http://127.0.0.1:{inside.port}/", f"http://127.0.0.1:{closed}/", f"http://127.0.0.2:{inside.port}/", "ftp://x/"):
            with pytest.raises(NotFetched) as caught:
                await fetched(Fetcher(settings), url)
            words.add(str(caught.value))
    assert len(words) == 1


def test_a_network_that_is_none_is_told_at_the_start() -> None:
    with pytest.raises(NotConfigured, match="allowed_networks"):
        Fetcher(PullSection(allowed_networks=["home"]))
