"""What a person does: type, run a command, press, choose, submit, react, look back.

The page and the scripted person send the same operations here; each is answered with data or refused with one sentence.
Must never do what Discord's client would not let that person do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sandbox import interactions, invocations, limits, objects, permissions, posting
from sandbox.errors import DiscordError, Json
from sandbox.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT
from sandbox.invocations import ActRefused, Resolver
from sandbox.rest.messages import emoji_key, page
from sandbox.rules import components, messages
from sandbox.rules.attachments import Upload
from sandbox.state import Channel, Message, User
from sandbox.world import World

Act = Callable[[User, Json], Awaitable[Json]]


class Acts:
    """The operations of a page socket, by name."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._acts: dict[str, Act] = {
            "send": self._send, "run": self._run, "autocomplete": self._autocomplete, "press": self._press, "select": self._select,
            "submit": self._submit, "dismiss": self._dismiss, "react": self._react, "history": self._history, "delete": self._delete,
        }  # fmt: skip

    async def perform(self, user: User, operation: Json) -> Json:
        """Does one operation. Raises ActRefused with a sentence."""
        act = self._acts.get(str(operation.get("op")))
        if act is None:
            raise ActRefused(f"Unknown operation {operation.get('op')!r}; known are {', '.join(self._acts)}.")
        try:
            return await act(user, operation)
        except DiscordError as error:
            raise ActRefused(_sentence(error)) from error

    # What an operation names

    def _channel(self, user: User, operation: Json, *needed: int) -> Channel:
        channel = self._world.state.channel(str(operation.get("channel_id")))
        if channel is None or not self._world.state.can_see(user.id, channel):
            raise ActRefused("That channel is not here.")
        bits = self._world.state.permissions_in(user.id, channel)
        for bit in needed:
            if not bits & bit:
                raise ActRefused(f"{user.name} lacks the permission {permissions.names_of(bit)[0].replace('_', ' ')} in #{channel.name}.")
        return channel

    def _message(self, user: User, channel: Channel, operation: Json) -> Message:
        key = str(operation.get("message_id"))
        found = channel.messages.get(key) or self._world.state.ephemerals.get(key)
        if found is None or found.ephemeral_for not in (None, user.id):
            raise ActRefused("That message is not here any more.")
        return found

    def _resolver(self, channel: Channel) -> Resolver:
        return Resolver(self._world.state, self._world.state.guild_of(channel), self._world.hub.base_url, channel)

    def _offered(self, user: User, channel: Channel) -> list[Json]:
        if channel.guild_id is None:
            return [item for item in self._world.commands.of(None) if not item.get("contexts") or 1 in item["contexts"]]
        return self._world.commands.visible(channel.guild_id, self._world.state.permissions_in(user.id, channel))

    # The operations

    async def _send(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation)
        needed = permissions.SEND_MESSAGES_IN_THREADS if channel.thread is not None else permissions.SEND_MESSAGES
        self._channel(user, operation, needed)
        if channel.type not in (0, 1, 2, 5, 10, 11, 12):
            raise ActRefused(f"#{channel.name} takes no messages.")
        if channel.thread is not None and channel.thread.locked:
            self._channel(user, operation, permissions.MANAGE_THREADS)
        files = operation.get("files") or []
        resolver = self._resolver(channel)
        uploads = [self._world.state.files[resolver.file(one)] for one in files if isinstance(one, dict)]
        content = str(operation.get("content") or "")
        if len(content) > limits.CONTENT:
            raise ActRefused(f"A message holds {limits.CONTENT} characters; this one has {len(content)}.")
        reply_to = None
        if operation.get("reply_to"):
            reply_to = channel.messages.get(str(operation["reply_to"]))
            if reply_to is None:
                raise ActRefused("The message you reply to is not here any more.")
        body: Json = {
            "content": content,
            "allowed_mentions": {"parse": ["users", "roles", "everyone"], "replied_user": operation.get("ping", True) is True},
        }
        parts = [Upload(index, item.filename, item.data) for index, item in enumerate(uploads)]
        draft = messages.draft(body, parts, self._world.clock, partial(self._world.url_of, channel.id))
        message = posting.publish(self._world, posting.compose(self._world, channel, user, draft, reply_to=reply_to))
        return {"message_id": message.id}

    async def _run(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation)
        interactions.may_run(self._world.state.permissions_in(user.id, channel))
        name = str(operation.get("command") or "")
        offered = self._offered(user, channel)
        resolver = self._resolver(channel)
        if operation.get("target") is not None:
            message = channel.messages.get(str(operation["target"]))
            data = invocations.context_command(offered, name, str(operation["target"]), resolver, message)
        else:
            root, path, leaf = invocations.find(offered, name)
            chosen = invocations.options_of(leaf, _options(operation), resolver)
            data = invocations.command_data(root, path, chosen, resolver.resolved)
        made = self._world.interactions.begin(COMMAND, user, channel, data, name=name.removeprefix("/"))
        return {"interaction_id": made.id}

    async def _autocomplete(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation)
        interactions.may_run(self._world.state.permissions_in(user.id, channel))
        root, path, leaf = invocations.find(self._offered(user, channel), str(operation.get("command") or ""))
        chosen = invocations.partial_options(leaf, _options(operation), str(operation.get("focused")))
        made = self._world.interactions.begin(
            AUTOCOMPLETE, user, channel, invocations.command_data(root, path, chosen, {}), name=root["name"]
        )
        assert made.choices is not None
        async with asyncio.timeout(limits.ACKNOWLEDGE_SECONDS + 1):
            choices = await made.choices
        if made.dead:
            raise ActRefused("Loading options failed")
        return {"choices": choices}

    async def _press(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation)
        message = self._message(user, channel, operation)
        found = invocations.component(message, str(operation.get("custom_id")), frozenset({components.BUTTON}))
        data: Json = {"custom_id": found["custom_id"], "component_type": components.BUTTON, "id": found["id"]}
        return {"interaction_id": self._world.interactions.begin(COMPONENT, user, channel, data, message=message).id}

    async def _select(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation)
        message = self._message(user, channel, operation)
        found = invocations.component(message, str(operation.get("custom_id")), components.SELECTS)
        values = operation.get("values")
        data = invocations.selection(found, values if isinstance(values, list) else [], self._resolver(channel))
        return {"interaction_id": self._world.interactions.begin(COMPONENT, user, channel, data, message=message).id}

    async def _submit(self, user: User, operation: Json) -> Json:
        opened = self._world.interactions.get(str(operation.get("interaction_id")))
        if opened is None or opened.modal is None or opened.user.id != user.id:
            raise ActRefused("That form is not open.")
        if operation.get("custom_id") not in (None, opened.modal["custom_id"]):
            raise ActRefused("That form is not open.")
        values = operation.get("values")
        data = invocations.submission(opened.modal, values if isinstance(values, dict) else {}, self._resolver(opened.channel))
        made = self._world.interactions.begin(
            MODAL_SUBMIT, user, opened.channel, data, message=opened.message, name=opened.name, parent=opened
        )
        return {"interaction_id": made.id}

    async def _dismiss(self, user: User, operation: Json) -> Json:
        found = self._world.state.ephemerals.get(str(operation.get("message_id")))
        if found is None or found.ephemeral_for != user.id:
            raise ActRefused("That message is not here any more.")
        posting.remove(self._world, found)
        return {}

    async def _react(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation, permissions.READ_MESSAGE_HISTORY)
        message = self._message(user, channel, operation)
        if message.ephemeral_for is not None:
            raise ActRefused("Nobody can react to a message only one person sees.")
        key = emoji_key(str(operation.get("emoji") or ""))
        users = message.reactions.get(key)
        if users is not None and user.id in users:
            users.remove(user.id)
            if not users:
                del message.reactions[key]
            self._world.hub.reacted(message, user.id, key, added=False)
            return {"added": False}
        if users is None:
            self._channel(user, operation, permissions.ADD_REACTIONS)
            if len(message.reactions) >= limits.REACTIONS:
                raise ActRefused(f"A message takes {limits.REACTIONS} different reactions.")
            users = message.reactions[key] = []
        users.append(user.id)
        self._world.hub.reacted(message, user.id, key, added=True)
        return {"added": True}

    async def _history(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation, permissions.READ_MESSAGE_HISTORY)
        limit = operation.get("limit")
        limit = min(max(limit, 1), limits.HISTORY_PAGE) if isinstance(limit, int) else limits.HELLO_MESSAGES
        query = {"before": str(operation["before"])} if operation.get("before") else {}
        found = page(channel, query, limit + 1)[::-1]
        shown = [objects.shown_message(self._world.state, self._world.hub.base_url, one) for one in found[-limit:]]
        return {"messages": shown, "has_more": len(found) > limit}

    async def _delete(self, user: User, operation: Json) -> Json:
        channel = self._channel(user, operation)
        message = self._message(user, channel, operation)
        if message.author.id != user.id:
            self._channel(user, operation, permissions.MANAGE_MESSAGES)
        posting.remove(self._world, message)
        return {}


def _options(operation: Json) -> dict[str, Any]:
    options = operation.get("options") or {}
    if not isinstance(options, dict):
        raise ActRefused("Options are given as {name: value}.")
    return options


def _sentence(error: DiscordError) -> str:
    def first(tree: Json) -> str | None:
        for key, value in tree.items():
            if key == "_errors":
                return str(value[0]["message"])
            if isinstance(value, dict) and (found := first(value)) is not None:
                return f"{key}: {found}"
        return None

    return first(error.errors or {}) or error.message
