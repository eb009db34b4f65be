"""How many sockets a household may hold, before and after it signed in. The control plane itself, known by its bearer, is not counted.

Without this a stranger could take every place of a server, or every descriptor of the agent. Knows no tokens and no frames.
"""

from collections import Counter

from aiohttp import web

from core.addresses import Network, caller, household, networks
from core.errors import NotConfigured

MOST_UNSIGNED = 10
"""Per household, on all servers together; each has ten seconds to sign in."""
MOST_SIGNED = 200
"""Per household."""
MOST = 5_000
"""Of all households together."""


class Place:
    """One socket's place; `leave` exactly once."""

    def __init__(self, doors: "Doors", who: str) -> None:
        self._doors = doors
        self._who = who
        self._signed = False

    def sign_in(self) -> bool:
        """Whether there is room among those who have signed in; asked again, it is the same."""
        if self._signed:
            return True
        if self._doors.signed[self._who] >= MOST_SIGNED:
            return False
        self._signed = True
        self._doors.move(self._who)
        return True

    def leave(self) -> None:
        (self._doors.signed if self._signed else self._doors.unsigned)[self._who] -= 1
        self._doors.tidy(self._who)


class Doors:
    """The node's count of sockets."""

    def __init__(self) -> None:
        self.unsigned: Counter[str] = Counter()
        self.signed: Counter[str] = Counter()

    def enter(self, ip: str) -> Place | None:
        """A place for one more socket from this address; None when there is none."""
        who = household(ip)
        if self.unsigned[who] >= MOST_UNSIGNED or self.unsigned.total() + self.signed.total() >= MOST:
            self.tidy(who)
            return None
        self.unsigned[who] += 1
        return Place(self, who)

    def move(self, who: str) -> None:
        self.unsigned[who] -= 1
        self.signed[who] += 1
        self.tidy(who)

    def tidy(self, who: str) -> None:
        """Remember nobody who holds nothing."""
        for count in (self.unsigned, self.signed):
            if count[who] <= 0:
                del count[who]


def trusted(texts: list[str]) -> list[Network]:
    """The proxies in the settings. Raises NotConfigured."""
    try:
        return networks(texts)
    except ValueError as error:
        raise NotConfigured(f"The setting api.trusted_proxies cannot be used: {error}.", hint="Write it as 10.0.0.0/8.") from None


def asker(request: web.Request, proxies: list[Network]) -> str:
    """The address of who asks, as far as our proxies can be believed."""
    return caller(request.remote or "", request.headers.getall("X-Forwarded-For", []), proxies)
