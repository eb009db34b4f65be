"""Power signals of one server: one at a time, none lost, stop and kill overtake.

An accepted signal always ends, and is told to: done, failed with a reason, or superseded by a later one. Rules of overtaking:
a stop ends a start or the starting half of a restart; a kill ends anything but a kill; a restart waits behind a stop, a start behind a
stop or kill; the same signal again joins the one under way. A signal that makes no sense now is refused at once, never later.

    offline --start--> starting --ready--> running --stop--> stopping --ended--> offline
                          \\----stop, kill----------------------^
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core import tokens
from core.clock import Clock
from core.errors import AerieError, Conflict
from core.protocol.socket import PowerProgress
from core.supervise import Supervisor
from core.vocabulary import PowerPhase, PowerSignal, ServerState

log = logging.getLogger(__name__)

_OVERTAKES: dict[PowerSignal, frozenset[PowerSignal]] = {
    PowerSignal.START: frozenset(),
    PowerSignal.RESTART: frozenset(),
    PowerSignal.STOP: frozenset({PowerSignal.START, PowerSignal.RESTART}),
    PowerSignal.KILL: frozenset({PowerSignal.START, PowerSignal.RESTART, PowerSignal.STOP}),
}
"""Which signals each one ends when they are under way or waiting."""


@dataclass
class Order:
    """One accepted signal."""

    signal: PowerSignal
    id: str = field(default_factory=tokens.new_signal_id)
    task: asyncio.Task[None] | None = None
    overtaken_by: PowerSignal | None = None
    ended: bool = False
    """Whether its end was told."""


class PowerQueue:
    """Carries out signals. `steps` does the work of each; `tell` hears how it goes; `state` answers the state now."""

    def __init__(
        self,
        steps: dict[PowerSignal, Callable[[Order], Awaitable[str]]],
        state: Callable[[], ServerState],
        tell: Callable[[PowerProgress], None],
        clock: Clock,
        tasks: Supervisor,
    ) -> None:
        self._steps = steps
        self._state = state
        self._tell = tell
        self._clock = clock
        self._tasks = tasks
        self._current: Order | None = None
        self._waiting: list[Order] = []
        self._runner: asyncio.Task[None] | None = None

    @property
    def current(self) -> Order | None:
        return self._current

    def busy(self) -> bool:
        """Whether a signal is under way or waits."""
        return self._current is not None or bool(self._waiting)

    def send(self, signal: PowerSignal) -> str:
        """Accept a signal and answer its id, or raise Conflict now."""
        orders = [
            order for order in (self._current, *self._waiting) if order is not None and order.overtaken_by is None and not order.ended
        ]
        for order in orders:
            if order.signal is signal:
                return order.id
        if not orders:
            self._refuse_senseless(signal)
        made = Order(signal)
        for order in orders:
            if order.signal in _OVERTAKES[signal]:
                self._overtake(order, signal)
        self._waiting.append(made)
        self.progress(made, PowerPhase.ACCEPTED)
        if self._runner is None or self._runner.done():
            self._runner = self._tasks.spawn("power", self._run())
        return made.id

    def progress(self, order: Order, phase: PowerPhase, reason: str = "", code: str = "") -> None:
        """Tell how an order goes on."""
        order.ended = phase.final
        self._tell(
            PowerProgress(
                signal_id=order.id, signal=order.signal, phase=phase, state=self._state(), reason=reason, code=code, at=self._clock.now()
            )
        )

    def _refuse_senseless(self, signal: PowerSignal) -> None:
        state = self._state()
        if signal is PowerSignal.START and state is not ServerState.OFFLINE:
            raise Conflict(f"The server is already {state.value}.", hint="Use restart to start it anew.")
        if signal is PowerSignal.STOP and state is ServerState.OFFLINE:
            raise Conflict("The server is already offline.", hint="Use start to start it.")

    def _overtake(self, order: Order, by: PowerSignal) -> None:
        order.overtaken_by = by
        if order.task is not None:
            order.task.cancel()
        else:
            self._waiting.remove(order)
            self.progress(order, PowerPhase.SUPERSEDED, f"A {by.value} overtook it.")

    async def _run(self) -> None:
        while self._waiting:
            order = self._current = self._waiting.pop(0)
            order.task = self._tasks.spawn(f"power {order.signal.value}", self._carry_out(order))
            try:
                await asyncio.wait({order.task})
                if not order.ended:  # cancelled before its first step
                    by = order.overtaken_by
                    self.progress(order, PowerPhase.SUPERSEDED, f"A {by.value} overtook it." if by else "The agent is stopping.")
            finally:
                self._current = None

    async def _carry_out(self, order: Order) -> None:
        try:
            words = await self._steps[order.signal](order)
        except asyncio.CancelledError:
            by = order.overtaken_by
            self.progress(order, PowerPhase.SUPERSEDED, f"A {by.value} overtook it." if by else "The agent is stopping.")
            if by is None:
                raise
        except AerieError as error:
            self.progress(order, PowerPhase.FAILED, str(error), error.code)
        except Exception as error:
            log.exception("the signal %s failed", order.signal.value)
            self.progress(
                order, PowerPhase.FAILED, f"Something unexpected went wrong ({type(error).__name__}); the node's log says more.", "internal"
            )
        else:
            self.progress(order, PowerPhase.DONE, words)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        if self._runner is not None and not self._runner.done():
            await asyncio.wait({self._runner})
