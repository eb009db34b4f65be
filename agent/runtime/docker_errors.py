"""What Docker's refusals mean, with words for people and what to do next. The one place where a driver's errors become ours."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiodocker import DockerError

from core.errors import DiskFull, EngineUnreachable, ImageUnavailable, PortTaken, ProcessGone, RuntimeFailure

_PORT = re.compile(r":(\d+): bind: address already in use|Bind for \S*:(\d+) failed|:(\d+)\S* .{0,40}already in use")
_GONE_FOR_PODMAN = ("no such container", "can only kill running containers", "container state improper")
"""Podman's words, with whatever status."""

NO_ANSWER = 900
"""What aiodocker gives as the status when it cannot connect."""


@contextmanager
def translated(host: str, image: str = "") -> Iterator[None]:
    """Driver errors into ours. `host` is the engine's address, `image` the one that the calls are about, if they are about one."""
    try:
        yield
    except DockerError as error:
        if error.status == NO_ANSWER:
            raise EngineUnreachable(f"The Docker Engine at {host} cannot be reached.", hint="Start Docker on the node.") from error
        raise meaning(error.status, str(error.message), image) from error
    except TimeoutError as error:
        raise EngineUnreachable("The Docker Engine did not answer in time.", hint="Look at the machine's load and Docker's log.") from error
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # a file of ours beside the call
            raise DiskFull("The node's disk is full.", hint="Free space on the node, then try again.") from error
        raise EngineUnreachable(f"The Docker Engine at {host} cannot be reached.", hint="Start Docker on the node.") from error


def meaning(status: int, words: str, image: str) -> RuntimeFailure:
    """What a refusal of Docker means to people. `image` is the one that the call was about, if it was about one."""
    low = words.lower()
    if "no space left on device" in low:
        return DiskFull("The node's disk is full.", hint="Free space on the node, then try again.")
    if ("already in use" in low and "address" in low) or "port is already allocated" in low:
        found = _PORT.search(words)
        port = next((group for group in found.groups() if group), "") if found else ""
        return PortTaken(
            f"Port {port} is already taken on the node." if port else "One of the server's ports is already taken on the node.",
            hint="Stop what uses it, or give the server another allocation.",
        )
    if "cannot assign requested address" in low:
        return RuntimeFailure("One of the server's addresses is not this node's.", hint="Give the server an allocation of this node.")
    if "requested cpus are not available" in low:
        return RuntimeFailure("It is pinned to threads that this node does not have.", hint="Correct the CPU pinning in its limits.")
    if image and (status == 404 or "no such image" in low or "not found" in low or "manifest unknown" in low):
        return ImageUnavailable(f"The image {image} does not exist.", hint="Correct the server's image.")
    if status == 404 or (status == 409 and "is not running" in low) or any(words in low for words in _GONE_FOR_PODMAN):
        return ProcessGone("The server's container is not there any more.", hint="Start the server to make it anew.")
    return RuntimeFailure(f"Docker refused: {words.strip()[:300]}.", hint="The node's log says more.")
