"""What Docker says while it pulls an image, merged: one line per layer's step for programs, a few lines in all for people.

Must never decide anything; images.py pulls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_EVERY = 5.0
"""Seconds between two lines for people: a channel on a phone is read, not watched."""
_STEP = 10
"""Percent of a layer that are worth a line for programs."""
_DONE = ("Pull complete", "Already exists", "Download complete")


@dataclass(slots=True)
class _Layer:
    status: str = ""
    current: int = 0
    total: int = 0
    step: int = -1


class PullProgress:
    """One pull. `hear` each record; `changed` says whether it brought anything new."""

    def __init__(self, image: str, began: float) -> None:
        self._image = image
        self._layers: dict[str, _Layer] = {}
        self._began = self._told = began
        self.changed = False

    @property
    def total(self) -> int:
        """Bytes of all layers whose size Docker has told so far, packed as they travel."""
        return sum(layer.total for layer in self._layers.values())

    def hear(self, record: Mapping[str, Any], now: float) -> tuple[str, str]:
        """A line for programs and one for people, each empty when there is nothing worth one. `now` in seconds, monotonic."""
        key, status = str(record.get("id") or ""), str(record.get("status") or "")
        self.changed = self.changed or status.startswith("Status: Downloaded newer image")
        if not key or status.startswith("Pulling from"):
            return status, ""
        layer = self._layers.setdefault(key, _Layer())
        detail = record.get("progressDetail") or {}
        current, total = _number(detail.get("current")), _number(detail.get("total"))
        if status == "Downloading":
            layer.current, layer.total = max(layer.current, current), max(layer.total, total)
        elif status in _DONE:
            layer.current = layer.total
        step = current * 100 // total // _STEP if total else -1
        news = status != layer.status or step > layer.step
        layer.step = step if status != layer.status else max(step, layer.step)
        layer.status = status
        if not news:
            return "", ""
        line = f"{key} {status}" + (f" {current * 100 // total} %" if total else "")
        return line, self._for_people(now)

    def summary(self) -> str:
        """How far it is, in one line."""
        done = sum(layer.status in ("Pull complete", "Already exists") for layer in self._layers.values())
        words = f"Pulling {self._image}: {done} of {len(self._layers)} layers are here"
        if self.total:
            share = sum(layer.current for layer in self._layers.values()) * 100 // self.total
            words += f", {share} % of {self.total / 1e6:.0f} MB loaded" if self.total >= 1_000_000 else f", {share} % loaded"
        return f"{words}."

    def _for_people(self, now: float) -> str:
        if now - self._told < _EVERY:
            return ""
        self._told = now
        return self.summary()


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
