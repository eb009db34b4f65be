"""How a power signal goes on, told in one sentence at a time: events in, words out. Pure; sends nothing and reads no clock.

A node that speaks Aerie names the signal in its progress; from stock Wings only the states are known, and the story follows those.
"""

from bot.ui.text import duration, plain, sentence
from core.errors import AerieError
from core.events import Event, ServerDeleted, ServerPowerProgressed, ServerStateChanged
from core.protocol.socket import PowerProgress
from core.vocabulary import PowerPhase, PowerSignal, ServerState

_ASKED = {
    PowerSignal.START: "▶️ Starting {0} …",
    PowerSignal.STOP: "⏹️ Stopping {0} …",
    PowerSignal.RESTART: "🔄 Restarting {0} …",
    PowerSignal.KILL: "⚠️ Killing {0} …",
}
_NOT = {
    PowerSignal.START: "was not started",
    PowerSignal.STOP: "was not stopped",
    PowerSignal.RESTART: "was not restarted",
    PowerSignal.KILL: "was not killed",
}
_STATES = {
    ServerState.STOPPING: "🟠 {0} is stopping …",
    ServerState.STARTING: "🟡 {0} is starting …",
}


class Story:
    """One signal's story. `text` is what to show now; `done` says that it will not change any more."""

    def __init__(self, name: str, server_uuid: str, signal: PowerSignal, before: ServerState | None) -> None:
        self.name = f"**{plain(name, 80)}**"
        self.server_uuid = server_uuid
        self.signal = signal
        self.signal_id = ""
        self.text = _ASKED[signal].format(self.name)
        self.done = False
        self.interrupted = False
        self._state = before
        self._left = before in (None, ServerState.OFFLINE)
        self._reason = ""

    @property
    def phase(self) -> str:
        """What it is doing, for "still …"."""
        return self._state.value if self._state is not None else "waiting for the node"

    def hear(self, event: Event, seconds: float) -> None:
        """Take one event; `seconds` have passed since the signal was asked for."""
        if self.done:
            return
        if isinstance(event, ServerDeleted) and event.server_uuid == self.server_uuid:
            self._end(f"🗑️ {self.name} {_NOT[self.signal]}: the server was deleted.")
        elif isinstance(event, ServerPowerProgressed) and event.server_uuid == self.server_uuid:
            if self.signal_id and event.progress.signal_id == self.signal_id:
                self._progressed(event.progress, seconds)
        elif isinstance(event, ServerStateChanged) and event.server_uuid == self.server_uuid:
            self.saw(event.change.state, seconds, event.change.reason)

    def _progressed(self, progress: PowerProgress, seconds: float) -> None:
        self._state = progress.state
        if progress.phase is PowerPhase.DONE:
            self._succeed(seconds, progress.reason)
        elif progress.phase is PowerPhase.FAILED:
            self._end(f"❌ {self.name} {_NOT[self.signal]}: {sentence(plain(progress.reason or 'the node gave no reason', 600))}")
        elif progress.phase is PowerPhase.SUPERSEDED:
            why = plain(progress.reason, 300) or "a later stop or kill overtook it"
            self._end(f"⏭️ {self.name} {_NOT[self.signal]}: {sentence(why)}")
        elif progress.phase is PowerPhase.STOPPING:
            self._show(ServerState.STOPPING)
        elif progress.phase is PowerPhase.STARTING:
            self._show(ServerState.STARTING)

    def saw(self, state: ServerState, seconds: float, reason: str = "") -> None:
        """A state, reported by itself. Ends the story only where the signal has no id to follow, or its node was lost meanwhile."""
        earlier, self._state = self._state, state
        self._reason = reason or self._reason
        self._left = self._left or state is not ServerState.RUNNING
        self._show(state)
        if self.signal_id and not self.interrupted:
            return
        if self.signal in (PowerSignal.START, PowerSignal.RESTART):
            if state is ServerState.RUNNING and self._left:
                self._succeed(seconds, "")
            elif state is ServerState.OFFLINE and earlier is ServerState.STARTING:
                why = self._reason or "it ended while it was starting; its console says why"
                self._end(f"❌ {self.name} {_NOT[self.signal]}: {sentence(plain(why, 600))}")
        elif state is ServerState.OFFLINE:
            self._succeed(seconds, "")

    def node_lost(self, reason: str) -> None:
        """The node went away; nothing is known until it is back, and it may have forgotten the signal's id."""
        if not self.done:
            self.interrupted = True
            why = f" ({plain(reason.rstrip('.'), 200)})" if reason else ""
            self.text = f"🔌 {self.name}: its node does not answer{why}. The signal was accepted; waiting for the node to come back …"

    def failed(self, error: AerieError) -> None:
        """The signal could not be sent or was refused."""
        hint = f" {sentence(error.hint)}" if error.hint else ""
        self._end(f"❌ {self.name} {_NOT[self.signal]}: {sentence(error.message)}{hint}")

    def give_up(self, seconds: float, last_words: str) -> None:
        """Nothing more will be told here."""
        self._end(f"⌛ {self.name} is still {self.phase} after {duration(seconds)}. {last_words}")

    def _show(self, state: ServerState) -> None:
        if state in _STATES:
            self.text = _STATES[state].format(self.name)

    def _succeed(self, seconds: float, note: str) -> None:
        took = duration(seconds)
        words = {
            PowerSignal.START: f"🟢 {self.name} is running, {took}.",
            PowerSignal.STOP: f"⚫ {self.name} is offline, stopped in {took}.",
            PowerSignal.RESTART: f"🟢 {self.name} is running again, {took}.",
            PowerSignal.KILL: f"⚫ {self.name} is offline, killed in {took}.",
        }[self.signal]
        self._end(f"{words}\n-# {plain(note, 300)}" if note else words)

    def _end(self, words: str) -> None:
        self.text = words
        self.done = True
