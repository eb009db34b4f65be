"""Images before a start: pulled as the node's policy says, once for all who wait for the same one, with the copy that is here as a way out.

A pull belongs to those who wait for it: when the last one goes, it ends. Raises ImageUnavailable, or DockerError for other troubles.
"""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import aiohttp
from aiodocker import Docker, DockerError

from agent.runtime.image_name import ImageName
from agent.runtime.pull_progress import PullProgress
from agent.runtime.runtime import Progress
from core.agent_settings import DockerSection, RegistryLogin
from core.clock import Clock
from core.errors import DiskFull, ImageUnavailable
from core.supervise import Supervisor

log = logging.getLogger(__name__)

_NO_LOGIN = ("unauthorized", "authentication required", "access denied", "denied:", "no basic auth", "status code 401", "status code 403")
_CORRUPT = ("verification failed", "digest mismatch", "unexpected digest", "does not match")
_INSPECT_SECONDS = 15.0


class _Pull:
    """One pull and those who wait for it."""

    def __init__(self, progress: PullProgress) -> None:
        self.waiting: list[Progress] = []
        self.progress = progress
        self.task: asyncio.Task[DockerError | ImageUnavailable | DiskFull | None]

    def tell(self, line: str, words: str = "") -> None:
        for one in self.waiting:
            if line:
                one.detail(line)
            if words:
                one.say(words)


