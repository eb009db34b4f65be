"""Cards, power and consoles: what the owner of three servers does all day, and what a member may not."""

from demo.acts.scene import SEEN_SECONDS, START_SECONDS, STOP_SECONDS, Message, Scene, Step, line_of, says, shown
from demo.fallback import manners
from sandbox.person import NotSeen

KILL_TRIES = 5


async def start(scene: Scene, server: str) -> str:
    """Start a server by its command."""
    return shown(await scene.ask("server start", "running", server=server, seconds=START_SECONDS))


async def stop(scene: Scene, server: str) -> str:
    """Stop a server, and see that its process is gone."""
    answer = await scene.ask("server stop", "offline", "stopped", any_of=True, server=server, seconds=STOP_SECONDS)
    if pid := await scene.pid(server):
        raise NotSeen(f"the answer says it stopped, but process {pid} still runs")
    return shown(answer)


async def _list(scene: Scene) -> str:
    await scene.ada.wait_until(lambda: any(c["name"] == "server" for c in scene.ada.commands), SEEN_SECONDS, what="the slash commands")
    return shown(await scene.ask("server list", "luanti", "freeciv", "aliens"))


async def _nodes(scene: Scene) -> str:
    async def both() -> bool:
        scene.kept["nodes"] = await scene.ask("node list", "attic", "cellar", channel="status")
        return scene.ada.text_of(scene.kept["nodes"]).count("answers") == 2

    await scene.until(both, "both nodes to answer", pause=2.0)
    return shown(scene.kept["nodes"])


async def _card(scene: Scene) -> str:
    card = await scene.ask("server info", "luanti", "offline", channel="status", server="luanti")
    scene.kept["card"] = card
    buttons = ", ".join(button.get("label", "") for button in scene.ada.buttons(card))
    return f"{shown(card)}\nbuttons: {buttons}"


async def _luanti(scene: Scene) -> str:
    return await start(scene, "luanti")


async def _console_lines(scene: Scene) -> str:
    return line_of(await scene.seen("luanti-console", "listening on"), "listening on")


async def _card_runs(scene: Scene) -> str:
    return shown(await scene.becomes(scene.kept["card"], "running"))


async def _freeciv(scene: Scene) -> str:
    return await start(scene, "freeciv")


async def _command(scene: Scene) -> str:
    typed, said = manners("freeciv", docker=scene.docker).typed[0]
    await scene.ask("console send", channel="freeciv-console", server="freeciv", line=typed)
    return line_of(await scene.seen("freeciv-console", said), said)


async def _reply(scene: Scene) -> str:
    (_, before), (typed, said) = manners("freeciv", docker=scene.docker).typed
    live = await scene.seen("freeciv-console", before)
    await scene.ada.say("freeciv-console", typed, reply_to=live)
    return line_of(await scene.seen("freeciv-console", said), said)


async def _restart(scene: Scene) -> str:
    before = await scene.pid("freeciv")
    told: list[str] = []
    again = says("running again")

    def watched(message: Message) -> bool:
        text = scene.ada.text_of(message).strip()
        if text and (not told or told[-1] != text):
            told.append(text)
        return again(message)

    interaction = await scene.ada.run("server restart", "general", server="freeciv")
    await scene.ada.answer(interaction, watched, timeout=START_SECONDS + STOP_SECONDS)
    after = await scene.pid("freeciv")
    if before and before == after:
        raise NotSeen(f"the process id is still {before}: nothing was restarted")
    return "\n".join([*told, f"process {before} became {after}"] if before else told)


async def _refused(scene: Scene) -> str:
    answer = await scene.ask("server stop", "control.stop", who="Cleo", server="luanti")
    if scene.docker and not await scene.pid("luanti"):
        raise NotSeen("Luanti stopped although Cleo was refused")
    return shown(answer)


async def _stop_freeciv(scene: Scene) -> str:
    return await stop(scene, "freeciv")


async def _kill_while_starting(scene: Scene) -> str:
    for _ in range(KILL_TRIES):
        starting = await scene.ada.run("server start", "general", server="freeciv")
        question = await scene.ask("server kill", server="freeciv")
        await scene.ada.press(question, scene.ada.buttons(question)[0]["custom_id"])
        answer = await scene.ada.answer(starting, says("kill", "running", any_of=True), timeout=START_SECONDS)

        async def gone() -> bool:
            return await scene.pid("freeciv") == 0

        await scene.until(gone, "Freeciv's process to be gone")
        await scene.ask("server list", "freeciv")
        if "kill" in scene.ada.text_of(answer).lower():
            return shown(answer)
        await scene.clock.sleep(2.0)  # it was faster than the kill: not what this step is to show
    raise NotSeen(f"in {KILL_TRIES} tries the kill never came before the start was done")


STEPS = (
    Step("Ada", "lists the servers", _list),
    Step("Ada", "looks at the nodes", _nodes),
    Step("Ada", "asks for Luanti's card in #status", _card),
    Step("Ada", "starts Luanti, on the node attic", _luanti),
    Step("Ada", "watches Luanti's console in #luanti-console", _console_lines),
    Step("Ada", "looks at the card again", _card_runs),
    Step("Ada", "starts Freeciv, on the node cellar", _freeciv),
    Step("Ada", "types a command at Freeciv's console", _command),
    Step("Ada", "types another by replying to the live console message", _reply),
    Step("Ada", "restarts Freeciv", _restart),
    Step("Cleo", "(a member) tries to stop Luanti", _refused),
    Step("Ada", "stops Freeciv", _stop_freeciv),
    Step("Ada", "kills Freeciv while it is starting", _kill_while_starting),
)
