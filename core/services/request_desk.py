"""What the worker of restart requests needs: which want it, which process holds which, where their messages are. Asks nobody.

What a message shows is no change of a request: nothing here raises its version.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, update

from core.clock import Clock
from core.db.engine import Database
from core.models.vote import Request
from core.services.votes import changed_rows, whole_requests

MOST_POSTS = 3
"""How often a message that was deleted is posted anew, the first time included."""
MOST_AT_ONCE = 500


class RequestDesk:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def due(self) -> Sequence[Request]:
        """Requests that are under way, are to be called off, or whose message shows an older version."""
        unfinished = or_(Request.open_for.is_not(None), Request.finished_at.is_(None), Request.call_off, Request.shown < Request.version)
        async with self._database.session() as session:
            return list(await session.scalars(whole_requests().where(unfinished).order_by(Request.id).limit(MOST_AT_ONCE)))

    async def hold(self, request: Request, worker: str, seconds: int) -> bool:
        """Take or keep the right to carry it on, unless another process has it."""
        now = self._clock.now()
        free = or_(Request.worker.is_(None), Request.worker == worker, Request.worker_until <= now)
        taking = update(Request).where(Request.id == request.id, free).values(worker=worker, worker_until=now + timedelta(seconds=seconds))
        async with self._database.begin() as session:
            return changed_rows(await session.execute(taking.execution_options(synchronize_session=False))) == 1

    async def release(self, worker: str) -> None:
        """Let go of everything, so that another process need not wait."""
        async with self._database.begin() as session:
            letting = update(Request).where(Request.worker == worker).values(worker=None, worker_until=None)
            await session.execute(letting.execution_options(synchronize_session=False))

    async def posted(self, request_id: int, message_id: int, version: int) -> None:
        await self._set(request_id, message_id=message_id, shown=version, posts=Request.posts + 1)

    async def showing(self, request_id: int, version: int) -> None:
        await self._set(request_id, shown=version)

    async def displaced(self, request: Request, *, channel_gone: bool) -> None:
        """Its message is gone: it is posted anew, elsewhere when the channel is gone too, and nowhere after `MOST_POSTS`."""
        place = request.channel_id
        if channel_gone:
            place = request.asked_in if request.asked_in != request.channel_id else None
        if request.posts >= MOST_POSTS:
            place = None
        await self._set(request.id, message_id=None, channel_id=place, shown=request.shown if place else request.version)

    async def _set(self, request_id: int, **values: Any) -> None:
        async with self._database.begin() as session:
            setting = update(Request).where(Request.id == request_id).values(**values)
            await session.execute(setting.execution_options(synchronize_session=False))
