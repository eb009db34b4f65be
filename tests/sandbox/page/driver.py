"""A headless Chromium, driven through its DevTools protocol: what a person's eyes, keys and finger do to the page.

Everything the browser complains about, and every address it asks for, is kept for the test to look at.
"""

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

Json = dict[str, Any]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--mute-audio", "--remote-debugging-port=0",
)  # fmt: skip
KEYS = {
    "Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "Backspace": (8, ""), "ArrowDown": (40, ""), "ArrowUp": (38, ""),
    "ArrowLeft": (37, ""), "ArrowRight": (39, ""),
}  # fmt: skip


def chromium() -> str | None:
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Tab:
    """One page of the browser."""

    socket: ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    _waiting: dict[int, asyncio.Future[Json]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def command(self, method: str, **params: Any) -> Json:
        """Sends one DevTools command and answers its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_str(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(20):
            return await self._waiting[number]

    async def read(self) -> None:
        """Takes what the browser says until it closes."""
        async for received in self.socket:
            if received.type is not WSMsgType.TEXT:
                continue
            told = json.loads(received.data)
            if "id" in told:
                waiting = self._waiting.pop(told["id"], None)
                if waiting is not None and not waiting.done():
                    if "error" in told:
                        waiting.set_exception(RuntimeError(str(told["error"])))
                    else:
                        waiting.set_result(told["result"])
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, params: Json) -> None:
        if method == "Network.requestWillBeSent":
            self.addresses.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.addresses.append(params["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([one.get("value", one.get("description")) for one in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Sets the size of the window; a phone also has touch and no hovering."""
        await self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        await self.command("Emulation.setTouchEmulationEnabled", enabled=phone, maxTouchPoints=1)

    async def open(self, url: str) -> None:
        """Opens the chat page and waits until it shows the community."""
        await self.command("Page.navigate", url=url)
        await self.until("document.body?.dataset.ready")

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    async def until(self, expression: str, timeout: float = 10.0) -> None:
        """Waits until an expression is true. AssertionError with what the page shows when it does not happen."""
        try:
            async with asyncio.timeout(timeout):
                while not await self.value(f"(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()"):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            seen = await self.value("document.querySelector('#main')?.innerText.slice(-1500)")
            raise AssertionError(f"not within {timeout} s: {expression}\ncomplaints: {self.complaints}\nthe page shows:\n{seen}") from None

    async def sees(self, text: str, within: str = "body", timeout: float = 10.0) -> None:
        """Waits until a text is on the page."""
        await self.until(f"document.querySelector({json.dumps(within)}).innerText.includes({json.dumps(text)})", timeout)

    async def click(self, selector: str, text: str | None = None) -> None:
        """Presses the last visible element of a selector, if wanted only one that holds a text, where a finger would."""
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})].filter((one) => one.getClientRects().length"
            f" && one.innerText.includes({json.dumps(text or '')})).at(-1)"
        )
        await self.until(f"Boolean({find})")
        await self.value(f"{find}.scrollIntoView({{block: 'nearest'}})")
        x, y = await self.value(
            f"(() => {{ const box = {find}.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def type(self, text: str) -> None:
        """Types letters, one key each, into whatever has the focus."""
        for letter in text:
            await self.command("Input.dispatchKeyEvent", type="keyDown", text=letter, key=letter)
            await self.command("Input.dispatchKeyEvent", type="keyUp", key=letter)

    async def press(self, *keys: str) -> None:
        """Presses keys by name."""
        for key in keys:
            code, text = KEYS[key]
            named: Json = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            await self.command("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **named)
            await self.command("Input.dispatchKeyEvent", type="keyUp", **named)

    async def shot(self, path: Path) -> None:
        """Saves what is seen as a PNG."""
        picture = await self.command("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(picture["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Tab]:
    """Starts Chromium with a fresh profile in `folder` and yields its tab."""
    program = chromium()
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program, *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        port = await _port(folder / "DevToolsActivePort", process)
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in await answer.json(content_type=None) if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                reader = asyncio.create_task(tab.read())
                try:
                    for domain in ("Page", "Runtime", "Network", "Log"):
                        await tab.command(f"{domain}.enable")
                    await tab.size(1280, 800)
                    yield tab
                finally:
                    reader.cancel()
                    with suppress(asyncio.CancelledError):
                        await reader
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: only what was started here
        await process.wait()


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(30):
        while True:
            assert process.returncode is None, f"Chromium ended with {process.returncode}"
            with suppress(FileNotFoundError, IndexError, ValueError):
                return int((await asyncio.to_thread(file.read_text)).splitlines()[0])
            await asyncio.sleep(0.05)
