"""Stock Wings 1.11 under our bot: its own calls, letter for letter, in the order in which it makes them; answers read as Go reads them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bot.api.app import make_app
from core.errors import MissingPermission
from core.protocol.remote import RemoteError
from core.vocabulary import Outcome, ServerStatus
from tests.control_plane import OWNER, Stage, an_egg, member, owner, staged

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {"server.properties": {"parser": "properties", "find": {"server-port": "{{server.build.default.port}}", "motd": {"old": "new"}}}}
INSTALL = {"installation": {"script": "#!/bin/bash\r\necho hi\r\n", "container": "debian:12", "entrypoint": "bash"}}


class Wings:
    """Its HTTP client: headers and bodies as it sends them, and Go's strictness about types."""

    def __init__(self, client: TestClient[web.Request, web.Application], stage: Stage) -> None:
        self._client = client
        token = stage.fake.token
        self._headers = {
            "Authorization": f"Bearer {token.id}.{token.secret}",
            "Accept": "application/vnd.pterodactyl.v1+json",
            "Content-Type": "application/json",
            "User-Agent": f"Pterodactyl Wings/v1.11.11 (id:{token.id})",
        }

    async def get(self, path: str) -> Any:
        async with self._client.get(f"/api/remote{path}", headers=self._headers) as answer:
            assert answer.status == 200, path
            assert answer.content_type == "application/json"
            return await answer.json()

    async def post(self, path: str, body: Any = None) -> int:
        """What says nothing says `null`."""
        async with self._client.post(f"/api/remote{path}", headers=self._headers, data=json.dumps(body)) as answer:
            if answer.status >= 400:
                entry = RemoteError.model_validate(await answer.json()).errors[0]
                assert (entry.status, bool(entry.code), bool(entry.detail)) == (str(answer.status), True, True)
            return answer.status