class Images:
    """The node's images. `ensure` one before a container is made of it."""

    def __init__(self, section: DockerSection, clock: Clock, tasks: Supervisor) -> None:
        self._section = section
        self._clock = clock
        self._tasks = tasks
        self._pulls: dict[str, _Pull] = {}

    async def ensure(self, docker: Docker, image: ImageName, progress: Progress) -> None:
        """Make sure the engine holds `image`, and tell how it goes. Takes as long as `pull_timeout` lets it."""
        here = await _shown(docker, image)
        if image.local or self._section.pull_policy == "never":
            if here is None:
                raise ImageUnavailable(
                    f"The image {image.name} is not on this node, and is not pulled.",
                    hint="Build or import it there, or name another image.",
                )
            return
        if here is not None and (image.digest or self._section.pull_policy == "if-not-present"):
            return  # a digest's image cannot have changed
        try:
            await self._pulled(docker, image, progress)
        except (DockerError, ImageUnavailable) as error:
            if here is None:
                raise error if isinstance(error, ImageUnavailable) else self._refused(image, str(error.message)) from error
            log.warning("%s could not be pulled, its copy is used: %s", image.name, error)
            why = error.message if isinstance(error, ImageUnavailable) else self._refused(image, str(error.message)).message
            progress.say(f"{why} Going on with the copy that is here.")

    async def _pulled(self, docker: Docker, image: ImageName, progress: Progress) -> None:
        """Join the pull that is under way, or begin one."""
        pull = self._pulls.get(image.whole)
        if pull is None:
            pull = self._pulls[image.whole] = _Pull(PullProgress(image.name, self._clock.monotonic()))
            pull.task = self._tasks.spawn(f"pull {image.name}", self._whole(docker, image, pull))
        else:
            progress.say(f"Waiting for {image.name}, which another server is having pulled.")
        pull.waiting.append(progress)
        try:
            trouble = await asyncio.shield(pull.task)
        finally:
            pull.waiting.remove(progress)
            if not pull.waiting:
                pull.task.cancel()
        if trouble is not None:
            raise trouble

    async def _whole(self, docker: Docker, image: ImageName, pull: _Pull) -> DockerError | ImageUnavailable | DiskFull | None:
        """The trouble is handed over, not raised: each who waits raises it."""
        try:
            async with asyncio.timeout(self._section.pull_timeout):
                await self._pull(docker, image, pull)
        except TimeoutError:
            return ImageUnavailable(
                f"The image {image.name} could not be pulled within {self._section.pull_timeout:.0f} s.",
                hint="Look at the node's connection to its registry, or give [docker] pull_timeout more.",
            )
        except (DockerError, ImageUnavailable, DiskFull) as error:
            return error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return DockerError(900, f"the connection to Docker broke ({error})")
        finally:
            if self._pulls.get(image.whole) is pull:
                del self._pulls[image.whole]
        return None

    async def _pull(self, docker: Docker, image: ImageName, pull: _Pull) -> None:
        began = self._clock.monotonic()
        before = await _shown(docker, image)
        if before is None:
            pull.tell("", f"Pulling {image.name}, this may take some minutes.")
        async with aclosing(_records(docker, image, image.login(self._section.registries))) as records:
            async for record in records:
                if record.get("error"):
                    raise DockerError(500, str(record["error"]))
                pull.tell(*pull.progress.hear(record, self._clock.monotonic()))
                self._measure(image, pull.progress.total)
        after = await _shown(docker, image)
        if after is None:
            raise ImageUnavailable(f"The image {image.name} was pulled and is not there.", hint="Look at Docker's log on the node.")
        if before is None or before["Id"] != after["Id"]:
            try:
                self._measure(image, int(after.get("Size") or 0))
            except ImageUnavailable:
                if before is None:
                    await docker.images.delete(image.name)
                raise
            what = "Pulled" if before is None else f"{image.name} has changed at its registry; pulled the new one"
            pull.tell("", f"{what} in {self._clock.monotonic() - began:.0f} s.")

    def _measure(self, image: ImageName, size: int) -> None:
        most = self._section.image_size_limit
        if most and size > most * 1_000_000:
            raise ImageUnavailable(
                f"The image {image.name} takes {size / 1e6:.0f} MB, more than the {most} MB this node allows.",
                hint="Name a smaller image, or raise [docker] image_size_limit.",
            )

    def _refused(self, image: ImageName, words: str) -> ImageUnavailable | DiskFull:
        """What the registry, or Docker, has against it."""
        low = words.lower()
        if "no space left on device" in low:
            return DiskFull("The node's disk is full.", hint="Free space on the node, then try again.")
        if any(sign in low for sign in _CORRUPT):
            return ImageUnavailable(
                f"What {image.registry} sent for {image.name} is not what its digest names.",
                hint="Try again; if it stays so, the image's digest or its registry is wrong.",
            )
        if any(sign in low for sign in _NO_LOGIN):
            known = image.login(self._section.registries) is not None
            return ImageUnavailable(
                f"The image {image.name} does not exist, or {image.registry} does not let this node have it.",
                hint="Check its name and the login for that registry."
                if known
                else f'Check its name; a private one needs a login in [docker.registries."{image.registry}"] on the node.',
            )
        if "not found" in low or "manifest unknown" in low:
            return ImageUnavailable(f"The image {image.name} does not exist.", hint="Correct the server's image.")
        return ImageUnavailable(
            f"The image {image.name} could not be pulled: {words.strip()[:200]}.", hint="Check that the node reaches its registry."
        )


async def _records(docker: Docker, image: ImageName, login: RegistryLogin | None) -> AsyncGenerator[dict[str, Any], None]:
    """Docker's words while it pulls. aiodocker's own call leaves the connection open when it is left early, and Docker pulling."""
    headers = {}
    if login is not None:
        given = {"username": login.username, "password": login.password.get_secret_value(), "serveraddress": image.registry}
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(given).encode()).decode()
    query = docker._query("images/create", "POST", params={"fromImage": image.whole}, headers=headers, timeout=None)
    async with query as response:
        try:
            async for line in response.content:
                yield json.loads(line)
        finally:
            response.close()


async def _shown(docker: Docker, image: ImageName) -> dict[str, Any] | None:
    """What Docker says of the copy that is here; None when there is none."""
    try:
        return dict(await asyncio.wait_for(docker.images.inspect(image.name), _INSPECT_SECONDS))
    except DockerError as error:
        if error.status == 404:
            return None
        raise
