"""The machine's clock with a calendar that tests turn forward: loops go on at their pace, deadlines come at once."""

from datetime import datetime, timedelta

from core.clock import SystemClock


class LeapingClock(SystemClock):
    """`now` is ahead of the machine's by what was leapt over; `monotonic` and `sleep` are the machine's."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self._ahead

    def leap(self, seconds: int) -> None:
        """It is later now."""
        self._ahead += timedelta(seconds=seconds)
