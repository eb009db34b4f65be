"""/api/client/servers/{server}/backups: list, make, look at, download, lock, restore and delete them."""

from aiohttp import web

from bot.api.auth import caller_of
from bot.api.client import resources
from bot.api.client.gate import Gate
from bot.api.errors import PanelError
from bot.api.input import Input
from bot.api.paging import Paging, answer, done, item, paged
from core.errors import AerieError, Conflict, LimitReached, ServerBusy
from core.permissions import allows
from core.services.backups import Backups


class BackupRoutes:
    def __init__(self, backups: Backups, gate: Gate) -> None:
        self._backups = backups
        self._gate = gate

    async def listing(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "backup.read", event="server:backup.list")
        paging = Paging.of(request, default=20, most=50)
        _, rows = await self._backups.of(caller_of(request).actor, server.uuid)
        count = sum(row.successful or row.pending for row in rows)
        return paged(request, [resources.backup(row) for row in paging.cut(rows)], paging, len(rows), {"backup_count": count})

    async def create(self, request: web.Request) -> web.Response:
        """`is_locked` counts only for those who may delete backups (panel)."""
        server, held = await self._gate.enter(request, "backup.create", event="server:backup.start")
        given = await Input.of(request)
        name, ignored = given.text("name", required=False), given.text("ignored", most=16_000, required=False)
        locked = bool(given.value("is_locked")) and allows(held, "backup.delete")
        given.checked()
        try:
            row = await self._backups.create(caller_of(request).actor, server.uuid, name=name, ignored=ignored, locked=locked)
        except LimitReached as error:
            raise PanelError(400, "TooManyBackupsException", error.message, hint=error.hint) from error
        return answer(resources.backup(row))

    async def show(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "backup.read", event="server:backup.list")
        return answer(resources.backup(await self._backups.one(caller_of(request).actor, server.uuid, request.match_info["backup"])))

    async def download(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "backup.download", event="server:backup.download")
        caller = caller_of(request)
        try:
            url = await self._backups.download(caller.actor, server.uuid, request.match_info["backup"], user_uuid=caller.user.uuid)
        except Conflict as error:
            raise _refused(error) from error
        return answer(item("signed_url", {"url": url}))

    async def lock(self, request: web.Request) -> web.Response:
        """Turns the lock round."""
        server, _ = await self._gate.enter(request, "backup.delete", event="server:backup.lock")
        return answer(resources.backup(await self._backups.lock(caller_of(request).actor, server.uuid, request.match_info["backup"])))

    async def restore(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "backup.restore", event="server:backup.restore")
        given = await Input.of(request)
        if not isinstance(given.value("truncate"), bool | int | str):
            given.fail("truncate", "required", "The truncate field is required.")
        given.checked()
        truncate = given.value("truncate") in (True, 1, "1", "true")
        try:
            await self._backups.restore(caller_of(request).actor, server.uuid, request.match_info["backup"], truncate=truncate)
        except (Conflict, ServerBusy) as error:
            raise _refused(error) from error
        return done()

    async def delete(self, request: web.Request) -> web.Response:
        server, _ = await self._gate.enter(request, "backup.delete", event="server:backup.delete")
        try:
            await self._backups.delete(caller_of(request).actor, server.uuid, request.match_info["backup"])
        except Conflict as error:
            name = "BackupLockedException" if "locked" in error.message else "BadRequestHttpException"
            raise PanelError(400, name, error.message, hint=error.hint) from error
        return done()


def _refused(error: AerieError) -> PanelError:
    return PanelError(400, "BadRequestHttpException", error.message, hint=error.hint)
