"""A container's terminal over Docker's hijacked connection. Keeps nothing: whoever reads must keep reading."""

import logging
from collections.abc import AsyncIterator

import aiohttp
from aiodocker import DockerError
from aiodocker.stream import Stream

from core.errors import ProcessGone

log = logging.getLogger(__name__)


class DockerAttachment:
    """A container's terminal, hijacked. Chunks are handed on as they come; nothing is kept here."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while (message := await self._stream.read_out()) is not None:
                yield message.data
        except (aiohttp.ClientError, OSError, DockerError) as error:
            log.debug("an attachment ended: %s", error)

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.write_in(data)
        except (RuntimeError, AssertionError, OSError, aiohttp.ClientError) as error:
            raise ProcessGone("The server's console is closed.", hint="Look at its state, it may have just stopped.") from error

    async def close(self) -> None:
        await self._stream.close()
