"""What systemd is told of a program: that it is ready, that it lives, that it ends. A few bytes to a socket; without systemd, nothing.

Must never fail the program: a manager that does not listen is no reason to stop.
"""

import contextlib
import socket

from core.clock import Clock

LONGEST_PAUSE = 30.0
"""Seconds between two signs of life, at most."""


class ServiceManager:
    """`address` is NOTIFY_SOCKET, empty without systemd; `watchdog` the seconds of silence after which it restarts us, 0 for never."""

    def __init__(self, address: str, watchdog: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog

    def ready(self, words: str) -> None:
        """The program does what it is for; `words` are what `systemctl status` shows."""
        self._tell(f"READY=1\nSTATUS={words}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    async def run(self, clock: Clock) -> None:
        """Say that we live, for as long as the event loop does."""
        pause = min(self._watchdog / 2, LONGEST_PAUSE) if self._watchdog else LONGEST_PAUSE
        while True:
            self._tell("WATCHDOG=1")
            await clock.sleep(pause)

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(text.encode(), self._address)
