"""The sandbox's own clock and the snowflakes it mints.

The sandbox stands alone, so it keeps time itself. Nothing else in this room reads the time. `advance` lets a test
make a message an hour old or a token expire; it never sleeps.
"""

import datetime
import time

DISCORD_EPOCH_MS = 1_420_070_400_000


class Clock:
    """Unix seconds and monotonic seconds, both shifted by what `advance` added."""

    def __init__(self) -> None:
        self._skew = 0.0
        self._last_id = 0

    def now(self) -> float:
        """Unix time in seconds."""
        return time.time() + self._skew

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring waits."""
        return time.monotonic() + self._skew

    def advance(self, seconds: float) -> None:
        """Pretends that `seconds` have passed; windows, tokens and ages see it at once."""
        self._skew += seconds

    def iso(self) -> str:
        """Now as Discord writes timestamps: ISO 8601, microseconds, +00:00."""
        return iso(self.now())

    def snowflake(self) -> str:
        """A new id, unique and rising, whose upper bits are the time in milliseconds."""
        candidate = int(self.now() * 1000 - DISCORD_EPOCH_MS) << 22
        self._last_id = max(candidate, self._last_id + 1)
        return str(self._last_id)

    def age(self, snowflake: str) -> float:
        """How many seconds ago an id was minted."""
        return self.now() - snowflake_seconds(snowflake)


def snowflake_seconds(snowflake: str) -> float:
    """The Unix time in an id."""
    return ((int(snowflake) >> 22) + DISCORD_EPOCH_MS) / 1000


def iso(seconds: float) -> str:
    """Unix seconds as an ISO 8601 string in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="microseconds")