def reads(value: Any, shape: Any, at: str = "") -> None:
    """As Go's decoder: a field of another type would crash the daemon. `shape` maps names to types; one for a list's items, `...` any."""
    if shape is ...:
        return
    if isinstance(shape, dict):
        assert isinstance(value, dict), at
        for name, one in shape.items():
            if name == "*":
                for key, item in value.items():
                    reads(item, one, f"{at}.{key}")
            else:
                assert name in value, f"{at}.{name} is missing"
                reads(value[name], one, f"{at}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), at
        for number, item in enumerate(value):
            reads(item, shape[0], f"{at}[{number}]")
    else:
        assert type(value) in (shape if isinstance(shape, tuple) else (shape,)), f"{at} is {value!r}"


NONE = type(None)
SETTINGS = {
    "uuid": str,
    "meta": {"name": str, "description": str},
    "suspended": bool,
    "environment": {"*": str},
    "invocation": str,
    "skip_egg_scripts": bool,
    "build": {
        "memory_limit": int,
        "swap": int,
        "io_weight": int,
        "cpu_limit": int,
        "disk_space": int,
        "threads": (str, NONE),
        "oom_disabled": bool,
    },
    "container": {"image": str},
    "allocations": {"force_outgoing_ip": bool, "default": {"ip": str, "port": int}, "mappings": {"*": [int]}},
    "mounts": [{"source": str, "target": str, "read_only": bool}],
    "egg": {"id": str, "file_denylist": [str]},
}
PROCESS = {
    "startup": {"done": [str], "user_interaction": [...], "strip_ansi": bool},
    "stop": {"type": str, "value": str},
    "configs": [{"file": str, "parser": str, "replace": [{"match": str, "replace_with": ...}]}],
}
PAGE = {"current_page": int, "from": (int, NONE), "last_page": int, "path": str, "per_page": int, "to": (int, NONE), "total": int}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(f"sqlite+aiosqlite:///{tmp_path}/aerie.sqlite3", ours=False) as ready:
        yield ready


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async with TestClient(TestServer(make_app(stage.services))) as client:
        yield client


async def test_stock_wings_under_our_bot(stage: Stage, client: TestClient[web.Request, web.Application]) -> None:
    services, wings = stage.services, Wings(client, stage)
    config = {"files": json.dumps(FILES), "startup": '{"done": ["listening on", "regex:^ready"]}', "logs": "{}", "stop": "^C"}
    stage.egg = await services.eggs.import_ptdl(an_egg(config=config, scripts=INSTALL))
    made = [await stage.a_server(f"Server {number}", 30000 + number) for number in range(3)]
    server = made[0]
    path = f"/servers/{server.uuid}"

    # it boots: its servers page by page, beginning at 0, then the reset
    seen: list[str] = []
    for page in (0, 2):
        body = await wings.get(f"/servers?page={page}&per_page=2")
        reads(body, {"data": [{"uuid": str, "settings": SETTINGS, "process_configuration": PROCESS}], "meta": PAGE})
        assert (body["meta"]["current_page"], body["meta"]["last_page"]) == (max(page, 1), 2)
        seen += [entry["uuid"] for entry in body["data"]]
    assert sorted(seen) == sorted(one.uuid for one in made)
    assert await wings.post("/servers/reset") == 204

    # it is told of a new server: settings, script, result
    settings = await wings.get(path)
    reads(settings, {"settings": SETTINGS, "process_configuration": PROCESS})
    (file,) = settings["process_configuration"]["configs"]
    assert {"match": "server-port", "replace_with": "30000"} in [
        {"match": one["match"], "replace_with": str(one["replace_with"])} for one in file["replace"]
    ]
    assert settings["process_configuration"]["stop"] == {"type": "signal", "value": "C"}
    script = await wings.get(f"{path}/install")
    reads(script, {"container_image": str, "entrypoint": str, "script": str})
    for successful, status in ((False, ServerStatus.INSTALL_FAILED), (True, None)):
        for _ in range(2):  # the same report may come twice
            assert await wings.post(f"{path}/install", {"successful": successful, "reinstall": False}) == 204
        assert (await services.servers.get(server.uuid)).status == status

    # each start asks for the settings again; what is gone or never was is 404, and never 5xx
    reads(await wings.get(path), {"settings": SETTINGS})
    assert await wings.post("/servers/00000000-0000-4000-8000-000000000000/install", {"successful": True, "reinstall": False}) == 404

    # somebody uses SFTP, and what they did is reported a minute later
    user = await services.users.create(name="Alice", discord_id=OWNER)
    await services.members.seen(owner())
    _, password = await services.credentials.new_password(owner(), user)
    asked = json.loads((GOLDEN / "wings_sftp_auth.json").read_text()) | {"username": f"alice.{server.uuid[:8]}"}
    assert await wings.post("/sftp/auth", asked | {"password": "wrong"}) == 403
    assert await wings.post("/sftp/auth", asked | {"password": password}) == 200
    activity = json.loads((GOLDEN / "wings_activity.json").read_text())
    entry = activity["data"][0] | {"user": user.uuid, "server": server.uuid}
    others = [
        entry | {"event": "server:sftp.write", "metadata": {"files": ["/a"]}},
        entry | {"event": "auth:x"},
        entry | {"server": user.uuid},
    ]
    assert await wings.post("/activity", {"data": [entry, *others]}) == 204
    recent = [row for row in await services.activity.recent(server) if row.event.startswith("server:") and row.origin == "203.0.113.9"]
    assert sorted(row.event for row in recent) == ["server:console.command", "server:sftp.write"]
    assert {row.outcome for row in recent} == {Outcome.OK.value}

    # calls of its that no panel of this version answers, and one of its own old ones
    for call in (f"{path}/archive", f"{path}/container/status"):
        assert await wings.post(call, {"data": {"previous_state": "offline", "new_state": "starting"}}) == 404


async def test_cfg_5_an_egg_comes_in_by_those_who_may_build_alone_and_is_written_down(stage: Stage) -> None:
    """Its install script runs on nodes: whoever brings one is an administrator in that."""
    with pytest.raises(MissingPermission):
        await stage.services.eggs.take(member(), an_egg(name="Evil", scripts=INSTALL))
    assert "Evil" not in [egg.name for egg in await stage.services.eggs.all()]
    before = (await stage.services.eggs.all())[0]
    await stage.services.eggs.take(owner(), an_egg(name="Good", scripts=INSTALL))
    assert {egg.name for egg in await stage.services.eggs.all()} == {before.name, "Good"}
