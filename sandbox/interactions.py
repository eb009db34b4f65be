"""The life of an interaction: born with a person's act, acknowledged within 3 s or dead, usable for 15 minutes.

Knows tokens, deadlines and what may answer what; tells the person when nothing came. Must never validate message bodies.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox import errors, limits, objects, permissions
from sandbox.clock import Clock
from sandbox.errors import DiscordError, Json
from sandbox.hub import Event, Hub
from sandbox.state import EPHEMERAL, Channel, Message, State, User

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
PONG, REPLY, DEFERRED_REPLY, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 1, 4, 5, 6, 7, 8, 9

WORDS_FAILED = {
    COMMAND: "The application did not respond",
    COMPONENT: "This interaction failed",
    MODAL_SUBMIT: "Something went wrong. Try again.",
}


@dataclass(eq=False)
class Interaction:
    """One interaction and what became of it."""

    id: str
    token: str
    kind: int
    user: User
    channel: Channel
    guild_id: str | None
    data: Json
    born: float
    message: Message | None = None
    name: str | None = None
    parent: "Interaction | None" = None
    answered_with: int | None = None
    dead: bool = False
    original_id: str | None = None
    modal: Json | None = None
    followups: set[str] = field(default_factory=set)
    choices: asyncio.Future[list[Json]] | None = None
    acknowledged_after: float | None = None

    def metadata(self) -> Json:
        """`interaction_metadata` of the messages it makes."""
        made: Json = {
            "id": self.id, "type": self.kind, "user": objects.user(self.user),
            "authorizing_integration_owners": {"0": self.guild_id or "0"},
        }  # fmt: skip
        if self.kind == COMPONENT and self.message is not None:
            made["interacted_message_id"] = self.message.id
        if self.kind == MODAL_SUBMIT and self.parent is not None:
            made["triggering_interaction_metadata"] = self.parent.metadata()
        return made


class Interactions:
    """All interactions that are still of use, by id and by token."""

    def __init__(self, clock: Clock, state: State, hub: Hub) -> None:
        self._clock = clock
        self._state = state
        self._hub = hub
        self._by_id: dict[str, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.on_acknowledged: list[Callable[[Interaction, float], None]] = []

    def begin(
        self,
        kind: int,
        user: User,
        channel: Channel,
        data: Json,
        *,
        message: Message | None = None,
        name: str | None = None,
        parent: Interaction | None = None,
    ) -> Interaction:
        """Makes an interaction, tells the bot and starts its 3 seconds."""
        made = Interaction(
            self._clock.snowflake(), secrets.token_urlsafe(48), kind, user, channel, channel.guild_id, data, self._clock.monotonic(),
            message=message, name=name, parent=parent,
        )  # fmt: skip
        if kind == AUTOCOMPLETE:
            made.choices = asyncio.get_running_loop().create_future()
        self._by_id[made.id] = self._by_token[made.token] = made
        while len(self._by_id) > limits.INTERACTIONS_KEPT:
            old = self._by_id.pop(next(iter(self._by_id)))
            self._by_token.pop(old.token, None)
        self._timers[made.id] = asyncio.get_running_loop().call_later(limits.ACKNOWLEDGE_SECONDS, self._expire, made)
        self._hub.emit(Event("INTERACTION_CREATE", self._payload(made), 0, made.guild_id))
        return made

    def _payload(self, item: Interaction) -> Json:
        guild = self._state.guilds.get(item.guild_id or "")
        channel = objects.channel(self._state, item.channel)
        bits = self._state.permissions_in(item.user.id, item.channel)
        channel["permissions"] = str(bits)
        made: Json = {
            "id": item.id, "application_id": self._state.application_id, "type": item.kind, "token": item.token, "version": 1,
            "data": item.data, "channel_id": item.channel.id, "channel": channel, "locale": item.user.locale, "entitlements": [],
            "entitlement_sku_ids": [], "authorizing_integration_owners": {"0": item.guild_id or "0"}, "context": 1 if guild is None else 0,
            "attachment_size_limit": limits.FILE_BYTES,
            "app_permissions": str(self._state.permissions_in(self._state.bot.id, item.channel)),
        }  # fmt: skip
        if guild is None:
            made["user"] = objects.user(item.user)
        else:
            made |= {
                "guild_id": guild.id, "guild": {"id": guild.id, "locale": guild.locale, "features": []}, "guild_locale": guild.locale,
                "member": {**objects.member(guild.members[item.user.id]), "permissions": str(bits)},
            }  # fmt: skip
        if item.message is not None:
            made["message"] = objects.message(self._state, self._hub.base_url, item.message)
        return made

    def _expire(self, item: Interaction) -> None:
        self._timers.pop(item.id, None)
        if item.answered_with is not None:
            return
        item.dead = True
        if item.choices is not None:
            if not item.choices.done():
                item.choices.set_result([])
            return
        self.failed(item)

    def _never_filled(self, item: Interaction) -> None:
        self._timers.pop(item.id, None)
        found = self._state.message(item.channel.id, item.original_id or "") or self._state.ephemerals.get(item.original_id or "")
        if found is not None and found.thinking:
            self.failed(item, found)

    def failed(self, item: Interaction, message: Message | None = None) -> None:
        """Tells the person that nothing came; `message` is the waiting answer, when there is one."""
        frame: Json = {
            "type": "interaction_failed",
            "interaction_id": item.id,
            "reason": WORDS_FAILED.get(item.kind, "This interaction failed"),
        }
        if (about := message or item.message) is not None:
            frame["message_id"] = about.id
        self._hub.show(frame, only=item.user.id)

    def answerable(self, interaction_id: str, token: str) -> Interaction:
        """The interaction a callback is for. Raises 10062 when it is unknown or its time is over, 40060 when it was answered."""
        found = self._by_id.get(interaction_id)
        if found is None or found.token != token or found.dead:
            raise errors.unknown_interaction()
        if found.answered_with is not None:
            raise errors.already_acknowledged()
        return found

    def permitted(self, item: Interaction, kind: int) -> None:
        """Raises when a callback of this kind cannot answer this interaction."""
        allowed = {
            COMMAND: {REPLY, DEFERRED_REPLY, MODAL},
            COMPONENT: {REPLY, DEFERRED_REPLY, DEFERRED_UPDATE, UPDATE, MODAL},
            AUTOCOMPLETE: {CHOICES},
            MODAL_SUBMIT: {REPLY, DEFERRED_REPLY, *({DEFERRED_UPDATE, UPDATE} if item.message is not None else set())},
        }[item.kind]
        if kind not in allowed:
            raise errors.invalid(
                ("type",),
                "INTERACTION_CALLBACK_TYPE_INVALID",
                f"Callback type {kind} cannot answer an interaction of type {item.kind}; it takes {sorted(allowed)}.",
            )

    def acknowledge(self, item: Interaction, kind: int) -> None:
        """Marks an interaction as answered and stops its clock."""
        item.answered_with = kind
        item.acknowledged_after = self._clock.monotonic() - item.born
        if (timer := self._timers.pop(item.id, None)) is not None:
            timer.cancel()
        if kind == DEFERRED_REPLY:
            loop = asyncio.get_running_loop()
            self._timers[item.id] = loop.call_later(limits.INTERACTION_TOKEN_SECONDS, self._never_filled, item)
        for listener in self.on_acknowledged:
            listener(item, item.acknowledged_after)

    def by_token(self, token: str) -> Interaction | None:
        """The acknowledged interaction behind a webhook token, within its 15 minutes.

        Raises 50027 afterwards, 10015 while it has not been answered. None for a token that is no interaction's.
        """
        found = self._by_token.get(token)
        if found is None:
            return None
        if self._clock.monotonic() - found.born > limits.INTERACTION_TOKEN_SECONDS:
            raise errors.invalid_webhook_token()
        if found.answered_with is None:
            raise errors.unknown_webhook()
        return found

    def get(self, interaction_id: str) -> Interaction | None:
        """An interaction by id."""
        return self._by_id.get(interaction_id)

    def original(self, item: Interaction) -> Message:
        """What `@original` means. Raises 10008 when there is none."""
        if item.answered_with in (DEFERRED_UPDATE, UPDATE) and item.message is not None:
            return self.still_there(item.message)
        return self.message(item, item.original_id or "")

    def message(self, item: Interaction, message_id: str) -> Message:
        """One of the messages an interaction made. Raises 10008."""
        if message_id != item.original_id and message_id not in item.followups:
            if item.message is not None and item.message.id == message_id and item.answered_with in (DEFERRED_UPDATE, UPDATE):
                return self.still_there(item.message)
            raise errors.unknown_message()
        found = self._state.message(item.channel.id, message_id) or self._state.ephemerals.get(message_id)
        if found is None:
            raise errors.unknown_message()
        return found

    def still_there(self, message: Message) -> Message:
        """The same message, unless it was deleted meanwhile. Raises 10008."""
        if self._state.message(message.channel_id, message.id) is None and message.id not in self._state.ephemerals:
            raise errors.unknown_message()
        return message

    def close(self) -> None:
        """Stops all clocks."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


def flags_of_defer(data: Json) -> int:
    """The flags of a deferred answer: EPHEMERAL or none. Raises 50035 for any other."""
    flags = data.get("flags") or 0
    if not isinstance(flags, int) or flags & ~EPHEMERAL:
        raise errors.invalid(("data", "flags"), "MESSAGE_FLAGS_INVALID", "A deferred response may only carry the EPHEMERAL flag (64).")
    return flags


def may_run(bits: int) -> None:
    """Raises unless a person with these permissions may use commands here."""
    if not bits & permissions.USE_APPLICATION_COMMANDS or not bits & permissions.VIEW_CHANNEL:
        raise DiscordError(403, 50013, "You do not have permission to use application commands in this channel")
