"""What `aerie doctor` says of the walls between servers: which of those in the settings cannot stand on this machine. Changes nothing."""

import asyncio

from agent.runtime.firewall import obstacle_here
from agent.runtime.network import WITHOUT_ADDRESSES
from agent.runtime.owners import why_shared
from core.config import AgentConfig, docker_host
from front.checks import Finding


async def walls(config: AgentConfig) -> Finding:
    """Does each server get its own user and network, and is this machine closed to them?"""
    open_, fixes = [], []
    if shared := why_shared(config.system):
        open_.append(shared)
        fixes.append("Run the agent as root to give each server a user of its own." if config.system.uid_per_server else "")
    if not config.docker.network_per_server or config.docker.network in WITHOUT_ADDRESSES:
        open_.append("all servers share one network, by your settings")
    elif obstacle := await asyncio.to_thread(obstacle_here, docker_host(config.docker)):
        open_.append(f"this machine's own services and the cloud's metadata addresses are open to servers: {obstacle}")
        fixes.append("Run the agent as root beside its engine with iptables, or close them by rules of your own.")
    words = "; ".join(open_) or "each server has its own user and network, and this machine is closed to them"
    return Finding("walls", words, " ".join(fix for fix in fixes if fix))
