"""What exists in the sandbox: users, guilds, roles, members, channels, messages, webhooks, in memory.

Plain records and look-ups. Must never speak to a socket and never decide whether somebody may do something beyond
computing permissions. Ids are decimal strings, as on the wire.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from sandbox import limits, permissions
from sandbox.clock import DISCORD_EPOCH_MS, Clock
from sandbox.errors import Json
from sandbox.permissions import Overwrite
from sandbox.seed import Seed, SeedGuild

EPHEMERAL = 64
LOADING = 128
COMPONENTS_V2 = 1 << 15
TEXT_TYPES = frozenset({0, 1, 2, 5, 10, 11, 12})
THREAD_TYPES = frozenset({10, 11, 12})
SEEDED_SECONDS = 1_767_225_600  # 2026-01-01: when a seed's guilds, people and channels pretend to have been made


@dataclass
class User:
    """A person, the bot, or the face of a webhook."""

    id: str
    name: str
    bot: bool = False
    locale: str = "en-US"
    blurb: str = ""
    avatar: str | None = None


@dataclass
class Role:
    """A role; @everyone has the guild's id and position 0."""

    id: str
    name: str
    permissions: int
    color: int = 0
    position: int = 0
    hoist: bool = False
    mentionable: bool = False
    managed: bool = False
    bot_id: str | None = None


@dataclass
class Member:
    """A user in a guild; `roles` are role ids without @everyone."""

    user: User
    joined_at: str
    roles: list[str] = field(default_factory=list)
    nick: str | None = None


@dataclass
class Thread:
    """What only threads have."""

    owner_id: str
    created_at: str
    archive_minutes: int
    archived: bool = False
    archived_at: str = ""
    locked: bool = False
    invitable: bool = True
    members: set[str] = field(default_factory=set)
    applied_tags: list[str] = field(default_factory=list)
    total_messages: int = 0


@dataclass
class Attachment:
    """An uploaded file and its bytes."""

    id: str
    filename: str
    content_type: str
    data: bytes
    description: str | None = None
    title: str | None = None
    flags: int = 0
    embedded: bool = False  # shown inside an embed, and therefore not listed


@dataclass
class Message:
    """One message; `embeds` and `components` are kept as Discord would answer them."""

    id: str
    channel_id: str
    author: User
    content: str = ""
    timestamp: str = ""
    edited_timestamp: str | None = None
    type: int = 0
    flags: int = 0
    tts: bool = False
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)
    mention_roles: list[str] = field(default_factory=list)
    mention_everyone: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    pinned: bool = False
    nonce: str | int | None = None
    reference: Json | None = None
    reference_ping: bool = False
    poll: Json | None = None
    webhook_id: str | None = None
    application_id: str | None = None
    interaction: Json | None = None  # interaction_metadata
    interaction_name: str | None = None
    ephemeral_for: str | None = None
    thread_id: str | None = None

    @property
    def thinking(self) -> bool:
        """A deferred answer that has not come yet."""
        return bool(self.flags & LOADING)


@dataclass
class Channel:
    """A channel, thread or direct message with its history, oldest first."""

    id: str
    guild_id: str | None
    type: int
    name: str
    topic: str | None = None
    position: int = 0
    parent_id: str | None = None
    overwrites: list[Overwrite] = field(default_factory=list)
    nsfw: bool = False
    slowmode: int = 0
    default_archive_minutes: int = 1440
    available_tags: list[Json] = field(default_factory=list)
    last_message_id: str | None = None
    thread: Thread | None = None
    recipients: list[str] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)

    def newest(self, count: int) -> list[Message]:
        """The last `count` messages, oldest first."""
        return list(self.messages.values())[-count:]

    def pins(self) -> list[Message]:
        """Pinned messages, newest first."""
        return [message for message in reversed(self.messages.values()) if message.pinned]


@dataclass
class Webhook:
    """A channel webhook owned by the application."""

    id: str
    token: str
    channel_id: str
    guild_id: str
    name: str
    creator_id: str
    avatar: str | None = None


