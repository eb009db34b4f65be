"""A server made in chat: its egg imported as a file, installed by its script, played, deleted."""

import json

from demo.acts.power import start
from demo.acts.scene import START_SECONDS, Scene, Step, line_of, says, shown
from demo.seeding import egg_of
from sandbox.person import NotSeen, Person

WHY = "install scripts run in containers"


async def _import(scene: Scene) -> str:
    body = json.dumps(egg_of(scene.play.stage, "numbers")).encode()
    return shown(
        await scene.ask("egg import", "Numbers", "imported", channel="status", options={"file": Person.file("numbers.json", body)})
    )


async def _order(scene: Scene) -> str:
    scene.kept["order"] = await scene.ask(
        "server create", "when it is right", channel="status", egg="Numbers", options={"name": "numbers"}, memory="128 MB", node="cellar"
    )
    return shown(scene.kept["order"])


async def _install(scene: Scene) -> str:
    order = scene.kept["order"]
    await scene.ada.press(order, "Create")
    progress = await scene.becomes(order, "is being installed", "Step", seconds=START_SECONDS)
    ready = await scene.becomes(order, "is ready", seconds=START_SECONDS)
    return f"{line_of(progress, 'Step')}\n{shown(ready)}"


async def _play(scene: Scene) -> str:
    started = await start(scene, "numbers")
    await scene.ask("console send", channel="status", server="numbers", line="0")

    async def answered() -> bool:
        return says("Higher")(await scene.ask("console tail", channel="status", server="numbers"))

    await scene.until(answered, "the game's answer to a guess")
    return f"{started}\ntyped 0, and the game said: Higher"


async def _delete(scene: Scene) -> str:
    await scene.ask("server stop", "offline", "stopped", any_of=True, channel="status", server="numbers", seconds=START_SECONDS)
    interaction = await scene.ada.run("server delete", "status", server="numbers")
    form = await scene.ada.wait_for_modal(interaction_id=interaction)
    wrong = await scene.ada.answer(await scene.ada.submit({"name": "luanti"}, form), says("Nothing was deleted"))
    interaction = await scene.ada.run("server delete", "status", server="numbers")
    form = await scene.ada.wait_for_modal(interaction_id=interaction)
    gone = await scene.ada.answer(await scene.ada.submit({"name": "numbers"}, form), says("deleted", "numbers"), timeout=START_SECONDS)
    if says("numbers")(await scene.ask("server list", "luanti", channel="status")):
        raise NotSeen("it is still listed")
    return f"{shown(wrong)}\n{shown(gone)}"


STEPS = (
    Step("Ada", "imports an egg as a file", _import, docker=WHY),
    Step("Ada", "orders a server of it", _order, docker=WHY),
    Step("Ada", "presses Create: its script installs it", _install, docker=WHY),
    Step("Ada", "starts it and plays at its console", _play, docker=WHY),
    Step("Ada", "deletes it, after typing its name", _delete, docker=WHY),
)
