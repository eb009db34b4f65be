"""A scripted person: the page's WebSocket without the page, for tests and the tour.

`async with Person.connect(url, "Ada") as ada:` then say, run, press, submit and wait for what a person would see. It uses the
same operations as the page and has no other way in. Must never look into the sandbox's state.
"""

import asyncio
import base64
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import orjson
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

Json = dict[str, Any]
Wanted = Callable[[Json], bool]


class NotSeen(AssertionError):
    """What was waited for did not come in time; the text ends with what was last seen."""


class Refused(Exception):
    """The sandbox refused an operation; the text is the sentence a person would read."""


class Person:
    """One person's view, kept current; every method acts as that person."""

    def __init__(self, socket: ClientWebSocketResponse, hello: Json) -> None:
        self._socket = socket
        self._nonces = itertools.count(1)
        self._results: dict[str, asyncio.Future[Json]] = {}
        self._messages: dict[str, dict[str, Json]] = {channel: {} for channel in hello["history"]}
        self._changed = asyncio.Condition()
        self._lost: str | None = None
        self.me: Json = hello["person"]
        self.people: list[Json] = hello["people"]
        self.guild: Json = hello["guild"]
        self.bot: Json = hello["bot"]
        self.commands: list[Json] = hello["commands"]
        self.channels: list[Json] = hello["channels"]
        self.modals: list[Json] = []
        self.failures: list[Json] = []
        self.frames: deque[Json] = deque(maxlen=5000)
        for channel, messages in hello["history"].items():
            self._messages[channel] = {message["id"]: message for message in messages}

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, name: str) -> AsyncIterator[Self]:
        """Becomes the person called `name` (or with that id) at the sandbox at `url`. Raises Refused when there is none."""
        async with ClientSession() as session:
            async with session.get(f"{url}/sandbox/people") as answer:
                people = (await answer.json())["people"]
            found = next((person for person in people if name in (person["name"], person["id"])), None)
            if found is None:
                raise Refused(f"there is no person {name!r}; there are {', '.join(person['name'] for person in people)}")
            async with session.ws_connect(f"{url}/sandbox/ws?person={found['id']}", max_msg_size=0) as socket:
                async with asyncio.timeout(10):
                    hello = orjson.loads((await socket.receive()).data)
                person = cls(socket, hello)
                reader = asyncio.create_task(person._read(), name=f"person {name}")
                try:
                    yield person
                finally:
                    reader.cancel()
                    with suppress(asyncio.CancelledError):
                        await reader

    # Acting

    async def say(self, channel: str, text: str, reply_to: Json | str | None = None, *, ping: bool = True) -> str:
        """Types a message; answers its id. `reply_to` is a message or its id, `ping` the switch beside a reply."""
        target = reply_to["id"] if isinstance(reply_to, dict) else reply_to
        data = await self.operate("send", channel_id=self.channel_id(channel), content=text, reply_to=target, ping=ping)
        return str(data["message_id"])

    async def run(
        self, command: str, channel: str | None = None, *, options: Json | None = None, target: Json | str | None = None, **named: Any
    ) -> str:
        """Runs "server restart" with options by name; answers the interaction's id.

        `options` is for names that are also arguments here; `target` (a message or user id) runs a context menu command.
        """
        body: Json = {"command": command, "options": {**named, **(options or {})}}
        if target is not None:
            body["target"] = target["id"] if isinstance(target, dict) else target
        return str((await self.operate("run", channel_id=self.channel_id(channel), **body))["interaction_id"])

    async def autocomplete(self, command: str, focused: str, text: str = "", channel: str | None = None, **others: Any) -> list[Json]:
        """What the picker offers while `text` is typed into the option `focused`: [{name, value}]."""
        data = await self.operate(
            "autocomplete", channel_id=self.channel_id(channel), command=command, options={**others, focused: text}, focused=focused
        )
        return list(data["choices"])

    async def press(self, message: Json, label_or_custom_id: str) -> str:
        """Presses a button of a message; answers the interaction's id."""
        button = self._component(message, label_or_custom_id, {2})
        data = await self.operate("press", channel_id=message["channel_id"], message_id=message["id"], custom_id=button["custom_id"])
        return str(data["interaction_id"])

    async def select(self, message: Json, placeholder_or_custom_id: str, values: str | Iterable[str]) -> str:
        """Chooses values (or labels, or names) in a select of a message; answers the interaction's id."""
        entry = self._component(message, placeholder_or_custom_id, {3, 5, 6, 7, 8})
        chosen = [values] if isinstance(values, str) else list(values)
        data = await self.operate(
            "select", channel_id=message["channel_id"], message_id=message["id"], custom_id=entry["custom_id"], values=chosen
        )
        return str(data["interaction_id"])

    async def submit(self, values: Json, modal: Json | None = None) -> str:
        """Sends a modal, the newest by default; `values` are keyed by custom_id or by label."""
        form = modal or (self.modals[-1] if self.modals else None)
        if form is None:
            raise Refused("no form is open")
        names = {label: custom_id for custom_id, label in _labels(form)}
        body = {names.get(key, key): value for key, value in values.items()}
        data = await self.operate("submit", interaction_id=form["interaction_id"], custom_id=form["custom_id"], values=body)
        return str(data["interaction_id"])

    async def dismiss(self, message: Json) -> None:
        """Dismisses an ephemeral message."""
        await self.operate("dismiss", message_id=message["id"])

    async def react(self, message: Json, emoji: str) -> None:
        """Adds a reaction, or takes it back."""
        await self.operate("react", channel_id=message["channel_id"], message_id=message["id"], emoji=emoji)

    async def history(self, channel: str, before: str | None = None, limit: int = 50) -> list[Json]:
        """Older messages of a channel, oldest first."""
        return list((await self.operate("history", channel_id=self.channel_id(channel), before=before, limit=limit))["messages"])

    async def operate(self, op: str, *, timeout: float = 10.0, **body: Any) -> Json:
        """Sends one operation and answers its data. Raises Refused with the sandbox's sentence, NotSeen without an answer."""
        nonce = str(next(self._nonces))
        self._results[nonce] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(orjson.dumps({"op": op, "nonce": nonce, **body}).decode())
        try:
            async with asyncio.timeout(timeout):
                result = await self._results[nonce]
        except TimeoutError:
            raise NotSeen(f"the sandbox did not answer {op} within {timeout} s") from None
        finally:
            del self._results[nonce]
        if not result["ok"]:
            raise Refused(result["error"])
        return dict(result.get("data") or {})

    # Seeing

    def channel_id(self, channel: str | None) -> str:
        """The id of a channel by name or id; None is the first text channel."""
        for item in self.channels:
            if channel in (None, item["id"], item["name"]) and item["type"] != 4:
                return str(item["id"])
        raise Refused(f"{self.me['name']} sees no channel {channel!r}; there are {', '.join(item['name'] for item in self.channels)}")

    def messages(self, channel: str | None = None) -> list[Json]:
        """The messages of a channel as this person sees them, oldest first; None: of all channels."""
        if channel is not None:
            found = list(self._messages.get(self.channel_id(channel), {}).values())
        else:
            found = [message for items in self._messages.values() for message in items.values()]
        return sorted(found, key=lambda message: int(message["id"]))

    def message(self, message_id: str) -> Json:
        """A message as it is now. Raises NotSeen when it is gone."""
        for items in self._messages.values():
            if message_id in items:
                return items[message_id]
        raise NotSeen(f"{self.me['name']} does not see message {message_id}")

    async def wait_for(self, wanted: Wanted, timeout: float = 10.0, *, channel: str | None = None, after: str | None = None) -> Json:
        """The newest message that fits: one already there, else the first that comes or changes to fit.

        `after` leaves out messages up to that id. Raises NotSeen after `timeout` seconds.
        """

        def look() -> Json | None:
            for message in reversed(self.messages(channel)):
                if (after is None or int(message["id"]) > int(after)) and wanted(message):
                    return message
            return None

        return await self._until(look, timeout, "the message", channel)

    async def answer(self, interaction_id: str, wanted: Wanted | None = None, timeout: float = 10.0) -> Json:
        """The message that answers an interaction, once it is no longer "thinking" and fits."""

        def look() -> Json | None:
            for failure in self.failures:
                if failure["interaction_id"] == interaction_id:
                    raise NotSeen(f"instead of an answer {self.me['name']} saw: {failure['reason']}")
            for message in reversed(self.messages()):
                origin = message.get("interaction_metadata") or {}
                if origin.get("id") == interaction_id and not message["thinking"] and (wanted is None or wanted(message)):
                    return message
            return None

        return await self._until(look, timeout, "the answer", None)

    async def wait_for_modal(self, timeout: float = 10.0, *, interaction_id: str | None = None) -> Json:
        """The form that opens, of one interaction or the newest."""
        return await self._until(
            lambda: next((form for form in reversed(self.modals) if interaction_id in (None, form["interaction_id"])), None),
            timeout,
            "a form",
            None,
        )

    async def wait_for_failure(self, interaction_id: str, timeout: float = 10.0) -> str:
        """The words shown when an interaction failed."""
        found = await self._until(
            lambda: next((one for one in self.failures if one["interaction_id"] == interaction_id), None), timeout, "a failure", None
        )
        return str(found["reason"])

    async def wait_until(self, fact: Callable[[], bool], timeout: float = 10.0, what: str = "the change") -> None:
        """Waits until something about this person's view holds, e.g. `lambda: ada.bot["online"]`."""
        await self._until(lambda: {} if fact() else None, timeout, what, None)

    async def _until(self, look: Callable[[], Json | None], timeout: float, what: str, channel: str | None) -> Json:
        try:
            async with asyncio.timeout(timeout), self._changed:
                while (found := look()) is None:
                    if self._lost is not None:
                        raise NotSeen(f"{self.me['name']} lost the sandbox while waiting for {what}: {self._lost}")
                    await self._changed.wait()
                return found
        except TimeoutError:
            raise NotSeen(f"{self.me['name']} did not see {what} within {timeout} s; last seen:\n{self._last_seen(channel)}") from None

    def _last_seen(self, channel: str | None) -> str:
        lines = [
            f"  [{message['id']}] {message['author']['username']}: {self.text_of(message)[:300]!r}"
            for message in self.messages(channel)[-5:]
        ]
        lines += [f"  failed: {failure['reason']}" for failure in self.failures[-3:]]
        return "\n".join(lines) or "  nothing at all"

    @staticmethod
    def text_of(message: Json) -> str:
        """All text of a message: content, embeds, components with labels and placeholders, file names."""
        lines = [message.get("content") or ""]
        for embed in message.get("embeds") or ():
            lines += [(embed.get("author") or {}).get("name", ""), embed.get("title", ""), embed.get("description", "")]
            lines += [f"{field['name']}\n{field['value']}" for field in embed.get("fields") or ()]
            lines.append((embed.get("footer") or {}).get("text", ""))
        for item in walk(message.get("components") or []):
            lines += [str(item.get(key) or "") for key in ("content", "label", "placeholder", "name")]
            lines += [option["label"] for option in item.get("options") or ()]
            lines += [str(entry.get("description") or "") for entry in item.get("items") or ()]
        lines += [item["filename"] for item in message.get("attachments") or ()]
        return "\n".join(line for line in lines if line)

    @staticmethod
    def file(filename: str, data: bytes) -> Json:
        """A file as an option or a form takes it."""
        return {"filename": filename, "data": base64.b64encode(data).decode()}

    def buttons(self, message: Json) -> list[Json]:
        """The buttons of a message as it is now."""
        return [item for item in walk(message["components"]) if item["type"] == 2]

    def _component(self, message: Json, name: str, kinds: set[int]) -> Json:
        with suppress(NotSeen):
            message = self.message(message["id"])
        found = [item for item in walk(message["components"]) if item["type"] in kinds and item.get("custom_id")]
        for item in found:
            if name in (item["custom_id"], item.get("label"), item.get("placeholder")):
                return item
        names = [str(item.get("label") or item.get("placeholder") or item["custom_id"]) for item in found]
        raise Refused(f"the message has no {name!r}; it has {', '.join(names) or 'none'}")

    # Keeping current

    async def _read(self) -> None:
        async for received in self._socket:
            if received.type is not WSMsgType.TEXT:
                break
            frame = orjson.loads(received.data)
            self._take(frame)
            async with self._changed:
                self._changed.notify_all()
        self._lost = f"the socket closed with {self._socket.close_code}"
        for waiting in self._results.values():
            if not waiting.done():
                waiting.set_exception(NotSeen(self._lost))
        async with self._changed:
            self._changed.notify_all()

    def _take(self, frame: Json) -> None:
        kind = frame["type"]
        if kind == "result":
            waiting = self._results.get(str(frame["nonce"]))
            if waiting is not None and not waiting.done():
                waiting.set_result(frame)
            return
        self.frames.append(frame)
        if kind in ("message_create", "message_update"):
            self._messages.setdefault(frame["channel_id"], {})[frame["message"]["id"]] = frame["message"]
        elif kind == "message_delete":
            self._messages.get(frame["channel_id"], {}).pop(frame["message_id"], None)
        elif kind == "modal":
            self.modals.append(frame)
        elif kind == "interaction_failed":
            self.failures.append(frame)
        elif kind == "commands":
            self.commands = frame["commands"]
        elif kind == "people":
            self.people = frame["people"]
        elif kind == "presence":
            self.bot = frame["bot"]
        elif kind in ("channel_create", "channel_update", "channel_delete"):
            rest = [item for item in self.channels if item["id"] != frame["channel"]["id"]]
            self.channels = rest if kind == "channel_delete" else [*rest, frame["channel"]]


def walk(components: list[Json]) -> Iterator[Json]:
    """Every component of a tree, parents before children."""
    for item in components:
        yield item
        yield from walk(item.get("components") or [])
        for key in ("accessory", "component"):
            if isinstance(item.get(key), dict):
                yield from walk([item[key]])


def _labels(form: Json) -> Iterator[tuple[str, str]]:
    for item in form["components"]:
        if item["type"] == 18:
            yield item["component"]["custom_id"], item["label"]
        for entry in item.get("components") or ():
            yield entry["custom_id"], entry.get("label") or entry["custom_id"]
