"""Alerts: reported by a webhook and resolved, and Aerie's own when a game crashes or a node is gone."""

import asyncio
import re
from typing import Any

import aiohttp

from demo import containers
from demo.acts.scene import SEEN_SECONDS, START_SECONDS, Scene, Step, says, shown
from sandbox.person import NotSeen

DISK = {"title": "Disk almost full", "severity": "critical", "key": "disk-1", "value": "97 %", "text": "/var/lib/aerie has 2 GiB left"}


async def _source(scene: Scene) -> str:
    answer = await scene.ask("alert source create", "/webhooks/", channel="alerts", name="uptime")
    found = re.search(r"https?://\S+/webhooks/\S+", scene.ada.text_of(answer))
    assert found is not None
    scene.kept["webhook"] = found[0]
    return shown(answer).replace(found[0], found[0][:-30] + "…")


async def _report(scene: Scene, body: dict[str, Any]) -> str:
    limit = aiohttp.ClientTimeout(total=SEEN_SECONDS)
    async with aiohttp.ClientSession(timeout=limit) as http, http.post(scene.kept["webhook"], json=body) as answer:
        words = (await answer.text()).strip()
        if answer.status != 202:
            raise NotSeen(f"the webhook was answered {answer.status}: {words}")
    return f"answered 202 {words}"


async def _fires(scene: Scene) -> str:
    answer = await _report(scene, {**DISK, "status": "firing"})
    scene.kept["alert"] = await scene.seen("alerts", "Disk almost full", "firing since")
    return f"{answer}\n{shown(scene.kept['alert'])}"


async def _acknowledge(scene: Scene) -> str:
    await scene.press("Ben", scene.kept["alert"], "Acknowledge", "look after it")
    return shown(await scene.becomes(scene.kept["alert"], "looks after it"))


async def _resolves(scene: Scene) -> str:
    answer = await _report(scene, {**DISK, "status": "resolved"})
    return f"{answer}\n{shown(await scene.becomes(scene.kept['alert'], 'Disk almost full', 'Resolved'))}"


async def _crash(scene: Scene) -> str:
    before = await scene.pid("aliens")
    stage = scene.play.stage
    opened = scene.ada.wait_for(says("aliens crashed", "137"), SEEN_SECONDS, channel="alerts")
    await asyncio.to_thread(containers.strike, stage.api, stage.remembered.servers["aliens"])
    alert = await opened
    first = shown(alert).splitlines()[:3]
    await scene.becomes(alert, "aliens crashed", "Resolved", "running again", seconds=START_SECONDS)
    after = await scene.pid("aliens")
    if not after or before == after:
        raise NotSeen(f"the alert is resolved, but the game's process was {before} and is {after}")
    return "\n".join([*first, f"then resolved: process {before} became {after}"])


async def _node_lost(scene: Scene) -> str:
    before, agent = await scene.pid("luanti"), scene.play.children["agent-attic"]
    pid = agent.pid
    agent.hold()
    agent.kill()
    try:
        alert = await scene.seen("alerts", "The node attic does not answer", "firing since")
    finally:
        agent.release()
    await scene.becomes(alert, "Resolved", "answers again", seconds=START_SECONDS)

    async def back() -> bool:
        return agent.pid not in (None, pid) and await agent.program.ready()

    await scene.until(back, "the agent's new process", START_SECONDS)
    after = await scene.pid("luanti")
    if scene.docker and (not before or before != after):
        raise NotSeen(f"Luanti's process id was {before} and is {after}")
    await scene.ask("server list", "luanti", "running")
    return f"{shown(alert).splitlines()[0]}; then resolved\nagent {pid} became {agent.pid}; Luanti is still process {after}"


_ALONE = "a plain process cannot be told from others"
_TOGETHER = "plain processes end with their agent"

STEPS = (
    Step("Ada", "makes an address for a monitoring system", _source),
    Step("A monitor", "reports an alert there by HTTP", _fires),
    Step("Ben", "(a moderator) takes it on", _acknowledge),
    Step("A monitor", "reports it resolved: the same message says so", _resolves),
    Step("Nobody", "kills the aliens' process: Aerie's own alert opens and resolves", _crash, docker=_ALONE),
    Step("Nobody", "kills attic's agent while Luanti runs: the node is lost, then back", _node_lost, docker=_TOGETHER),
)
