"""How an image's coming is told: each step of a layer as Wings' `install output`, a few sentences as lines of the console."""

from collections.abc import Callable

from agent.server.standing import DaemonNotice
from core.protocol.socket import Outbound


class PullTold:
    """A start's progress. `publish` hands an event to whoever listens, `notice` writes a line of ours into the console."""

    def __init__(self, publish: Callable[[DaemonNotice], None], notice: Callable[[str], None]) -> None:
        self._publish = publish
        self._notice = notice

    def detail(self, line: str) -> None:
        self._publish(DaemonNotice(Outbound.INSTALL_OUTPUT, line))

    def say(self, words: str) -> None:
        self._notice(words)


class PullLogged:
    """An installation's progress: all of it is output of the installation."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def detail(self, line: str) -> None:
        self.say(line)
