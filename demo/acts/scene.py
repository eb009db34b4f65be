"""What every act works with: the people, the game's processes, and ways to see that something happened.

Every wait is for a condition and has a limit. Discord takes 30 answers to commands a minute in one channel, so acts spread theirs.
Must never take a thing for done that was not seen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.clock import Clock
from demo.play import Play
from sandbox.person import NotSeen, Person
from setup.engine_api import EngineError

Message = dict[str, Any]

START_SECONDS = 90.0
STOP_SECONDS = 60.0
SEEN_SECONDS = 40.0


@dataclass
class Scene:
    """The running demo, who is there, and what one step leaves for a later one."""

    play: Play
    clock: Clock
    people: Mapping[str, Person]
    kept: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    @property
    def ada(self) -> Person:
        """The owner."""
        return self.people["Ada"]

    @property
    def docker(self) -> bool:
        """Whether the games run in containers."""
        return self.play.stage.engine is not None

    async def ask(self, command: str, *words: str, who: str = "Ada", channel: str = "general", any_of: bool = False,
                  seconds: float = SEEN_SECONDS, options: Message | None = None, **named: Any) -> Message:  # fmt: skip
        """Run a command and wait for an answer that holds all (or any) of these words."""
        person = self.people[who]
        interaction = await person.run(command, channel, options={**named, **(options or {})})
        return await person.answer(interaction, says(*words, any_of=any_of) if words else None, timeout=seconds)

    async def press(self, who: str, message: Message, button: str, *words: str) -> Message:
        """Press a button and wait for the answer that only the presser sees."""
        interaction = await self.people[who].press(message, button)
        return await self.people[who].answer(interaction, says(*words) if words else None, timeout=SEEN_SECONDS)

    async def seen(self, channel: str, *words: str, seconds: float = SEEN_SECONDS, after: str | None = None) -> Message:
        """The bot's message in a channel that everybody sees and that holds all these words."""
        said = says(*words)
        return await self.ada.wait_for(
            lambda m: m["author"].get("bot", False) and not m.get("ephemeral_for") and said(m), seconds, channel=channel, after=after
        )

    async def becomes(self, message: Message, *words: str, seconds: float = SEEN_SECONDS) -> Message:
        """The same message, once it has been edited to hold all these words."""
        said = says(*words)
        return await self.ada.wait_for(lambda m: m["id"] == message["id"] and said(m), seconds)

    async def pid(self, server: str) -> int:
        """The game's process on the engine's machine; 0 when none runs, or when there is no engine to ask."""
        if not self.docker:
            return 0
        try:
            return await asyncio.to_thread(self.play.stage.host_pid, server)
        except EngineError as error:
            if error.status != 404:
                raise
            return 0

    async def until(self, fact: Callable[[], Awaitable[bool]], what: str, seconds: float = SEEN_SECONDS, pause: float = 0.5) -> None:
        """Look every `pause` seconds until something holds. Raises NotSeen."""
        deadline = self.clock.monotonic() + seconds
        while not await fact():
            if self.clock.monotonic() > deadline:
                raise NotSeen(f"waited {seconds:.0f} s for {what}")
            await self.clock.sleep(pause)


@dataclass(frozen=True)
class Step:
    """One step: who does what. `work` answers what was seen. Steps with `docker` are left out without it, for the reason given there."""

    who: str
    act: str
    work: Callable[[Scene], Awaitable[str]]
    docker: str = ""


def says(*words: str, any_of: bool = False) -> Callable[[Message], bool]:
    """A message that holds all (or any) of these words, in any case."""

    def holds(message: Message) -> bool:
        text = Person.text_of(message).lower()
        return (any if any_of else all)(word.lower() in text for word in words)

    return holds


def shown(message: Message) -> str:
    """A message's words, without empty lines."""
    return "\n".join(line for line in Person.text_of(message).splitlines() if line.strip())


def line_of(message: Message, words: str) -> str:
    """The last line of a message that holds these words."""
    return next(line for line in reversed(Person.text_of(message).splitlines()) if words in line)
