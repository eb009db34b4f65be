"""The finer points of Wings' wire: bodies field for field, odd queries and bodies, what is refused and how, calls of the control plane."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from agent.api.frames import message
from agent.api.listening import listening
from agent.app import running
from agent.credentials import Credentials
from agent.remote import ControlPlaneAway, Remote, connected
from agent.runtime.runtime import go_name
from agent.server.install_script import scripts_of
from agent.server.server import Server
from core.clock import ManualClock
from core.errors import AerieError, NotConfigured, NotFound, RuntimeFailure
from core.protocol.remote import ACCEPT
from core.protocol.settings import Allocations, Mount
from core.protocol.socket import Outbound
from core.tokens import new_node_token
from core.vocabulary import PowerSignal, ServerState
from tests.agent.api.conftest import Bench, config, settings
from tests.agent.api.still import Still, answered, ask, frames_until, seen, standing_still, until
from tests.agent.api.test_install import scripts_run, staged
from tests.fakes.panel import standing

GOLDEN = Path(__file__).parents[2] / "golden"
ROUTES = [
    ("POST", "/api/servers"),
    ("POST", "/api/update"),
    ("POST", "/api/deauthorize-user"),
    ("POST", "/api/servers/{}/power"),
    ("POST", "/api/servers/{}/commands"),
    ("POST", "/api/servers/{}/ws/deny"),
]
"""Those that read a body."""


def keys(value: Any, at: str = "") -> set[str]:
    """Dotted names of every field."""
    if isinstance(value, dict):
        return {f"{at}.{key}" for key in value} | {name for key, one in value.items() for name in keys(one, f"{at}.{key}")}
    return {name for one in value for name in keys(one, f"{at}[]")} if isinstance(value, list) else set()


async def test_a_server_is_described_field_for_field(bench: Bench) -> None:
    made = bench.panel.servers[bench.uuid].settings
    made.environment["KEY"] = "v"
    made.allocations = Allocations.model_validate({"default": {"ip": "1.2.3.4", "port": 1}, "mappings": {"1.2.3.4": [1]}})
    made.mounts = [Mount(source="/srv/x", target="/mnt/x", read_only=True)]
    async with bench.http.post(bench.path("/sync")) as answer:
        assert answer.status == 204
    async with bench.http.get(bench.path()) as answer:
        ours = await answer.json()
    golden = json.loads((GOLDEN / "wings_server.json").read_text())
    assert not keys(golden) - keys(ours)
    assert {name for name in keys(ours) - keys(golden) if ".aerie" not in name} == set()
    assert (ours["state"], ours["is_suspended"], ours["utilization"]["state"]) == ("offline", False, "offline")
    async with bench.http.get("/api/servers") as answer:
        assert keys(await answer.json()) == {f"[]{name}" for name in keys(ours)}


async def test_the_first_form_of_system_is_flat_and_any_other_question_gets_it(bench: Bench) -> None:
    first, second = (json.loads((GOLDEN / f"wings_system_v{number}.json").read_text()) for number in (1, 2))
    for query in ("", "?v=1", "?v=3", "?v=", "?v=22", "?v=٢"):
        async with bench.http.get(f"/api/system{query}") as answer:
            flat = await answer.json()
            assert keys(flat) == keys(first)
    async with bench.http.get("/api/system?v=2") as answer:
        nested = await answer.json()
    assert {name for name in keys(nested) if not name.startswith(".aerie")} == keys(second)
    assert flat["os"] == nested["system"]["os_type"] == "linux"
    assert flat["architecture"] == nested["system"]["architecture"] not in ("x86_64", "aarch64")
    assert flat["version"][0].isdigit()


def test_processors_have_gos_names() -> None:
    assert [go_name(name) for name in ("x86_64", "aarch64", "riscv64")] == ["amd64", "arm64", "riscv64"]


async def test_logs_count_lines_by_wings_rules(bench: Bench) -> None:
    async with bench.http.get(bench.path("/logs")) as answer:
        assert await answer.json() == {"data": None}
    bench.agent.manager.get(bench.uuid).console.feed(b"".join(b"line %d\n" % number for number in range(150)))
    for query, count in (("", 100), ("?size=5", 5), ("?size=100", 100), ("?size=101", 100), ("?size=0", 100), ("?size=-3", 100)):
        async with bench.http.get(bench.path(f"/logs{query}")) as answer:
            lines = (await answer.json())["data"]
            assert (len(lines), lines[-1]) == (count, "line 149")
    for odd in ("x", "1e2", "5.0", "٥", "", "9" * 5000, "%00"):
        async with bench.http.get(bench.path(f"/logs?size={odd}")) as answer:
            assert len((await answer.json())["data"]) == 100


@pytest.mark.parametrize("wait", [0, 5, -1, 301, 10**30])
async def test_any_wait_for_the_power_lock_is_borne(bench: Bench, wait: int) -> None:
    async with bench.http.post(bench.path("/power"), json={"action": "kill", "wait_seconds": wait}) as answer:
        assert answer.status in (202, 409)  # a kill of what is offline makes no sense; the wait is no reason
        assert "wait" not in await answer.text()


async def test_a_sync_says_what_stood_in_its_way(bench: Bench) -> None:
    for status, told in ((404, 404), (500, 503), (409, 500), (403, 503), (0, 204)):
        bench.panel.mood = {f"/servers/{bench.uuid}": status} if status else {}
        async with bench.http.post(bench.path("/sync")) as answer:
            assert answer.status == told, status
            if status:
                assert (await answer.json())["error"]


async def test_what_wings_does_not_serve_is_404_behind_the_bearer(bench: Bench) -> None:
    async with aiohttp.ClientSession(bench.agent.url) as stranger:
        for method, path in (
            ("POST", bench.path("/archive")),
            ("GET", bench.path("/power")),
            ("PUT", "/api/system"),
            ("DELETE", "/api/servers"),
            ("GET", "/"),
            ("GET", "/api"),
            ("GET", "/api/servers/x/y/z"),
            ("PATCH", bench.path("/ws")),
        ):
            async with stranger.request(method, path) as answer:
                assert answer.status == 401
            async with bench.http.request(method, path) as answer:
                assert (answer.status, answer.content_type) == (404, "text/plain")
                assert answer.headers["X-Request-Id"]


async def test_browsers_may_be_let_into_a_private_network(tmp_path: Path) -> None:
    for wanted in (False, True):
        folder = tmp_path / str(wanted)
        async with standing_still(folder, allow_cors_private_network=wanted) as still, still.http.options("/api/system") as answer:
            assert answer.headers.get("Access-Control-Request-Private-Network") == ("true" if wanted else None)


@pytest.mark.parametrize(("method", "route"), ROUTES)
@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"nonsense", b"null", b"[]", b"5", b'"text"', b"\xff\xfe", b'{"a":1}{', b"\x00", b"[" * 10_000],
    ids=lambda body: repr(body[:8]),
)
async def test_bodies_that_cannot_be_read_are_400_and_change_nothing(bench: Bench, method: str, route: str, body: bytes) -> None:
    async with bench.http.request(method, route.format(bench.uuid), data=body) as answer:
        assert answer.status == 400
        told = await answer.json()
        assert told["request_id"] == answer.headers["X-Request-Id"]
        assert told["error"].endswith(".")
    assert bench.agent.manager.get(bench.uuid).state is ServerState.OFFLINE


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        ("/api/servers", {"uuid": 5}, 400),
        ("/api/servers", {"uuid": None}, 400),
        ("/api/servers", {"start_on_completion": True}, 400),
        ("/api/servers", {"uuid": "0f2f7cf0-3f3c-4f7a-8a52-0d2f7d1b2c3d", "start_on_completion": "perhaps"}, 400),
        ("/api/servers/{}/power", {"action": ["start"]}, 422),
        ("/api/servers/{}/power", {"action": None}, 422),
        ("/api/servers/{}/power", {}, 422),
        ("/api/servers/{}/power", {"action": "start", "wait_seconds": "long"}, 400),
        ("/api/servers/{}/commands", {"commands": "say hi"}, 400),
        ("/api/servers/{}/commands", {"commands": [1]}, 400),
        ("/api/servers/{}/commands", {"commands": None}, 400),
        ("/api/servers/{}/commands", {}, 400),
        ("/api/servers/{}/ws/deny", {"jtis": "a"}, 400),
        ("/api/servers/{}/ws/deny", {"jtis": [None]}, 400),
        ("/api/deauthorize-user", {"servers": []}, 400),
        ("/api/deauthorize-user", {"user": "u", "servers": "all"}, 400),
    ],
    ids=str,
)
async def test_wrong_types_are_refused_by_name(bench: Bench, route: str, body: dict[str, object], status: int) -> None:
    async with bench.http.post(route.format(bench.uuid), json=body) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]
    assert len(bench.agent.manager.all()) == 1
    assert bench.agent.manager.get(bench.uuid).state is ServerState.OFFLINE


async def test_fields_nobody_knows_are_passed_over(bench: Bench) -> None:
    new = {"invented_in_2031": {"a": [1]}}
    for route, body, status in (
        ("/api/servers/{}/ws/deny", {"jtis": []}, 204),
        ("/api/deauthorize-user", {"user": "nobody"}, 204),
        ("/api/update", {}, 200),
        ("/api/servers/{}/power", {"action": "stop"}, 409),
        ("/api/servers/{}/commands", {"commands": ["x"]}, 502),
    ):
        async with bench.http.post(route.format(bench.uuid), json={**body, **new}) as answer:
            assert answer.status == status, route


async def test_an_agent_that_looks_at_its_servers_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, go_on = asyncio.Event(), asyncio.Event()
    restore = Server.restore

    async def slow(server: Server, *more: Any) -> bool:
        looking.set()
        await go_on.wait()
        return await restore(server, *more)

    monkeypatch.setattr(Server, "restore", slow)
    async with standing(new_node_token()) as panel:
        uuid = str(uuid4())
        panel.servers[uuid] = settings(uuid)
        url: list[str] = []
        headers = {"Authorization": f"Bearer {panel.token.secret}"}

        async def ask_early() -> None:
            await looking.wait()
            async with aiohttp.ClientSession(url[0], headers=headers) as http:
                for path in ("/api/servers", f"/api/servers/{uuid}", f"/api/servers/{uuid}/ws"):
                    async with http.get(path) as answer:
                        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                async with http.get("/api/system") as answer:
                    assert answer.status == 200
            go_on.set()

        @asynccontextmanager
        async def heard(*parts: Any) -> AsyncIterator[int]:
            async with listening(*parts) as port:
                url.append(f"http://127.0.0.1:{port}")
                yield port

        monkeypatch.setattr("agent.app.listening", heard)
        early = asyncio.create_task(ask_early())
        async with running(config(panel, tmp_path)):
            await early


async def test_what_went_wrong_is_told_whole_to_those_who_may_see_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(server: Server, line: str) -> None:
        raise RuntimeFailure("The disk /dev/sdx1 is full of cats.")

    monkeypatch.setattr(Server, "command", broken)
    async with standing_still(tmp_path) as still:
        admin, owner = await still.open("*", "admin.websocket.errors"), await still.open("*")
        await ask(owner, "set state", "start")
        await seen(owner, "status", "running")
        for socket, whole in ((admin, True), (owner, False)):
            await ask(socket, "send command", "help")
            (words,) = (await seen(socket, "daemon error"))["args"]
            assert words.startswith("[")
            assert ("cats" in words) == whole
        await ask(owner, "set state", "fly")  # the person's own mistake is told to anybody
        assert "fly" in (await seen(owner, "daemon error"))["args"][0]


async def test_messages_without_words_have_no_args(tmp_path: Path) -> None:
    assert message(Outbound.AUTH_SUCCESS, None) == (GOLDEN / "wings_frame_auth_success.json").read_bytes().strip()
    assert json.loads(message(Outbound.STATUS, "running")) == json.loads((GOLDEN / "wings_frame_status.json").read_text())
    async with standing_still(tmp_path) as still:
        socket = await still.open(autoping=False)
        for text in ('{"event": "send stats", "args": [null]}', '{"event": "send stats"}', '{"event": "send stats", "args": null}'):
            await socket.send_str(text)
        assert [frame["args"] for frame in await answered(socket)] == [["jwt: no jwt present"]] * 3


async def test_arguments_are_put_together_and_null_is_nothing(still: Still) -> None:
    socket = await still.open()
    token = still.jwt("*")
    await socket.send_json({"event": "auth", "args": [None, token[:20], None, token[20:]]})
    await seen(socket, "auth success")
    await ask(socket, "set state", "st", None, "op")  # offline already: the action was understood
    assert "offline" in (await frames_until(socket, "daemon error"))[-1]["args"][0]


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[Still]:
    async with standing_still(tmp_path) as ready:
        yield ready


async def test_every_call_of_the_control_plane_bears_wings_headers(bench: Bench) -> None:
    async with bench.http.post(bench.path("/sync")) as answer:
        assert answer.status == 204
    token = bench.panel.token
    assert bench.panel.requests[:2] == ["GET /api/remote/servers", "POST /api/remote/servers/reset"]
    for head in bench.panel.heads:
        assert head["Authorization"] == f"Bearer {token.id}.{token.secret}"
        assert head["Accept"] == ACCEPT == "application/vnd.pterodactyl.v1+json"
        assert head["Content-Type"] == "application/json"
        assert f"(id:{token.id})" in head["User-Agent"]
    assert [head["body"] for head in bench.panel.heads[:2]] == ["", "null"]


@pytest.mark.parametrize(
    ("status", "tries", "error"),
    [
        (500, 10, ControlPlaneAway),
        (503, 10, ControlPlaneAway),
        (404, 1, NotFound),
        (400, 1, AerieError),
        (409, 1, AerieError),
        (401, 1, NotConfigured),
        (403, 1, NotConfigured),
        (301, 1, NotConfigured),
        (307, 1, NotConfigured),
    ],
)
async def test_calls_are_tried_again_by_wings_rules(tmp_path: Path, status: int, tries: int, error: type[AerieError]) -> None:
    clock = ManualClock()
    async with standing(new_node_token()) as panel:
        wanted = config(panel, tmp_path).remote.model_copy(update={"timeout": 30.0})
        panel.status = status
        credentials = Credentials(wanted, tmp_path / "credentials.json")
        async with connected(wanted, credentials, clock, tmp_path / "servers.json") as remote:

            async def call(remote: Remote) -> None:
                await remote.server(str(uuid4()))

            with pytest.raises(error):
                await hurried(clock, call, remote)
        assert len(panel.requests) == 1 if tries == 1 else 6 <= len(panel.requests) <= 14  # waits are spread by half
        assert clock.monotonic() <= 31
        assert (clock.monotonic() == 0) == (tries == 1)


async def hurried(clock: ManualClock, call: Callable[[Remote], Awaitable[None]], remote: Remote) -> None:
    """The call, with the clock's hands turned whenever it waits for them."""
    work = asyncio.ensure_future(call(remote))
    async with asyncio.timeout(60):
        while not work.done():
            if clock.sleeping:
                await clock.advance(0.25)
            await asyncio.sleep(0)
    await work


