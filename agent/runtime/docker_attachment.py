"""A container's terminal over Docker's hijacked connection. Keeps nothing: whoever reads must keep reading."""

import logging
from collections.abc import AsyncIterator

import aiohttp
from aiodocker import Docker, DockerError
from aiodocker.stream import Stream
from yarl import URL

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


async def attached(docker: Docker, uuid: str, *, tty: bool | None) -> DockerAttachment:
    """Attach now. `tty` says whether the container has a terminal, None that nobody knows; then it is asked, which costs a call."""
    if tty is None:
        stream = docker.containers.container(uuid).attach(stdin=True, stdout=True, stderr=True, logs=False)
    else:
        query = {"stream": "1", "stdin": "1", "stdout": "1", "stderr": "1", "logs": "0", "detachKeys": ""}
        url, has_terminal = URL(f"containers/{uuid}/attach").with_query(query), tty

        async def setup() -> tuple[URL, bytes | None, bool]:
            return url, None, has_terminal

        stream = Stream(docker, setup)
    await stream._init()  # aiodocker opens lazily; we must be attached before a start
    return DockerAttachment(stream)