@dataclass
class Guild:
    """A guild: members and channels by id, roles by id in rising position."""

    id: str
    name: str
    owner_id: str
    locale: str
    roles: dict[str, Role] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    threads: dict[str, Channel] = field(default_factory=dict)

    def member_permissions(self, user_id: str, channel: Channel | None = None) -> int:
        """What a member may do, in a channel when one is given. 0 for strangers."""
        member = self.members.get(user_id)
        if member is None:
            return 0
        place = channel
        if channel is not None and channel.thread is not None and channel.parent_id is not None:
            place = self.channels.get(channel.parent_id, channel)
        return permissions.compute(
            guild_id=self.id,
            member_id=user_id,
            is_owner=user_id == self.owner_id,
            everyone=self.roles[self.id].permissions,
            roles=[(role_id, self.roles[role_id].permissions) for role_id in member.roles if role_id in self.roles],
            overwrites=place.overwrites if place is not None else (),
        )

    def member_color(self, user_id: str) -> int:
        """The colour of the member's highest coloured role, 0 for none."""
        member = self.members.get(user_id)
        roles = [self.roles[role_id] for role_id in member.roles if role_id in self.roles] if member else []
        coloured = sorted((role for role in roles if role.color), key=lambda role: role.position)
        return coloured[-1].color if coloured else 0


