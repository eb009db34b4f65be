"""The Docker networks that an agent under test made: taken away afterwards."""

from contextlib import suppress

from aiodocker import Docker, DockerError

from agent.runtime.tenant_networks import BESIDE


async def removed_networks(docker: Docker, name: str) -> None:
    """Remove a node's network and those of its servers; what is still in use stays."""
    own = [one["Id"] for one in await docker.networks.list(filters={"label": [f"{BESIDE}={name}"]})]
    for network in (*own, name):
        with suppress(DockerError):
            await (await docker.networks.get(network)).delete()
