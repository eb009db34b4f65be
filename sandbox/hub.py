"""What happened, told to both sides: events for the bot's gateway sessions, frames for the page.

Every change of the state that somebody can see passes here exactly once. Must never change the state and never block.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox import objects
from sandbox.errors import Json
from sandbox.state import Channel, Guild, Member, Message, State

GUILDS, MEMBERS, GUILD_WEBHOOKS, PRESENCES = 1 << 0, 1 << 1, 1 << 5, 1 << 8
GUILD_MESSAGES, GUILD_REACTIONS, GUILD_TYPING = 1 << 9, 1 << 10, 1 << 11
DIRECT_MESSAGES, DIRECT_REACTIONS, DIRECT_TYPING = 1 << 12, 1 << 13, 1 << 14
MESSAGE_CONTENT = 1 << 15


@dataclass(frozen=True)
class Event:
    """A gateway dispatch: `intent` is the bit a session needs (0: none), `message` lets the session hide its content."""

    name: str
    data: Json
    intent: int
    guild_id: str | None
    message: Message | None = None


@dataclass(frozen=True)
class Frame:
    """A frame for page sockets: for one person, for those who see a channel, or for all."""

    data: Json
    only: str | None = None
    channel: Channel | None = None


class Hub:
    """Turns changes into events and frames and hands them to whoever listens."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.base_url = ""
        self.to_bot: list[Callable[[Event], None]] = []
        self.to_page: list[Callable[[Frame], None]] = []

    def emit(self, event: Event) -> None:
        """Hands an event to the gateway."""
        for listener in self.to_bot:
            listener(event)

    def show(self, data: Json, *, only: str | None = None, channel: Channel | None = None) -> None:
        """Hands a frame to the page."""
        frame = Frame(data, only, channel)
        for listener in self.to_page:
            listener(frame)

    def _scene(self, message: Message) -> tuple[Channel | None, str | None]:
        channel = self._state.channel(message.channel_id)
        return channel, channel.guild_id if channel is not None else None

    def message_created(self, message: Message) -> None:
        """A message appeared. The bot hears of ephemeral ones too: they are its own."""
        self._message("MESSAGE_CREATE", "message_create", message)

    def message_updated(self, message: Message) -> None:
        """A message changed."""
        self._message("MESSAGE_UPDATE", "message_update", message)

    def _message(self, event: str, frame: str, message: Message) -> None:
        channel, guild_id = self._scene(message)
        if message.ephemeral_for is None:
            data = self.event_message(message, guild_id)
            self.emit(Event(event, data, DIRECT_MESSAGES if guild_id is None else GUILD_MESSAGES, guild_id, message))
        shown = objects.shown_message(self._state, self.base_url, message)
        self.show({"type": frame, "channel_id": message.channel_id, "message": shown}, only=message.ephemeral_for, channel=channel)

    def event_message(self, message: Message, guild_id: str | None) -> Json:
        """A message as gateway events carry it: with guild and member."""
        data = objects.message(self._state, self.base_url, message)
        data["channel_type"] = channel.type if (channel := self._state.channel(message.channel_id)) is not None else 0
        guild = self._state.guilds.get(guild_id or "")
        if guild is not None:
            data["guild_id"] = guild.id
            if message.webhook_id is None and (member := guild.members.get(message.author.id)) is not None:
                data["member"] = objects.partial_member(member)
            for mention in data["mentions"]:
                if (mentioned := guild.members.get(mention["id"])) is not None:
                    mention["member"] = objects.partial_member(mentioned)
        return data

    def message_deleted(self, message: Message) -> None:
        """A message is gone."""
        channel, guild_id = self._scene(message)
        if message.ephemeral_for is None:
            data: Json = {"id": message.id, "channel_id": message.channel_id, **({"guild_id": guild_id} if guild_id else {})}
            self.emit(Event("MESSAGE_DELETE", data, DIRECT_MESSAGES if guild_id is None else GUILD_MESSAGES, guild_id))
        self.show(
            {"type": "message_delete", "channel_id": message.channel_id, "message_id": message.id},
            only=message.ephemeral_for,
            channel=channel,
        )

    def messages_deleted(self, channel: Channel, messages: list[Message]) -> None:
        """Several messages are gone at once."""
        data: Json = {"ids": [message.id for message in messages], "channel_id": channel.id, "guild_id": channel.guild_id}
        self.emit(Event("MESSAGE_DELETE_BULK", data, GUILD_MESSAGES, channel.guild_id))
        for message in messages:
            self.show({"type": "message_delete", "channel_id": channel.id, "message_id": message.id}, channel=channel)

    def reacted(self, message: Message, user_id: str, key: str, *, added: bool) -> None:
        """A reaction came or went; the page sees it as an update of the message."""
        channel, guild_id = self._scene(message)
        data: Json = {
            "user_id": user_id, "channel_id": message.channel_id, "message_id": message.id, "emoji": objects.emoji(key), "burst": False,
            "type": 0,
        }  # fmt: skip
        guild = self._state.guilds.get(guild_id or "")
        if guild is not None:
            data["guild_id"] = guild.id
            if added:
                data["message_author_id"] = message.author.id
                if (member := guild.members.get(user_id)) is not None:
                    data["member"] = objects.member(member)
        name = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        self.emit(Event(name, data, DIRECT_REACTIONS if guild_id is None else GUILD_REACTIONS, guild_id))
        self.reactions_shown(message, channel)

    def reactions_cleared(self, message: Message, key: str | None) -> None:
        """All reactions of a message, or all of one emoji, are gone."""
        channel, guild_id = self._scene(message)
        data: Json = {"channel_id": message.channel_id, "message_id": message.id, **({"guild_id": guild_id} if guild_id else {})}
        if key is not None:
            data["emoji"] = objects.emoji(key)
        name = "MESSAGE_REACTION_REMOVE_ALL" if key is None else "MESSAGE_REACTION_REMOVE_EMOJI"
        self.emit(Event(name, data, DIRECT_REACTIONS if guild_id is None else GUILD_REACTIONS, guild_id))
        self.reactions_shown(message, channel)

    def reactions_shown(self, message: Message, channel: Channel | None) -> None:
        """The page's view of changed reactions."""
        shown = objects.shown_message(self._state, self.base_url, message)
        self.show(
            {"type": "message_update", "channel_id": message.channel_id, "message": shown}, only=message.ephemeral_for, channel=channel
        )

    def pins_changed(self, channel: Channel, message: Message) -> None:
        """A message was pinned or unpinned."""
        data: Json = {"channel_id": channel.id, "last_pin_timestamp": self._state.clock.iso()}
        if channel.guild_id:
            data["guild_id"] = channel.guild_id
        self.emit(Event("CHANNEL_PINS_UPDATE", data, GUILDS, channel.guild_id))
        self.message_updated(message)

    def channel_changed(self, channel: Channel, what: str, *, newly: bool = False) -> None:
        """A channel or thread was made, changed or deleted: `what` is create, update or delete."""
        kind = "THREAD" if channel.thread is not None else "CHANNEL"
        data = objects.channel(self._state, channel)
        if newly:
            data["newly_created"] = True
        if channel.guild_id is not None:
            self.emit(Event(f"{kind}_{what.upper()}", data, GUILDS, channel.guild_id))
        if what == "delete":
            self.show({"type": "channel_delete", "channel": self.shown_channel(channel)})
        else:
            self.show({"type": f"channel_{what}", "channel": self.shown_channel(channel)}, channel=channel)

    def shown_channel(self, channel: Channel) -> Json:
        """A channel as the page lists it."""
        name = channel.name or ", ".join(self._state.users[one].name for one in [self._state.bot.id] if one in self._state.users)
        return {
            "id": channel.id, "name": name, "topic": channel.topic or "", "type": channel.type, "position": channel.position,
            "parent_id": channel.parent_id, "archived": bool(channel.thread and channel.thread.archived),
        }  # fmt: skip

    def thread_member_changed(self, thread: Channel, user_id: str, *, joined: bool) -> None:
        """Somebody joined or left a thread."""
        data: Json = {"id": thread.id, "guild_id": thread.guild_id, "member_count": len(thread.thread.members) if thread.thread else 0}
        if joined:
            data["added_members"] = [objects.thread_member(self._state, thread, user_id)]
        else:
            data["removed_member_ids"] = [user_id]
        needed = GUILDS if user_id == self._state.bot.id else GUILDS | MEMBERS
        self.emit(Event("THREAD_MEMBERS_UPDATE", data, needed, thread.guild_id))

    def member_updated(self, guild: Guild, member: Member) -> None:
        """A member's roles or nickname changed."""
        self.emit(Event("GUILD_MEMBER_UPDATE", {"guild_id": guild.id, **objects.member(member)}, MEMBERS, guild.id))
        self.show({"type": "people"})

    def webhooks_changed(self, channel: Channel) -> None:
        """A channel's webhooks changed."""
        self.emit(Event("WEBHOOKS_UPDATE", {"guild_id": channel.guild_id, "channel_id": channel.id}, GUILD_WEBHOOKS, channel.guild_id))

    def typing(self, channel: Channel, user_id: str) -> None:
        """Somebody is typing."""
        data: Json = {"channel_id": channel.id, "user_id": user_id, "timestamp": int(self._state.clock.now())}
        if channel.guild_id:
            data["guild_id"] = channel.guild_id
        self.emit(Event("TYPING_START", data, DIRECT_TYPING if channel.guild_id is None else GUILD_TYPING, channel.guild_id))
        self.show({"type": "typing", "channel_id": channel.id, "user_id": user_id}, channel=channel)

    def presence(self, online: bool) -> None:
        """The bot came or went."""
        self.show({"type": "presence", "bot": {"id": self._state.bot.id, "name": self._state.bot.name, "online": online}})
