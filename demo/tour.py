"""The tour: scripted people drive the demo, and each step counts only when its effect was seen in the chat or on the machine.

Ada owns the community, Cleo is a member. Everything goes through the chat page's own WebSocket, except the two questions asked of the
engine about a game's process id. Must never call a thing done that was not seen.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from rich.console import Console

from core.clock import Clock
from demo.play import Play
from demo.transcript import TourFailed, Transcript
from sandbox.person import NotSeen, Person
from setup.engine_api import EngineError

__all__ = ["TourFailed", "tour_of"]

Message = dict[str, Any]

START_SECONDS = 60.0
STOP_SECONDS = 45.0
SEEN_SECONDS = 20.0
KILL_TRIES = 5


async def tour_of(play: Play, console: Console, clock: Clock) -> None:
    """Walk through every step. Raises TourFailed at the first that was not seen."""
    transcript = Transcript(console, clock, [child.log for child in play.children.values()])
    async with Person.connect(play.address, "Ada") as ada, Person.connect(play.address, "Cleo") as cleo:
        await _Tour(play, transcript, clock, ada, cleo).walk()
    transcript.end()


class _Tour:
    def __init__(self, play: Play, transcript: Transcript, clock: Clock, ada: Person, cleo: Person) -> None:
        self.play = play
        self.step = transcript.step
        self.clock = clock
        self.ada = ada
        self.cleo = cleo
        self.card_id = ""

    async def walk(self) -> None:
        await self.step("Ada", "lists the servers", self._list)
        await self.step("Ada", "asks for Luanti's card in #status", self._card)
        await self.step("Ada", "starts Luanti", self._start_luanti)
        await self.step("Ada", "watches Luanti's console in #luanti-console", self._console_lines)
        await self.step("Ada", "looks at the card again", self._card_runs)
        await self.step("Ada", "starts Freeciv", self._start_freeciv)
        await self.step("Ada", "types a command at Freeciv's console", self._command)
        await self.step("Ada", "types another by replying to the live console message", self._reply)
        await self.step("Ada", "restarts Freeciv", self._restart)
        await self.step("Cleo", "(a member) tries to stop Luanti", self._refused)
        await self.step("Ada", "stops Freeciv", self._stop)
        await self.step("Ada", "kills Freeciv while it is starting", self._kill_while_starting)
        if self.play.stage.engine is not None:
            await self.step("Nobody", "kills the agent with SIGKILL while Luanti runs", self._agent_dies)
            await self.step("Ada", "stops Luanti through the agent that came back", self._stop_luanti)

    # What people do

    async def _list(self) -> str:
        await self.ada.wait_until(lambda: any(c["name"] == "server" for c in self.ada.commands), SEEN_SECONDS, what="the slash commands")
        answer = await self._answer(self.ada, await self.ada.run("server list", "general"), _says(self.ada, "luanti", "freeciv"))
        return self._shown(self.ada, answer)

    async def _card(self) -> str:
        answer = await self._answer(
            self.ada, await self.ada.run("server info", "status", server="luanti"), _says(self.ada, "luanti", "offline")
        )
        self.card_id = answer["id"]
        buttons = ", ".join(button.get("label", "") for button in self.ada.buttons(answer))
        return f"{self._shown(self.ada, answer)}\nbuttons: {buttons}"

    async def _start_luanti(self) -> str:
        return await self._start("luanti")

    async def _start_freeciv(self) -> str:
        return await self._start("freeciv")

    async def _start(self, server: str) -> str:
        interaction = await self.ada.run("server start", "general", server=server)
        return self._shown(self.ada, await self._answer(self.ada, interaction, _says(self.ada, "running"), START_SECONDS))

    async def _console_lines(self) -> str:
        message = await self._live("luanti-console", "listening on")
        return self._line(message, "listening on")

    async def _card_runs(self) -> str:
        running = _says(self.ada, "running")
        card = await self.ada.wait_for(lambda m: m["id"] == self.card_id and running(m), SEEN_SECONDS, channel="status")
        return self._shown(self.ada, card)

    async def _command(self) -> str:
        await self._answer(self.ada, await self.ada.run("console send", "freeciv-console", server="freeciv", line="set aifill 3"))
        return self._line(await self._live("freeciv-console", "'aifill' has been set to 3"), "aifill' has been set")

    async def _reply(self) -> str:
        live = await self._live("freeciv-console", "aifill")
        await self.ada.say("freeciv-console", "set aifill 2", reply_to=live)
        return self._line(await self._live("freeciv-console", "'aifill' has been set to 2"), "aifill' has been set to 2")

    async def _restart(self) -> str:
        before = self._pid("freeciv")
        seen: list[str] = []
        interaction = await self.ada.run("server restart", "general", server="freeciv")
        again = _says(self.ada, "running again")

        def watched(message: Message) -> bool:
            text = self.ada.text_of(message).strip()
            if text and (not seen or seen[-1] != text):
                seen.append(text)
            return again(message)

        await self._answer(self.ada, interaction, watched, START_SECONDS + STOP_SECONDS)
        after = self._pid("freeciv")
        if before and before == after:
            raise NotSeen(f"the process id is still {before}: nothing was restarted")
        return "\n".join([*seen, f"process {before} became {after}"] if before else seen)

    async def _refused(self) -> str:
        interaction = await self.cleo.run("server stop", "general", server="luanti")
        answer = await self._answer(self.cleo, interaction, _says(self.cleo, "control.stop"))
        if self._pid("luanti") == 0 and self.play.stage.engine is not None:
            raise NotSeen("Luanti stopped although Cleo was refused")
        return self._shown(self.cleo, answer)

    async def _stop(self) -> str:
        return await self._stop_server("freeciv")

    async def _stop_luanti(self) -> str:
        return await self._stop_server("luanti")

    async def _stop_server(self, server: str) -> str:
        interaction = await self.ada.run("server stop", "general", server=server)
        answer = await self._answer(self.ada, interaction, _says(self.ada, "offline", "stopped", any_of=True), STOP_SECONDS)
        if pid := self._pid(server):
            raise NotSeen(f"the answer says it stopped, but process {pid} still runs")
        return self._shown(self.ada, answer)

    async def _kill_while_starting(self) -> str:
        for _ in range(KILL_TRIES):
            start = await self.ada.run("server start", "general", server="freeciv")
            kill = await self.ada.run("server kill", "general", server="freeciv")
            question = await self.ada.answer(kill, timeout=SEEN_SECONDS)
            await self.ada.press(question, self.ada.buttons(question)[0]["custom_id"])
            answer = await self._answer(self.ada, start, _says(self.ada, "kill", "running", any_of=True), START_SECONDS)
            await self._until(lambda: self._pid("freeciv") == 0, "Freeciv's process to be gone")
            if "kill" in self.ada.text_of(answer).lower():
                return self._shown(self.ada, answer)
            await self.clock.sleep(2.0)  # it was faster than the kill: not what this step is to show
        raise NotSeen(f"in {KILL_TRIES} tries the kill never came before the start was done")

    async def _agent_dies(self) -> str:
        before = self._pid("luanti")
        agent = self.play.children["agent"]
        pid = agent.pid
        agent.kill()
        await self._until(lambda: agent.pid not in (None, pid), "the agent's new process")
        took = await agent.wait_ready()
        after = self._pid("luanti")
        if not before or before != after:
            raise NotSeen(f"Luanti's process id was {before} and is {after}")
        await self._answer(self.ada, await self.ada.run("server list", "general"), _says(self.ada, "running"), SEEN_SECONDS)
        return f"agent {pid} became {agent.pid}, ready after {took:.1f} s; Luanti is still process {after}"

    # How it is seen

    async def _answer(
        self, person: Person, interaction: str, wanted: Callable[[Message], bool] | None = None, seconds: float = SEEN_SECONDS
    ) -> Message:
        return await person.answer(interaction, wanted, timeout=seconds)

    async def _live(self, channel: str, words: str) -> Message:
        said = _says(self.ada, words)
        return await self.ada.wait_for(
            lambda m: m["author"].get("bot", False) and not m.get("ephemeral_for") and said(m), SEEN_SECONDS, channel=channel
        )

    def _line(self, message: Message, words: str) -> str:
        return next(line for line in reversed(self.ada.text_of(message).splitlines()) if words in line)

    def _shown(self, person: Person, message: Message) -> str:
        return "\n".join(line for line in person.text_of(message).splitlines() if line.strip())

    def _pid(self, server: str) -> int:
        """The game's process on the engine's machine; 0 when none runs, or when there is no engine to ask."""
        if self.play.stage.engine is None:
            return 0
        try:
            return self.play.stage.host_pid(server)
        except EngineError as error:
            if error.status != 404:
                raise
            return 0

    async def _until(self, fact: Callable[[], bool], what: str) -> None:
        deadline = self.clock.monotonic() + SEEN_SECONDS
        while not await asyncio.to_thread(fact):
            if self.clock.monotonic() > deadline:
                raise NotSeen(f"waited {SEEN_SECONDS:.0f} s for {what}")
            await self.clock.sleep(0.1)


def _says(person: Person, *words: str, any_of: bool = False) -> Callable[[Message], bool]:
    """A message that holds all (or any) of these words, in any case."""

    def holds(message: Message) -> bool:
        text = person.text_of(message).lower()
        return (any if any_of else all)(word.lower() in text for word in words)

    return holds
