"""Answering interactions: the callback, and through the interaction's token the follow-ups and edits.

Enforces which callback fits, one acknowledgement, ephemeral answers and modals. Token routes need no bot authorisation.
"""

from functools import partial

from sandbox import errors, interactions, limits, objects, posting
from sandbox.errors import Form, Json
from sandbox.interactions import (
    CHOICES,
    DEFERRED_REPLY,
    DEFERRED_UPDATE,
    MODAL,
    REPLY,
    UPDATE,
    Interaction,
)
from sandbox.rest.router import Call, Route
from sandbox.rules import commands as command_rules
from sandbox.rules import messages as rules
from sandbox.rules import modals, shapes
from sandbox.rules.mentions import Allowed
from sandbox.rules.messages import Draft
from sandbox.state import EPHEMERAL, LOADING, Message


async def callback(call: Call) -> Json | None:
    """POST the one acknowledgement of an interaction."""
    world = call.world
    item = world.interactions.answerable(call.ids["interaction_id"], call.ids["interaction_token"])
    form = Form()
    kind = shapes.integer(call.form, "type", form, required=True)
    form.check()
    assert kind is not None
    world.interactions.permitted(item, kind)
    data = call.form.get("data") or {}
    if not isinstance(data, dict):
        raise errors.invalid(("data",), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    message: Message | None = None
    if kind == REPLY:
        message = _reply(call, item, data)
    elif kind == DEFERRED_REPLY:
        message = _defer(call, item, data)
    elif kind == UPDATE:
        message = _update(call, item, data)
    elif kind == DEFERRED_UPDATE:
        world.interactions.acknowledge(item, kind)
    elif kind == CHOICES:
        _choose(call, item, data)
    elif kind == MODAL:
        _open_modal(call, item, data)
    return _response(call, item, kind, message) if call.flag("with_response") else None


def _draft(call: Call, item: Interaction, data: Json, *, old: Message | None = None, path: tuple[str | int, ...] = ("data",)) -> Draft:
    return rules.draft(
        data, call.uploads, call.world.clock, partial(call.world.url_of, item.channel.id), old=old, ephemeral_allowed=True, path=path
    )


def _reply(call: Call, item: Interaction, data: Json) -> Message:
    draft = _draft(call, item, data)
    call.world.interactions.acknowledge(item, REPLY)
    message = posting.compose(call.world, item.channel, call.world.state.bot, draft, interaction=item)
    item.original_id = message.id
    return posting.publish(call.world, message)


def _defer(call: Call, item: Interaction, data: Json) -> Message:
    flags = interactions.flags_of_defer(data)
    call.world.interactions.acknowledge(item, DEFERRED_REPLY)
    empty = Draft("", [], [], [], flags, False, None, Allowed(), None, False)
    message = posting.compose(call.world, item.channel, call.world.state.bot, empty, interaction=item, extra_flags=LOADING)
    item.original_id = message.id
    return posting.publish(call.world, message)


def _update(call: Call, item: Interaction, data: Json) -> Message:
    message = item.message
    assert message is not None, "permitted() lets only interactions with a message be updated"
    call.world.interactions.still_there(message)
    draft = _draft(call, item, data, old=message)
    call.world.interactions.acknowledge(item, UPDATE)
    return posting.amend(call.world, message, draft)


def _choose(call: Call, item: Interaction, data: Json) -> None:
    form = Form().at("data")
    kind = focused_type(item.data) or command_rules.STRING
    made = [
        command_rules.check_choice(choice, form.at("choices", index), kind)
        for index, choice in enumerate(shapes.listing(data, "choices", form, high=limits.AUTOCOMPLETE_CHOICES, required=True))
    ]
    form.check()
    call.world.interactions.acknowledge(item, CHOICES)
    if item.choices is not None and not item.choices.done():
        item.choices.set_result(made)


def focused_type(data: Json) -> int:
    """The type of the option an autocomplete interaction is about."""
    for option in data.get("options") or ():
        if option.get("focused"):
            return int(option["type"])
        if option.get("options") and (found := focused_type(option)):
            return found
    return 0


def _open_modal(call: Call, item: Interaction, data: Json) -> None:
    form = Form().at("data")
    modal = modals.check(data, form)
    form.check()
    call.world.interactions.acknowledge(item, MODAL)
    item.modal = modal
    call.world.hub.show({"type": "modal", "interaction_id": item.id, **modal}, only=item.user.id)


def _response(call: Call, item: Interaction, kind: int, message: Message | None) -> Json:
    about: Json = {"id": item.id, "type": item.kind, "channel_id": item.channel.id}
    if item.guild_id is not None:
        about["guild_id"] = item.guild_id
    if message is not None:
        about |= {
            "response_message_id": message.id, "response_message_loading": message.thinking,
            "response_message_ephemeral": bool(message.flags & EPHEMERAL),
        }  # fmt: skip
    resource: Json = {"type": kind}
    if message is not None:
        resource["message"] = objects.message(call.world.state, call.world.hub.base_url, message)
    return {"interaction": about, "resource": resource}


# Through the token: /webhooks/{application id}/{interaction token}


def interaction_of(call: Call) -> Interaction | None:
    """The interaction behind the token in the path, when it is one's."""
    if call.ids["webhook_id"] != call.world.state.application_id:
        return None
    return call.world.interactions.by_token(call.ids["webhook_token"])


def answered(call: Call, message: Message) -> Json:
    """A message as the token's holder gets it."""
    return objects.message(call.world.state, call.world.hub.base_url, message)


def follow_up(call: Call, item: Interaction) -> Json:
    """POST: a further message; the first after a defer fills the waiting one, as Discord still does."""
    world = call.world
    waiting = world.state.message(item.channel.id, item.original_id or "") or world.state.ephemerals.get(item.original_id or "")
    draft = _draft(call, item, call.form, path=())
    if waiting is not None and waiting.thinking:
        draft.flags = draft.flags & ~EPHEMERAL | waiting.flags & EPHEMERAL
        return answered(call, posting.amend(world, waiting, draft))
    message = posting.compose(world, item.channel, world.state.bot, draft, interaction=item)
    if message.interaction is not None and item.original_id is not None:
        message.interaction["original_response_message_id"] = item.original_id
    if item.original_id is not None and world.state.message(item.channel.id, item.original_id) is not None:
        message.type = posting.REPLY
        message.reference = {"type": 0, "channel_id": item.channel.id, "message_id": item.original_id, "guild_id": item.guild_id}
    item.followups.add(message.id)
    return answered(call, posting.publish(world, message))


def message_of(call: Call, item: Interaction) -> Message:
    """The message in the path, `@original` included."""
    name = call.ids["message_id"]
    return call.world.interactions.original(item) if name == "@original" else call.world.interactions.message(item, name)


def edit(call: Call, item: Interaction) -> Json:
    """PATCH a message of this interaction."""
    message = message_of(call, item)
    draft = _draft(call, item, call.form, old=message, path=())
    return answered(call, posting.amend(call.world, message, draft))


def delete(call: Call, item: Interaction) -> None:
    """DELETE a message of this interaction."""
    posting.remove(call.world, message_of(call, item))


ROUTES = [
    Route("POST", "/interactions/{interaction_id}/{interaction_token}/callback", callback, bot=False, counts_global=False),
]
