"""Backups by REST: the panel's bodies and statuses for tools, and what nodes report."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.api.auth import Limits
from core.models.server import Server
from core.services.servers import Extras
from tests.bot.api.keyring import VIEWER, Ring, keyring
from tests.control_plane import owner


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    async with keyring(tmp_path, Limits(client=10_000, application=10_000)) as ready:
        yield ready


@pytest.fixture
async def server(ring: Ring) -> Server:
    return await ring.stage.a_server("Kept", 30001, extras=Extras(backups=2))


async def report(ring: Ring, backup: str, rest: str = "", status: int = 204, **body: Any) -> None:
    token = ring.stage.fake.token
    headers = {"Authorization": f"Bearer {token.id}.{token.secret}"}
    async with ring.client.post(f"/api/remote/backups/{backup}{rest}", json=body, headers=headers) as answer:
        assert answer.status == status, await answer.text()


def path(server: Server, rest: str = "") -> str:
    return f"/api/client/servers/{server.uuid}/backups{rest}"


async def whole(ring: Ring, server: Server) -> str:
    _, body = await ring.call("owner", "POST", path(server), json={"name": "nightly", "ignored": "*.log\n"})
    backup = str(body["attributes"]["uuid"])
    await report(ring, backup, checksum="ab", checksum_type="sha1", size=123, successful=True, parts=None)
    return backup


async def test_a_backup_has_the_panels_fields(ring: Ring, server: Server) -> None:
    status, body = await ring.call("owner", "POST", path(server), json={"name": "nightly", "ignored": "*.log\n"})
    assert status == 200
    uuid, created = body["attributes"]["uuid"], body["attributes"]["created_at"]
    assert body == {
        "object": "backup",
        "attributes": {
            "uuid": uuid, "is_successful": False, "is_locked": False, "name": "nightly", "ignored_files": ["*.log"],
            "checksum": None, "bytes": 0, "created_at": created, "completed_at": None,
        },
    }  # fmt: skip
    await report(ring, uuid, checksum="ab", checksum_type="sha1", size=123, successful=True, parts=None)
    _, shown = await ring.call("owner", "GET", path(server, f"/{uuid}"))
    assert (shown["attributes"]["checksum"], shown["attributes"]["bytes"], shown["attributes"]["is_successful"]) == ("sha1:ab", 123, True)
    _, listed = await ring.call("owner", "GET", path(server))
    assert (len(listed["data"]), listed["meta"]["backup_count"], listed["meta"]["pagination"]["per_page"]) == (1, 1, 20)


async def test_no_body_at_all_is_a_backup_too(ring: Ring, server: Server) -> None:
    status, body = await ring.call("owner", "POST", path(server))
    assert (status, body["attributes"]["name"].startswith("Backup at ")) == (200, True)


async def test_over_the_limit_is_the_panels_400(ring: Ring, server: Server) -> None:
    for _ in range(2):
        await whole(ring, server)
    status, body = await ring.call("owner", "POST", path(server))
    assert (status, body["errors"][0]["code"]) == (400, "TooManyBackupsException")


async def test_download_lock_restore_delete(ring: Ring, server: Server) -> None:
    backup = await whole(ring, server)
    status, body = await ring.call("owner", "GET", path(server, f"/{backup}/download"))
    assert (status, body["object"], "/download/backup?token=" in body["attributes"]["url"]) == (200, "signed_url", True)
    _, body = await ring.call("owner", "POST", path(server, f"/{backup}/lock"))
    assert body["attributes"]["is_locked"] is True
    status, body = await ring.call("owner", "DELETE", path(server, f"/{backup}"))
    assert (status, body["errors"][0]["code"]) == (400, "BackupLockedException")
    await ring.call("owner", "POST", path(server, f"/{backup}/lock"))
    assert (await ring.call("owner", "POST", path(server, f"/{backup}/restore"), json={}))[0] == 422
    assert (await ring.call("owner", "POST", path(server, f"/{backup}/restore"), json={"truncate": True}))[0] == 204
    assert (await ring.call("owner", "GET", path(server)))[0] == 409
    await report(ring, backup, "/restore", successful=True)
    assert (await ring.call("owner", "DELETE", path(server, f"/{backup}")))[0] == 204
    assert (await ring.call("owner", "GET", path(server, f"/{backup}")))[0] == 404


async def test_who_holds_nothing_sees_nothing_and_who_may_look_changes_nothing(ring: Ring, server: Server) -> None:
    backup = await whole(ring, server)
    assert (await ring.call("stranger", "GET", path(server)))[0] == 404
    await ring.stage.services.guilds.grant(owner(), preset="operator", user_id=VIEWER, server_ref=server.uuid)
    assert (await ring.call("viewer", "GET", path(server)))[0] == 200
    for method, rest in (("POST", ""), ("DELETE", f"/{backup}"), ("POST", f"/{backup}/restore"), ("GET", f"/{backup}/download")):
        assert (await ring.call("viewer", method, path(server, rest), json={"truncate": True}))[0] == 403


async def test_a_node_that_asks_for_s3_addresses_is_told_that_there_are_none(ring: Ring, server: Server) -> None:
    backup = await whole(ring, server)
    token = ring.stage.fake.token
    headers = {"Authorization": f"Bearer {token.id}.{token.secret}"}
    async with ring.client.get(f"/api/remote/backups/{backup}?size=5", headers=headers) as answer:
        assert answer.status == 400
    await report(ring, "no-such", status=404, successful=False, checksum="", checksum_type="", size=0)
    await report(ring, backup, status=422, successful="perhaps")
