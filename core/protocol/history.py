"""Bodies of what our agent tells of old console lines: `GET /api/aerie/servers/{uuid}/console`. Wings has nothing like it."""

from typing import Literal

from pydantic import Field

from core.protocol.settings import Wire


class HistoryLine(Wire):
    """One line. `time` in ms since 1970; `lost` counts the lines right before this one that were not kept."""

    seq: int | None = None
    """None for the installer's lines, which are not numbered."""
    time: int
    kind: Literal["output", "notice", "install"] = "output"
    text: str
    lost: int = 0


class HistoryPage(Wire):
    """Some lines, in the order asked for. `cursor` asks for the next page; without one there is no more."""

    lines: list[HistoryLine] = Field(default_factory=list)
    cursor: str | None = None
    partial: bool = False
    """Whether time ran out before the page was full: nothing more on it does not mean that there is nothing more."""
    boot: str = ""
    """The count that the numbers belong to."""
    last_seq: int = 0
    """The newest number given."""
