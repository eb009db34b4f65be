"""People's own programs: the Client API with a key that a member made for themselves."""

import re
from typing import Any

import aiohttp

from demo.acts.scene import SEEN_SECONDS, STOP_SECONDS, Scene, Step, shown
from demo.play import HOST
from sandbox.person import NotSeen


async def _call(scene: Scene, method: str, path: str, key: str, body: Any = None) -> tuple[int, Any]:
    url = f"http://{HOST}:{scene.play.stage.remembered.ports['bot']}/api/client{path}"
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
    limit = aiohttp.ClientTimeout(total=SEEN_SECONDS)
    async with aiohttp.ClientSession(timeout=limit) as http, http.request(method, url, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 204 else None


async def _key(scene: Scene) -> str:
    answer = await scene.ask("account api-key create", "Your client key", memo="the tour")
    found = re.search(r"\|\|`(\S+)`\|\|", scene.ada.text_of(answer))
    if found is None:
        raise NotSeen(f"the answer holds no key:\n{shown(answer)}")
    scene.kept["key"] = found[1]
    return shown(answer).replace(found[1], found[1][:16] + "…")


async def _list(scene: Scene) -> str:
    refused, _ = await _call(scene, "GET", "", scene.kept["key"][:-1] + "!")
    status, body = await _call(scene, "GET", "", scene.kept["key"])
    if (refused, status) != (401, 200):
        raise NotSeen(f"a wrong key was answered {refused}, the right one {status}: {body}")
    found = {server["attributes"]["name"]: server["attributes"] for server in body["data"]}
    if not {"luanti", "freeciv", "aliens"} <= set(found):
        raise NotSeen(f"listed were: {', '.join(found) or 'none'}")
    scene.kept["listed"] = found
    return "GET /api/client: " + ", ".join(f"{name} on {server['node']}" for name, server in found.items()) + "; a wrong key: 401"


async def _power(scene: Scene) -> str:
    path, key = f"/servers/{scene.kept['listed']['aliens']['identifier']}", scene.kept["key"]
    status, body = await _call(scene, "POST", f"{path}/power", key, {"signal": "stop"})
    if status != 204:
        raise NotSeen(f"the signal was answered {status}: {body}")

    async def offline() -> bool:
        answered, state = await _call(scene, "GET", f"{path}/resources", key)
        return answered == 200 and state["attributes"]["current_state"] == "offline"

    await scene.until(offline, "the aliens to be offline", STOP_SECONDS)
    await scene.ask("server list", "aliens")
    if pid := await scene.pid("aliens"):
        raise NotSeen(f"the API says offline, but process {pid} still runs")
    return f"POST /api/client{path}/power stop: 204, then offline"


STEPS = (
    Step("Ada", "makes a key for her programs", _key),
    Step("A program", "lists her servers by the Client API", _list),
    Step("A program", "stops the aliens by the Client API", _power),
)
