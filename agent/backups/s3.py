"""Sending an archive in parts to addresses that the control plane signed for S3. Each try reads its part anew from the file."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from core.clock import Clock
from core.errors import NodeError
from core.protocol.backups import UploadedPart, UploadUrls

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""Per part, over all its tries (Wings)."""
PART_SECONDS = 2 * 3600.0
"""Wings' limit for one part."""
STALL_SECONDS = 60.0
TYPE = "application/x-gzip"
"""The signatures are for this type (panel)."""
_CHUNK = 1024 * 1024


class UploadFailed(NodeError):
    """The store did not take a part."""

    code = "upload_failed"


async def upload(archive: Path, size: int, urls: UploadUrls, clock: Clock) -> list[UploadedPart]:
    """Raises UploadFailed: at once for an answer that will not change (4xx), else when a minute of tries has passed."""
    needed = max(1, -(-size // urls.part_size))
    if len(urls.parts) < needed:
        raise UploadFailed(f"The control plane gave {len(urls.parts)} upload addresses where {needed} are needed.")
    timeout = aiohttp.ClientTimeout(total=PART_SECONDS, sock_connect=15, sock_read=STALL_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        parts = []
        for number, url in enumerate(urls.parts[:needed], 1):
            at = (number - 1) * urls.part_size
            etag = await _part(session, archive, at, min(urls.part_size, size - at), url, number, clock)
            parts.append(UploadedPart(etag=etag, part_number=number))
        return parts


async def _part(session: aiohttp.ClientSession, archive: Path, at: int, length: int, url: str, number: int, clock: Clock) -> str:
    end, wait = clock.monotonic() + RETRY_SECONDS, 0.5
    while True:
        why = ""
        headers = {"Content-Length": str(length), "Content-Type": TYPE}
        try:
            async with session.put(url, data=_read(archive, at, length), headers=headers, allow_redirects=False) as answer:
                if answer.status == 200 and (etag := answer.headers.get("ETag")):
                    return etag
                why = f"it answered {answer.status}"
                if 400 <= answer.status < 500:
                    raise UploadFailed(f"The backup store refused part {number}: {why}.", hint="Check the control plane's S3 settings.")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = type(error).__name__
        pause = wait * random.uniform(0.5, 1.5)  # noqa: S311
        if clock.monotonic() + pause > end:
            raise UploadFailed(f"The backup store did not take part {number} within a minute: {why}.", hint="Try again later.")
        log.info("part %d of a backup was not taken (%s); trying again", number, why)
        await clock.sleep(pause)
        wait *= 2


async def _read(archive: Path, at: int, length: int) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(archive.open, "rb")
    try:
        await asyncio.to_thread(file.seek, at)
        left = length
        while left:
            data = await asyncio.to_thread(file.read, min(_CHUNK, left))
            if not data:
                raise OSError("the archive became shorter while it was sent")
            left -= len(data)
            yield data
    finally:
        file.close()
