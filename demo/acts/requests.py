"""A member asks for a restart, two others vote for it, the players are warned, and it happens once."""

import asyncio

from demo import containers
from demo.acts.power import start
from demo.acts.scene import START_SECONDS, Scene, Step, line_of, shown
from sandbox.person import NotSeen

VOTE = "Vote for a restart"


async def _start(scene: Scene) -> str:
    return await start(scene, "aliens")


async def _ask(scene: Scene) -> str:
    scene.kept["pid"] = await scene.pid("aliens")
    scene.kept["asked"] = scene.clock.now().timestamp()
    answer = await scene.ask("request restart", "first of 3", who="Cleo", server="aliens", reason="the sky is stuck")
    scene.kept["request"] = await scene.seen("requests", "Restart aliens?", "1 of 3")
    return f"{shown(answer)}\n{shown(scene.kept['request'])}"


async def _dora(scene: Scene) -> str:
    await scene["Dora"].press(scene.kept["request"], VOTE)
    return shown(await scene.becomes(scene.kept["request"], "2 of 3"))


async def _eli(scene: Scene) -> str:
    await scene["Eli"].press(scene.kept["request"], VOTE)
    return shown(await scene.becomes(scene.kept["request"], "aliens is about to restart", "Eli"))


async def _warned(scene: Scene) -> str:
    words = "This server restarts in"
    message = await scene.seen("aliens-console", words)
    return line_of(message, words)


async def _restarted(scene: Scene) -> str:
    done = await scene.becomes(scene.kept["request"], "aliens restarted", seconds=START_SECONDS)
    lines = [shown(done)]
    if scene.docker:
        before, after = scene.kept["pid"], await scene.pid("aliens")
        if before == after:
            raise NotSeen(f"the process id is still {before}: nothing was restarted")
        stage = scene.play.stage
        span = (scene.kept["asked"], scene.clock.now().timestamp())
        starts = await asyncio.to_thread(containers.starts, stage.api, stage.remembered.servers["aliens"], *span)
        if starts != 1:
            raise NotSeen(f"Docker counted {starts} starts of the container since the request, not one")
        lines.append(f"process {before} became {after}; Docker counted one start since the request")
    return "\n".join(lines)


STEPS = (
    Step("Ada", "starts the aliens, a second Freeciv", _start),
    Step("Cleo", "(a member) asks for its restart", _ask),
    Step("Dora", "votes for it", _dora),
    Step("Eli", "gives the last vote it needs", _eli),
    Step("Players", "are warned at the game's console", _warned),
    Step("Everybody", "sees it restarted, once", _restarted),
)
