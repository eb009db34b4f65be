"""Who may knock: loopback, hosts and origins; the page's files and its sockets."""

import asyncio
import sys
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType

from sandbox import door
from sandbox.app import Sandbox, SandboxConfig, running
from sandbox.person import NotSeen, Person, Refused
from tests.sandbox.clients import Api


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])
async def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(door.NotLoopback, match=r"127\.0\.0\.1"):
        async with running(SandboxConfig(host=host)):
            pass


async def test_other_places_can_be_allowed_on_purpose() -> None:
    async with running(SandboxConfig(host="0.0.0.0", allow_remote=True)) as box, ClientSession() as session:
        answer = await session.get(f"{box.url}/sandbox/people", headers={"Host": "sandbox.lan"})
        assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/sandbox/people", "/sandbox/ws?person=1", "/api/v10/users/@me", "/gateway?v=10"])
async def test_other_sites_are_refused_everywhere(box: Sandbox, headers: dict[str, str], path: str) -> None:
    async with ClientSession() as session, session.get(box.url + path, headers=headers) as answer:
        assert answer.status == 403


async def test_a_link_to_the_page_may_be_followed(box: Sandbox) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    async with ClientSession() as session:
        assert (await session.get(box.url + "/", headers=link)).status != 403
        assert (await session.get(box.url + "/sandbox/people", headers=link)).status == 403


async def test_the_page_is_served_from_its_folder_only(box: Sandbox, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page" / "js").mkdir(parents=True)
    (tmp_path / "page" / "index.html").write_text("<title>Aerie</title>")
    (tmp_path / "page" / "js" / "main.js").write_text("export {};")
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(door, "PAGE", tmp_path / "page")
    async with ClientSession() as session:
        async with session.get(box.url + "/") as answer:
            assert answer.status == 200
            assert "Aerie" in await answer.text()
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        async with session.get(box.url + "/page/js/main.js") as answer:
            assert answer.headers["Content-Type"].startswith("text/javascript")
        for path in ("/page/../secret.txt", "/page/%2e%2e/secret.txt", "/page/..%2fsecret.txt", "/page/js", "/page/none.js"):
            async with session.get(box.url + path) as answer:
                assert answer.status == 404


async def test_a_bad_operation_is_answered_with_a_sentence(box: Sandbox, ada: Person) -> None:
    async with ClientSession() as session, session.ws_connect(f"{box.url}/sandbox/ws?person={ada.me['id']}") as socket:
        hello = (await socket.receive_json())["type"]
        assert hello == "hello"
        for sent, words in (
            ("not json", "not JSON"),
            ("[1]", "JSON object"),
            ('{"op": "fly", "nonce": "1"}', "Unknown operation 'fly'"),
            ('{"op": "send", "nonce": "2"}', "channel is not here"),
            ('{"op": "send", "nonce": "3", "channel_id": {"a": 1}, "content": 5}', "channel is not here"),
            ('{"op": "press", "nonce": "4", "channel_id": "1", "message_id": "1", "custom_id": "x"}', "channel is not here"),
            ('{"op": "submit", "nonce": "5"}', "not open"),
            ('{"op": "run", "nonce": "6", "channel_id": "1"}', "channel is not here"),
        ):
            await socket.send_str(sent)
            result = await socket.receive_json()
            assert result["type"] == "result"
            assert result["ok"] is False
            assert words in result["error"]
        await socket.send_json({"op": "history", "nonce": "7", "channel_id": ada.channel_id("general")})
        assert (await socket.receive_json())["data"] == {"messages": [], "has_more": False}


async def test_nobody_can_be_somebody_who_is_not_there(box: Sandbox) -> None:
    async with ClientSession() as session:
        for person in ("1", "", box.state.bot.id):
            async with session.get(f"{box.url}/sandbox/ws?person={person}") as answer:
                assert answer.status == 404
    with pytest.raises(Refused, match="there are Ada, Max, Kim"):
        async with Person.connect(box.url, "Eve"):
            pass


async def test_hello_holds_what_the_page_draws(box: Sandbox, api: Api, general: str, ada: Person) -> None:
    for number in range(60):
        await ada.say("general", str(number))
    async with Person.connect(box.url, "Max") as maximilian:
        assert maximilian.me["color"] == "#3ba55c"
        assert maximilian.me["is_owner"] is False
        assert [message["content"] for message in maximilian.messages("general")] == [str(number) for number in range(10, 60)]
        assert maximilian.guild["icon_text"] == "TA"
        assert {role["name"] for role in maximilian.guild["roles"]} == {"@everyone", "Moderator", "Player", "Aerie"}
        assert [channel["name"] for channel in maximilian.channels] == ["general", "servers", "console"]


async def test_what_was_not_seen_says_what_was(ada: Person) -> None:
    await ada.say("general", "something else")
    with pytest.raises(NotSeen, match="something else"):
        await ada.wait_for(lambda message: message["content"] == "hello", timeout=0.1)


async def test_a_person_notices_that_the_sandbox_went_away() -> None:
    async with running(SandboxConfig()) as box, Person.connect(box.url, "Ada") as ada:
        waiting = asyncio.create_task(ada.wait_for(lambda message: False, timeout=10))
        await asyncio.sleep(0.05)
        for connection in list(box.world.hub.to_page):
            await connection.__self__.close()  # type: ignore[attr-defined]
        with pytest.raises(NotSeen, match="lost the sandbox"):
            await waiting


async def test_the_module_runs_prints_where_it_is_and_stops_cleanly(tmp_path: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "--port", "0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    url = line.split()[2]
    async with Person.connect(url, "Ada") as ada:
        assert ada.me["name"] == "Ada"
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_broken_seed_is_told_in_one_line(tmp_path: Any) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text('{"guilds": [{"owner": "Ada", "members": [], "channels": []}]}')
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox",
        "--port",
        "0",
        "--seed",
        str(seed),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert "the owner 'Ada' is not among the members" in errors.decode()


async def test_a_browser_of_the_same_origin_is_let_in(box: Sandbox, ada: Person) -> None:
    async with ClientSession() as session, session.ws_connect(f"{box.url}/sandbox/ws?person={ada.me['id']}", origin=box.url) as socket:
        assert (await socket.receive()).type is WSMsgType.TEXT