class State:
    """Everything there is, with look-ups by id."""

    def __init__(self, seed: Seed, clock: Clock) -> None:
        self.clock = clock
        self._seed_ids = itertools.count(SEEDED_SECONDS * 1000 - DISCORD_EPOCH_MS)
        self.application_id = seed.application.id or self._seed_id()
        self.application_name = seed.application.name
        self.application_description = seed.application.description
        self.token = seed.application.token
        self.bot = User(self.application_id, seed.application.name, bot=True)
        self.privileged_intents = frozenset(seed.application.privileged_intents)
        self.users: dict[str, User] = {self.bot.id: self.bot}
        self.guilds: dict[str, Guild] = {}
        self.dms: dict[str, Channel] = {}
        self.webhooks: dict[str, Webhook] = {}
        self.ephemerals: dict[str, Message] = {}
        self.files: WeakValueDictionary[str, Attachment] = WeakValueDictionary()
        self.uploads: deque[Attachment] = deque(maxlen=200)  # what people gave to commands and modals
        self._people: dict[str, User] = {}
        for guild_seed in seed.guilds:
            guild = self._grow(guild_seed)
            self.guilds[guild.id] = guild

    def _grow(self, seed: SeedGuild) -> Guild:
        clock = self.clock
        guild = Guild(self._seed_id(), seed.name, "", seed.locale)
        everyone = permissions.EVERYONE_DEFAULT if seed.everyone_permissions is None else permissions.from_names(seed.everyone_permissions)
        guild.roles[guild.id] = Role(guild.id, "@everyone", everyone)
        by_name = {"@everyone": guild.id}
        for position, role in zip(range(len(seed.roles), 0, -1), seed.roles, strict=True):  # listed from the highest down
            made = Role(self._seed_id(), role.name, role.bits(), int(role.color[1:] or "0", 16), position, role.hoist, role.mentionable)
            guild.roles[made.id] = made
            by_name[role.name] = made.id
        bot_bits = permissions.BOT_DEFAULT if seed.bot_permissions is None else permissions.from_names(seed.bot_permissions)
        bot_role = Role(
            self._seed_id(), self.bot.name, bot_bits, position=len(seed.roles) + 1, hoist=True, managed=True, bot_id=self.bot.id
        )
        guild.roles[bot_role.id] = bot_role
        people: dict[str, str] = {}
        for member in seed.members:
            user = self._people.get(member.name)
            if user is None:
                user = User(self._seed_id(), member.name, locale=member.locale, blurb=member.blurb)
                self._people[member.name] = self.users[user.id] = user
            people[member.name] = user.id
            guild.members[user.id] = Member(user, clock.iso(), [by_name[role] for role in member.roles])
        guild.owner_id = people[seed.owner]
        guild.members[self.bot.id] = Member(self.bot, clock.iso(), [bot_role.id])
        categories: dict[str, str] = {}
        for position, channel in enumerate(seed.channels):
            overwrites = [
                Overwrite(
                    by_name[item.role] if item.role is not None else people[item.member or ""],
                    0 if item.role is not None else 1,
                    permissions.from_names(item.allow),
                    permissions.from_names(item.deny),
                )
                for item in channel.overwrites
            ]
            grown = Channel(
                self._seed_id(), guild.id, channel.type, channel.name, channel.topic or None, position,
                categories.get(channel.category or ""), overwrites,
            )  # fmt: skip
            guild.channels[grown.id] = grown
            if channel.type == 4:
                categories[channel.name] = grown.id
        return guild

    def _seed_id(self) -> str:
        """Ids of what a seed names are the same at every start: a bot's database still fits after the sandbox was started again."""
        return str(next(self._seed_ids) << 22)

    def people(self) -> list[User]:
        """The humans, in the order of the seed."""
        return list(self._people.values())

    def channels(self) -> Iterator[Channel]:
        """Every channel, thread and direct message."""
        for guild in self.guilds.values():
            yield from guild.channels.values()
            yield from guild.threads.values()
        yield from self.dms.values()

    def channel(self, channel_id: str) -> Channel | None:
        """A channel, thread or direct message by id."""
        for guild in self.guilds.values():
            if (found := guild.channels.get(channel_id) or guild.threads.get(channel_id)) is not None:
                return found
        return self.dms.get(channel_id)

    def guild_of(self, channel: Channel) -> Guild | None:
        """The guild a channel is in; None for a direct message."""
        return self.guilds.get(channel.guild_id) if channel.guild_id is not None else None

    def permissions_in(self, user_id: str, channel: Channel) -> int:
        """What a user may do in a channel."""
        guild = self.guild_of(channel)
        if guild is None:
            return permissions.ALL & ~permissions.ADMINISTRATOR if user_id in channel.recipients or user_id == self.bot.id else 0
        bits = guild.member_permissions(user_id, channel)
        if (
            channel.thread is not None
            and channel.type == 12
            and user_id not in channel.thread.members
            and not bits & permissions.MANAGE_THREADS
        ):
            return 0
        return bits

    def can_see(self, user_id: str, channel: Channel) -> bool:
        """Whether a user sees a channel at all."""
        return bool(self.permissions_in(user_id, channel) & permissions.VIEW_CHANNEL)

    def message(self, channel_id: str, message_id: str) -> Message | None:
        """A message that everybody in the channel sees."""
        channel = self.channel(channel_id)
        return channel.messages.get(message_id) if channel is not None else None

    def add_message(self, message: Message) -> None:
        """Files a message: in its channel, or with the ephemeral ones."""
        self.keep_files(message)
        if message.ephemeral_for is not None:
            self.ephemerals[message.id] = message
            while len(self.ephemerals) > limits.EPHEMERALS_KEPT:
                del self.ephemerals[next(iter(self.ephemerals))]
            return
        channel = self.channel(message.channel_id)
        assert channel is not None, "messages are made in channels that exist"
        channel.messages[message.id] = message
        channel.last_message_id = message.id
        if channel.thread is not None:
            channel.thread.total_messages += 1
        if len(channel.messages) > limits.MESSAGES_KEPT:
            oldest = next(old for old in channel.messages.values() if not old.pinned)
            del channel.messages[oldest.id]

    def keep_files(self, message: Message) -> None:
        """Lets the message's files be fetched for as long as the message holds them."""
        for item in message.attachments:
            self.files[item.id] = item

    def drop_message(self, message: Message) -> None:
        """Forgets a message."""
        self.ephemerals.pop(message.id, None)
        channel = self.channel(message.channel_id)
        if channel is not None:
            channel.messages.pop(message.id, None)

    def dm_with(self, user_id: str) -> Channel:
        """The direct message between the bot and a user, made on first use."""
        for channel in self.dms.values():
            if user_id in channel.recipients:
                return channel
        channel = Channel(self.clock.snowflake(), None, 1, "", recipients=[user_id])
        self.dms[channel.id] = channel
        return channel
