"""Images: pulled before a start with progress in words; a failed pull falls back on a local copy (Wings' rule)."""

import asyncio

from aiodocker import Docker, DockerError

from agent.runtime.runtime import Progress
from core.errors import ImageUnavailable


async def ensure(docker: Docker, image: str, *, local: bool, limit: float, progress: Progress) -> None:
    """Make sure the engine holds `image`. `local` images are never pulled. Raises ImageUnavailable, or DockerError for other troubles."""
    if local:
        if not await _held(docker, image):
            raise ImageUnavailable(f"The local image {image} is not on this node.", hint="Build or import it there, or name another image.")
        return
    try:
        async with asyncio.timeout(limit):
            last = ""
            async for record in docker.images.pull(image, stream=True):
                if record.get("error"):
                    raise DockerError(500, str(record["error"]))
                words = " ".join(str(record[key]) for key in ("id", "status") if record.get(key))
                if words != last:
                    progress(f"{words} {record.get('progress', '')}".strip())
                last = words
    except (DockerError, TimeoutError) as error:
        if await _held(docker, image):
            progress(f"{image} could not be pulled; going on with the copy that is here.")
            return
        why = "it took too long" if isinstance(error, TimeoutError) else str(error.message).strip()[:200]
        raise ImageUnavailable(
            f"The image {image} could not be pulled: {why}.", hint="Check its name and that the node reaches its registry."
        ) from error


async def _held(docker: Docker, image: str) -> bool:
    try:
        await docker.images.inspect(image)
    except DockerError as error:
        if error.status == 404:
            return False
        raise
    return True
