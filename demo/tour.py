"""The tour: scripted people drive the demo act by act, and each step counts only when its effect was seen in the chat or on the machine.

Ada owns the community, Ben moderates, Cleo, Dora and Eli are members. Everything goes through the doors that people and their programs
have; the engine alone is asked, about a game's process. Must never call a thing done that was not seen.
"""

from contextlib import AsyncExitStack

from rich.console import Console

from core.clock import Clock
from demo.acts import alerts, files, history, making, power, programs, requests
from demo.acts.scene import Scene, Step
from demo.play import Play
from demo.transcript import TourFailed, Transcript
from sandbox.person import Person

__all__ = ["ACTS", "TourFailed", "tour_of"]

PEOPLE = ("Ada", "Ben", "Cleo", "Dora", "Eli")
ACTS: tuple[tuple[str, tuple[Step, ...]], ...] = (
    ("Servers and consoles", power.STEPS),
    ("A restart by vote", requests.STEPS),
    ("Alerts", alerts.STEPS),
    ("Files", files.STEPS),
    ("A server from an egg", making.STEPS),
    ("Programs", programs.STEPS),
    ("What was done", history.STEPS),
)


async def tour_of(play: Play, console: Console, clock: Clock) -> None:
    """Walk through every step. Raises TourFailed at the first that was not seen."""
    transcript = Transcript(console, clock, [child.log for child in play.children.values()])
    async with AsyncExitStack() as stack:
        people = {name: await stack.enter_async_context(Person.connect(play.address, name)) for name in PEOPLE}
        scene = Scene(play, clock, people)
        for title, steps in ACTS:
            transcript.act(title)
            for step in steps:
                if step.docker and not scene.docker:
                    transcript.skip(step.who, step.act, f"needs Docker: {step.docker}")
                    continue
                await transcript.step(step.who, step.act, lambda step=step: step.work(scene))  # type: ignore[misc]
    transcript.end()
