"""Power signals of one server: one at a time, none lost, stop and kill overtake.

An accepted signal always ends, and is told to: done, failed with a reason, or superseded by a later one. Rules of overtaking:
a stop ends a start or a restart, waiting ones too; a kill ends anything but a kill; a restart waits behind a stop, a start behind a
stop or kill; a signal joins the last one in line where that leaves nothing more to do (the same one; a restart, for a start). A signal
that makes no sense now is refused at once, never later.

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
_ENOUGH: dict[PowerSignal, frozenset[PowerSignal]] = {
    **{signal: frozenset({signal}) for signal in PowerSignal},
    PowerSignal.START: frozenset({PowerSignal.START, PowerSignal.RESTART}),
}
"""Which signals, last in line, leave each one nothing to do."""
_LEFT = "The agent is stopping; the next one goes on with it."
_ENDS = frozenset({PowerSignal.STOP, PowerSignal.KILL})


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
    """Carries out signals. `steps` does the work of each; `tell` hears how it goes; `state` answers the state now.

    `wished` is told of the last accepted signal that has not ended, whenever that changes; None when there is none.
    """

    def __init__(
        self,
        steps: dict[PowerSignal, Callable[[Order], Awaitable[str]]],
        state: Callable[[], ServerState],
        tell: Callable[[PowerProgress], None],
        clock: Clock,
        tasks: Supervisor,
        wished: Callable[[PowerSignal | None], None] = lambda _: None,
    ) -> None:
        self._steps = steps
        self._state = state
        self._tell = tell
        self._clock = clock
        self._tasks = tasks
        self._wished = wished
        self._closing = False
        self._current: Order | None = None
        self._waiting: list[Order] = []
        self._runner: asyncio.Task[None] | None = None
        self.last_end: PowerProgress | None = None
        """How the last order ended."""

    @property
    def current(self) -> Order | None:
        return self._current

    def busy(self) -> bool:
        """Whether a signal is under way or waits."""
        return self._current is not None or bool(self._waiting)

    def ending(self) -> bool:
        """Whether the process is meant to end: a stop or a kill is under way or waits, or the stopping half of a restart."""
        current = self._current
        halved = current is not None and current.signal is PowerSignal.RESTART and self._state() is not ServerState.STARTING
        return halved or any(order.signal in _ENDS for order in self._in_line())

    def send(self, signal: PowerSignal) -> str:
        """Accept a signal and answer its id, or raise Conflict now."""
        if self._closing:
            raise Conflict("The agent is stopping.", hint="Try again in a moment.")
        orders = self._in_line()
        if not orders:
            self._refuse_senseless(signal)
        for order in orders:
            if order.signal in _OVERTAKES[signal]:
                self._overtake(order, signal)
        orders = self._in_line()
        if orders and orders[-1].signal in _ENOUGH[signal]:
            return orders[-1].id
        made = Order(signal)
        self._waiting.append(made)
        self._wished(signal)
        self.progress(made, PowerPhase.ACCEPTED)
        if self._runner is None or self._runner.done():
            self._runner = self._tasks.spawn("power", self._run())
        return made.id

    def close(self) -> None:
        """The agent is stopping: what waits is told so, what is under way ends; the wish stays for the next agent."""
        self._closing = True
        waiting, self._waiting = self._waiting, []
        for order in waiting:
            self.progress(order, PowerPhase.SUPERSEDED, _LEFT)
        if self._current is not None and self._current.task is not None:
            self._current.task.cancel()

    def _in_line(self) -> list[Order]:
        """What was accepted, is not over and was not overtaken, in order."""
        return [order for order in (self._current, *self._waiting) if order is not None and order.overtaken_by is None and not order.ended]

    def progress(self, order: Order, phase: PowerPhase, reason: str = "", code: str = "") -> None:
        """Tell how an order goes on."""
        order.ended = phase.final
        if order.ended and not self._closing:
            left = self._in_line()
            self._wished(left[-1].signal if left else None)
        told = PowerProgress(
            signal_id=order.id, signal=order.signal, phase=phase, state=self._state(), reason=reason, code=code, at=self._clock.now()
        )
        if order.ended:
            self.last_end = told
        self._tell(told)

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
                    self.progress(order, PowerPhase.SUPERSEDED, f"A {by.value} overtook it." if by else _LEFT)
            finally:
                self._current = None

    async def _carry_out(self, order: Order) -> None:
        try:
            words = await self._steps[order.signal](order)
        except asyncio.CancelledError:
            by = order.overtaken_by
            self.progress(order, PowerPhase.SUPERSEDED, f"A {by.value} overtook it." if by else _LEFT)
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
