"""What of new settings a running process cannot take in: said in its console, so that nobody waits for it in vain. Pure functions."""

from core.protocol.settings import ServerSettings


def waiting(before: ServerSettings, after: ServerSettings) -> list[str]:
    """Settings that hold from the next start on, as people call them. Limits are not among them: the runtime tells of those."""
    named = {
        "its image": (before.container, after.container),
        "its start-up line": (before.invocation, after.invocation),
        "its variables": (before.environment, after.environment),
        "its addresses and ports": (before.allocations, after.allocations),
        "its mounts": (before.mounts, after.mounts),
        "its labels": (before.labels, after.labels),
    }
    return [name for name, (old, new) in named.items() if old != new]


def notice(waits: list[str]) -> str:
    """The sentence about them."""
    named = waits[0] if len(waits) == 1 else f"{', '.join(waits[:-1])} and {waits[-1]}"
    return f"It has new settings; these hold from its next start: {named}."
