"""`aerie agent configure` against panels of every mood, and against our own bot's Application API."""

import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from ruamel.yaml import YAML

from core.config import AgentConfig, load
from core.errors import AerieError, Invalid
from core.tokens import new_node_token
from front.configure import Unconfigured, Wanted, configure
from tests.bot.api.keyring import keyring
from tests.certificates import Authority
from tests.fakes.panel import standing

NODE: dict[str, Any] = {
    "debug": False,
    "uuid": "5e4f8a1c-1b7e-4d26-9b3c-3f0a6e3b8d51",
    "token_id": "VH3yWuPcnDb2Xq0z",
    "token": "k2Jq9ZcTgX7vLr4mB1nYwEoHsD5fUa8pV0iKxNbQeRtGyMzWlChSjAuFdP3I6O7T",
    "api": {
        "host": "0.0.0.0",
        "port": 8443,
        "ssl": {"enabled": True, "cert": "/nowhere/fullchain.pem", "key": "/nowhere/privkey.pem"},
        "upload_limit": 100,
    },
    "system": {"data": "/srv/games", "sftp": {"bind_port": 2222}},
    "allowed_mounts": [],
    "remote": "https://panel.example.net",
}
KEY = "ptla_abcdefghijklmnopqrstuvwxyz"


@asynccontextmanager
async def panel(
    answer: Any = NODE, status: int = 200, headers: dict[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    async def show(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return web.json_response({"errors": []}, status=403)
        if request.match_info["node"] != "7":
            return web.json_response({"errors": []}, status=404)
        if isinstance(answer, str):
            return web.Response(text=answer, status=status, headers=headers)
        return web.json_response(answer, status=status, headers=headers)

    app = web.Application()
    app.router.add_get("/api/application/nodes/{node}/configuration", show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "aerie.toml"


async def test_the_panels_answer_becomes_settings_that_the_agent_reads(file: Path) -> None:
    async with panel() as url:
        said = await configure(Wanted(url, KEY, "7", file))
    config = load(AgentConfig, file, {})
    assert (config.remote.url, config.remote.token_id) == (NODE["remote"], NODE["token_id"])
    assert config.remote.token.get_secret_value() == NODE["token"]
    assert (config.api.port, config.api.certificate) == (8443, Path("/nowhere/fullchain.pem"))
    assert (config.system.data, config.sftp.port) == (Path("/srv/games"), 2222)
    assert config.system.root_directory == AgentConfig().system.root_directory
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert NODE["token"] not in str(said)
    assert KEY not in str(said)
    assert any("file /nowhere/fullchain.pem is not there yet" in line for line in said)
    assert said[-1] == f"Start it: aerie agent --config {file}"


async def test_wings_own_file_is_written_when_asked_for_and_read_by_the_agent_as_well(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    async with panel() as url:
        await configure(Wanted(url, KEY, "7", file, wings=True))
    assert YAML(typ="safe").load(file.read_text()) == NODE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(AgentConfig, file, {}).api.port == 8443


async def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("mine")
    file.chmod(0o644)
    async with panel() as url:
        with pytest.raises(Invalid, match="is there already") as caught:
            await configure(Wanted(url, KEY, "7", file))
        assert "--override" in caught.value.hint
        assert file.read_text() == "mine"
        with pytest.raises(Unconfigured):
            await configure(Wanted(url, "wrong", "7", file, override=True))
        assert file.read_text() == "mine", "it was lost although nothing could be written in its place"
        await configure(Wanted(url, KEY, "7", file, override=True))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(AgentConfig, file, {}).api.port == 8443
    assert [one.name for one in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token": "ptla_wrong"}, "refuses the key"),
        ({"node": "8"}, "no such node"),
        ({"node": "one"}, "named by its number"),
        ({"node": "7/../8"}, "named by its number"),
        ({"panel_url": "panel.example.net"}, "is no address"),
        ({"panel_url": "http://127.0.0.1:1"}, "cannot be reached"),
        ({"panel_url": "http://no-such-host.invalid"}, "cannot be reached"),
    ],
)
async def test_what_is_wrong_is_one_sentence_with_a_hint_and_nothing_is_written(file: Path, changes: dict[str, Any], said: str) -> None:
    async with panel() as url:
        with pytest.raises(AerieError, match=said) as caught:
            await configure(replace(Wanted(url, KEY, "7", file), **changes))
    assert caught.value.hint
    assert not file.exists()


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("<html>welcome</html>", 200, "does not answer as a panel does"),
        ({"token": "x"}, 200, "does not answer as a panel does"),
        ([1], 200, "does not answer as a panel does"),
        ("{broken", 200, "does not answer as a panel does"),
        ("", 500, r"failed \(500\)"),
        ("", 302, "sends us on to https://elsewhere.example"),
    ],
)
async def test_a_strange_panel_is_told(file: Path, answer: Any, status: int, said: str) -> None:
    async with panel(answer, status, {"Location": "https://elsewhere.example/login"}) as url:
        with pytest.raises(Unconfigured, match=said):
            await configure(Wanted(url, KEY, "7", file))
    assert not file.exists()


async def test_a_certificate_that_cannot_be_trusted_is_told_and_may_be_overlooked(file: Path, tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    async with panel(tls=context) as url:
        with pytest.raises(Unconfigured, match="cannot be trusted") as caught:
            await configure(Wanted(url, KEY, "7", file))
        assert "--allow-insecure" in caught.value.hint
        said = await configure(Wanted(url, KEY, "7", file, allow_insecure=True))
    assert any("[tls] ca" in line for line in said)


async def test_a_nodes_own_token_is_tried_and_written_as_the_bot_shows_it(file: Path) -> None:
    async with standing(new_node_token()) as panel:
        own = f"{panel.token.id}.{panel.token.secret}"
        with pytest.raises(Unconfigured, match="not this node's"):
            await configure(Wanted(panel.url, f"{panel.token.id}.{'x' * 64}", file=file))
        await configure(Wanted(panel.url + "/", own, file=file, port=9000))
        config = load(AgentConfig, file, {})
        assert (config.remote.url, config.remote.token_id, config.api.port) == (panel.url, panel.token.id, 9000)
        assert config.remote.token.get_secret_value() == panel.token.secret
        assert (config.system, config.sftp) == (AgentConfig().system, AgentConfig().sftp)


async def test_our_own_bot_answers_as_a_panel_does(file: Path, tmp_path: Path) -> None:
    async with keyring(tmp_path) as ring:
        url = str(ring.client.make_url("")).rstrip("/")
        await configure(Wanted(url, ring.keys["admin"], str(ring.stage.node.id), file))
        with pytest.raises(Unconfigured, match="refuses the key"):
            await configure(Wanted(url, ring.keys["viewer"], str(ring.stage.node.id), file, override=True))
        with pytest.raises(Unconfigured, match="no such node"):
            await configure(Wanted(url, ring.keys["admin"], "4711", file, override=True))
        config = load(AgentConfig, file, {})
        assert config.remote.token.get_secret_value() == ring.stage.fake.token.secret
        assert (config.remote.token_id, config.api.port) == (ring.stage.node.token_id, ring.stage.node.port)