async def test_ins_4_nobody_can_be_there_before_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts_run(monkeypatch)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    async with standing(new_node_token()) as panel, staged(panel, tmp_path / "agent") as stage:
        place = scripts_of(config(panel, tmp_path / "agent"), stage.uuid)
        assert place.is_relative_to(tmp_path / "agent")  # never in a folder for all, such as /tmp
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(outside)
        assert await stage.create("exit 0") == 202
        assert not (await stage.report(1)).successful
        assert [file.name for file in outside.iterdir()] == ["kept"]
        place.unlink()
        place.mkdir()
        (place / "install.sh").write_text("touch planted")
        assert await stage.post("/install") == 202
        assert (await stage.report(2)).successful
        assert not (stage.agent.manager.get(stage.uuid).folder / "planted").exists()
        facts = place.parent.stat()
        assert (stat.S_IMODE(facts.st_mode) & 0o022, facts.st_uid) == (0, os.geteuid())


async def test_ins_5_a_second_installation_and_one_without_permission_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts_run(monkeypatch)
    async with standing(new_node_token()) as panel, staged(panel, tmp_path) as stage:
        assert await stage.create("sleep 600") == 202
        server = stage.agent.manager.get(stage.uuid)
        await until(lambda: server.end_installation is not None)
        for rest in ("/install", "/reinstall"):
            assert await stage.post(rest) == 409
        for action in (PowerSignal.START, PowerSignal.RESTART, PowerSignal.STOP):
            assert await stage.post("/power", action=action.value) == 409
        for token in ("", "Bearer wrong"):  # people have no route to it: theirs is the control plane, which asks `settings.reinstall`
            async with stage.http.post(f"/api/servers/{stage.uuid}/reinstall", headers={"Authorization": token}) as answer:
                assert answer.status in (401, 403)
        assert await stage.post("/power", action="kill") == 202
        assert not (await stage.report(1)).successful


async def test_ins_5_a_reinstallation_in_the_middle_of_a_signal_is_refused(bench: Bench) -> None:
    bench.panel.servers[bench.uuid] = settings(bench.uuid, invocation="sleep 600")  # it never says that it is ready
    async with bench.http.post(bench.path("/sync")) as answer:
        assert answer.status == 204
    async with bench.http.post(bench.path("/power"), json={"action": "start"}) as answer:
        assert answer.status == 202
    async with bench.http.post(bench.path("/reinstall")) as answer:
        assert answer.status == 409
        assert "power action" in (await answer.json())["error"]
    async with bench.http.post(bench.path("/power"), json={"action": "kill"}) as answer:
        assert answer.status == 202
