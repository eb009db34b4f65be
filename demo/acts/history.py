"""The end: who did what, as the activity log tells it, and the last server stopped."""

from demo.acts.power import stop
from demo.acts.scene import Scene, Step, line_of, says, shown
from sandbox.person import NotSeen

DONE = {
    "server:request.done": "by request",
    "auth:sftp.sign-in": "signed in to SFTP",
    "user:api-key.create": "made an API key",
    "alert:source.create": "made a source of alerts",
}


async def _activity(scene: Scene) -> str:
    lines = []
    for event, words in DONE.items():
        lines.append(line_of(await scene.ask("activity", words, channel="requests", event=event), words))
    return "\n".join(lines)


async def _own(scene: Scene) -> str:
    own = await scene.ask("activity", "asked for a restart", who="Cleo", channel="requests", event="server:request.ask")
    others = await scene.ask("activity", who="Cleo", channel="requests", event="user:api-key.create")
    if says("made an API key")(others):
        raise NotSeen(f"Cleo saw what Ada did for herself:\n{shown(others)}")
    return f"{line_of(own, 'asked for a restart')}\nof Ada's keys: {shown(others).splitlines()[1]}"


async def _stop(scene: Scene) -> str:
    return await stop(scene, "luanti")


STEPS = (
    Step("Ada", "looks up who did what", _activity),
    Step("Cleo", "(a member) sees what she did, and nothing of Ada's keys", _own),
    Step("Ada", "stops Luanti", _stop),
)
